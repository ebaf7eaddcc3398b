"""How a field's value is checked, stored as BSON, loaded, and parsed from text.

`codec_for(annotation)`, in `field_types`, knows all types that a field may have.
"""

from rocketjob.model.types.anything import check_any, check_record, decode_any, encode_any
from rocketjob.model.types.base import Codec, Misfit
from rocketjob.model.types.field_types import codec_for
from rocketjob.model.types.times import parse_datetime, plain_datetime

__all__ = [
    "Codec",
    "Misfit",
    "check_any",
    "check_record",
    "codec_for",
    "decode_any",
    "encode_any",
    "parse_datetime",
    "plain_datetime",
]
