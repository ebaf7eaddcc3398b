"""Files as records: paths, URLs and file objects, compressed and encrypted as their names say.

    with open_lines("orders.csv.gz") as lines:
        for line in lines: ...

    with open_writer("result.csv.zst") as writer:
        writer.write_lines(["one", "two"])

Memory stays bounded whatever the size of the file. Whatever is wrong with a file is a
`StreamError` that names file, line and column.
"""

from __future__ import annotations

from rocketjob_plugins.batch.streams.errors import StreamError
from rocketjob_plugins.batch.streams.file_formats import FileFormat, FilePlace
from rocketjob_plugins.batch.streams.fixed import open_fixed_length, open_fixed_length_blocks
from rocketjob_plugins.batch.streams.known import streams_of
from rocketjob_plugins.batch.streams.limits import LIMITS, Limits
from rocketjob_plugins.batch.streams.lines import (
    LineBlocks,
    Lines,
    open_line_blocks,
    open_lines,
    read_line_blocks,
)
from rocketjob_plugins.batch.streams.options import CSV, Dialect, ReadKeywords, ReadOptions
from rocketjob_plugins.batch.streams.readers import BinaryFile, open_binary
from rocketjob_plugins.batch.streams.source import Reader
from rocketjob_plugins.batch.streams.stream import (
    Compressor,
    Decompressor,
    Layer,
    Place,
    Stream,
)
from rocketjob_plugins.batch.streams.writer import Writer, open_writer, write_file

__all__ = [
    "CSV",
    "LIMITS",
    "BinaryFile",
    "Compressor",
    "Decompressor",
    "Dialect",
    "FileFormat",
    "FilePlace",
    "Layer",
    "Limits",
    "LineBlocks",
    "Lines",
    "Place",
    "ReadKeywords",
    "ReadOptions",
    "Reader",
    "Stream",
    "StreamError",
    "Writer",
    "open_binary",
    "open_fixed_length",
    "open_fixed_length_blocks",
    "open_line_blocks",
    "open_lines",
    "open_writer",
    "read_line_blocks",
    "streams_of",
    "write_file",
]
