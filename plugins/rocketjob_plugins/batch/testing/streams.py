"""The contract of streams."""

from __future__ import annotations

import io
import random
from collections.abc import Sequence
from operator import eq
from pathlib import Path
from typing import Any, ClassVar

import pytest

from rocketjob import hookimpl
from rocketjob.testing.sandbox import Sandbox
from rocketjob_plugins.batch.streams import (
    Limits,
    Place,
    Stream,
    StreamError,
    open_binary,
    open_lines,
    open_writer,
)
from rocketjob_plugins.batch.streams.known import known_streams
from rocketjob_plugins.batch.testing.serializers import in_threads

# Large values are compared by `eq`: where CI is set, pytest would compare them character by
# character to show the difference, and be at it for minutes or hours.
MIXED = random.Random(1).randbytes(70_000) + b"text\n" * 30_000
CONTENTS = [b"", b"x", b"line\n" * 3, bytes(200_000), MIXED]
BOMB = 40_000_000
LARGEST_PIECE = 64 * 1024 * 1024


class _Bringing:
    def __init__(self, stream: Stream) -> None:
        self.stream = stream

    @hookimpl
    def register_streams(self) -> list[Stream]:
        return [self.stream]


class StreamContract:
    """Every test of the contract of streams; a subclass names the stream, which has both ways.

    Attributes:
        stream: as `register_streams` returns it.
        is_checked: whether a changed byte is noticed: whether it has a checksum.
        recipients: for whom it is written, where that is needed.
    """

    stream: ClassVar[Stream]
    is_checked: ClassVar[bool] = True
    recipients: ClassVar[Sequence[str]] = ()

    @pytest.fixture(autouse=True)
    def _brought(self, rocketjob: Sandbox) -> None:
        if known_streams().get(self.stream.name) is not self.stream:
            rocketjob.plugins.register(_Bringing(self.stream))

    @pytest.mark.parametrize("content", CONTENTS, ids=lambda content: f"{len(content)} bytes")
    @pytest.mark.parametrize("size", [1, 1000, 1 << 18])
    def test_content_comes_back_whatever_the_pieces(
        self, tmp_path: Path, content: bytes, size: int
    ) -> None:
        if size == 1 and len(content) > 1000:
            size = 777
        path = self._written(tmp_path, content, size)
        pieces = []
        with open_binary(path) as file:
            while piece := file.read(size):
                assert len(piece) <= max(size, LARGEST_PIECE)
                pieces.append(piece)
            assert file.read(size) == b""
        assert eq(b"".join(pieces), content)

    def test_each_extension_asks_for_it(self, tmp_path: Path) -> None:
        for extension in (self.stream.name, *self.stream.extensions):
            path = self._written(tmp_path, b"a\nb\n", 10, extension.upper())
            assert list(open_lines(path)) == ["a", "b"]

    def test_a_file_begins_with_its_magic(self, tmp_path: Path) -> None:
        if not self.stream.magic:
            pytest.skip("it has none")
        for content in CONTENTS:
            head = self._written(tmp_path, content, 1000).read_bytes()[:32]
            assert self.stream.begins(head)
        for other in (b"", b"id,name\n1,ann\n", b"\x1f\x8b\x08", b"PK\x03\x04", b"{}", bytes(32)):
            if known_streams().get("gz") is not self.stream and self.stream.name != "zip":
                assert not self.stream.begins(other)

    def test_a_file_that_was_cut_off_is_an_error_wherever(self, tmp_path: Path) -> None:
        path = self._written(tmp_path, MIXED, 10_000)
        packed = path.read_bytes()
        ends = {0, 1, 5, len(packed) // 3, len(packed) // 2, len(packed) - 1}
        for end in sorted(ends):
            path.write_bytes(packed[:end])
            with pytest.raises(StreamError, match=path.name):
                self._read(path)

    def test_a_byte_that_was_changed_is_an_error(self, tmp_path: Path) -> None:
        if not self.is_checked:
            pytest.skip("it has no checksum")
        path = self._written(tmp_path, MIXED, 10_000)
        packed = path.read_bytes()
        for place in (len(packed) // 3, len(packed) // 2):
            path.write_bytes(packed[:place] + bytes([packed[place] ^ 255]) + packed[place + 1 :])
            with pytest.raises(StreamError, match=path.name):
                self._read(path)

    def test_what_is_something_else_is_refused(self, tmp_path: Path) -> None:
        path = tmp_path / f"a.{self.stream.name}"
        for other in (b"", b"id,name\n1,ann\n" * 100, bytes(1000)):
            path.write_bytes(other)
            with pytest.raises(StreamError, match=path.name):
                self._read(path)

    def test_several_packed_files_in_a_row_are_read_as_one(self, tmp_path: Path) -> None:
        if self.stream.decompressor is None:
            pytest.skip("it is no mere compression")
        path = self._written(tmp_path, b"one\n", 10)
        path.write_bytes(path.read_bytes() * 3)
        assert self._read(path) == b"one\n" * 3

    def test_a_bomb_is_stopped_and_stays_small_in_memory(self, tmp_path: Path) -> None:
        path = self._written(tmp_path, bytes(BOMB), 1 << 20)
        if path.stat().st_size * 10 > BOMB:
            pytest.skip("it does not compress")
        with open_binary(path, limits=Limits(max_ratio=1e9)) as file:
            sizes = [len(piece) for piece in iter(lambda: file.read(1 << 16), b"")]
        assert sum(sizes) == BOMB
        assert max(sizes) < LARGEST_PIECE
        if self.stream.decompressor is not None:
            assert max(sizes) < BOMB, "decompress gives more than max_length"
        with pytest.raises(StreamError, match="unpacks to more than 1,000 bytes"):
            self._read(path, limits=Limits(max_bytes=1000))

    def test_files_that_are_open_at_once_do_not_disturb_each_other(self, tmp_path: Path) -> None:
        def work(number: int) -> None:
            content = str(number).encode() * 50_000
            path = self._written(tmp_path, content, 5000, f"{number}.{self.stream.name}")
            assert eq(self._read(path), content)

        in_threads(work)

    def test_an_error_on_the_way_leaves_what_was_there(self, tmp_path: Path) -> None:
        path = self._written(tmp_path, b"before", 10)
        before = path.read_bytes()
        with pytest.raises(OSError, match="on the way"), self._writer(path) as writer:
            writer.write(b"x" * 200_000)
            raise OSError("on the way")
        assert path.read_bytes() == before
        assert [each.name for each in tmp_path.iterdir()] == [path.name]

    def test_closing_closes_what_it_reads_from(self, tmp_path: Path) -> None:
        if self.stream.reader is None:
            pytest.skip("it reads nothing itself")
        closed = []

        class Below(io.BytesIO):
            def close(self) -> None:
                closed.append(True)
                super().close()

        packed = self._written(tmp_path, b"text", 10).read_bytes()
        layer = self.stream.reader(Below(packed), Place(name="a", recipients=self.recipients))
        assert layer.read(1)
        layer.close()
        assert closed

    def _writer(self, path: Path) -> Any:
        return open_writer(path, pgp_recipients=self.recipients, fsync=False)

    def _written(
        self, folder: Path, content: bytes, size: int, extension: str | None = None
    ) -> Path:
        path = folder / f"a.{extension or self.stream.name}"
        with self._writer(path) as writer:
            for start in range(0, len(content), size):
                writer.write(content[start : start + size])
        return path

    def _read(self, path: Path, **options: Any) -> bytes:
        with open_binary(path, **options) as file:
            return file.read()
