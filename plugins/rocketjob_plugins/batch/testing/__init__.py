"""What serializers, streams and file formats keep to: suites for a plugin's own tests.

    from rocketjob_plugins.batch.testing import StreamContract

    class TestLz4(StreamContract):
        stream = LZ4

They need pytest.
"""

from __future__ import annotations

from rocketjob_plugins.batch.testing.file_formats import FileFormatContract
from rocketjob_plugins.batch.testing.line_formats import LineFormatContract
from rocketjob_plugins.batch.testing.serializers import SerializerContract
from rocketjob_plugins.batch.testing.streams import StreamContract

__all__ = ["FileFormatContract", "LineFormatContract", "SerializerContract", "StreamContract"]
