"""JSON that loses nothing of a stored value: what JSON has no form for is written as by MongoDB.

A time is `{"$date": "2026-01-31T08:30:00Z"}`, a Decimal `{"$numberDecimal": "1.10"}`; a number is
still a number afterwards, and a text a text. For people who look at a value and change it.
"""

from __future__ import annotations

from datetime import UTC
from typing import Any

from rocketjob.model.types import exact_json


def dumps(stored: Any) -> str:
    """Return a value, as it is stored, as JSON."""
    from bson import json_util  # for start-up time

    return json_util.dumps(stored, json_options=_options(), ensure_ascii=False, allow_nan=False)


def loads(text: str) -> Any:
    """Return the value of such JSON, as it is stored.

    Raises:
        ValueError: it is not JSON, or says something that would not be kept.
    """
    from bson import json_util  # for start-up time

    try:
        exact_json.loads(text)  # refuses what would be lost
        return json_util.loads(text, json_options=_options())
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    except ValueError:
        raise
    except Exception as error:  # a `$date` that is none raises whatever it comes upon
        raise ValueError(str(error) or type(error).__name__) from None


def _options() -> Any:
    from bson.binary import UuidRepresentation  # for start-up time
    from bson.json_util import JSONMode, JSONOptions

    return JSONOptions(
        json_mode=JSONMode.RELAXED,
        tz_aware=True,
        tzinfo=UTC,
        uuid_representation=UuidRepresentation.STANDARD,
    )
