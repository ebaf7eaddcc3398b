"""The contract of formats of files that are no text."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import pytest

from rocketjob import hookimpl
from rocketjob.testing.sandbox import Sandbox
from rocketjob_plugins.batch.streams import FileFormat, StreamError, open_lines, write_file
from rocketjob_plugins.batch.streams.known import file_formats
from rocketjob_plugins.batch.streams.lines import LineBlocks, open_line_blocks
from rocketjob_plugins.batch.testing.serializers import in_threads

MANY = 20_000


class _Bringing:
    def __init__(self, format: type[FileFormat]) -> None:
        self.format = format

    @hookimpl
    def register_file_formats(self) -> list[type[FileFormat]]:
        return [self.format]


class FileFormatContract:
    """Every test of the contract of file formats; a subclass names the format, with both ways.

    Attributes:
        format: the class that `register_file_formats` returns.
        rows: some rows of every type that it holds: dicts, or lines if it has `as_lines`.
        wrong: a row that it cannot hold behind these; None if there is none.
        options: with which it is used.
        blocks_of: the most rows in a block that is read.
    """

    format: ClassVar[type[Any]]  # a FileFormat; checkers would ask for attributes as a ClassVar
    rows: ClassVar[Sequence[Any]]
    wrong: ClassVar[Any] = None
    options: ClassVar[Mapping[str, Any]] = {}
    blocks_of: ClassVar[int] = 10_000

    @pytest.fixture(autouse=True)
    def _brought(self, rocketjob: Sandbox) -> None:
        if file_formats().get(self.format.name) is not self.format:
            rocketjob.plugins.register(_Bringing(self.format))

    @pytest.mark.parametrize("size", [1, 2, 1000])
    @pytest.mark.parametrize("packed", ["", ".gz"])
    def test_rows_come_back_as_they_were(self, tmp_path: Path, size: int, packed: str) -> None:
        path = tmp_path / f"a.{self.format.name}{packed}"
        self._write(path, self.rows, size)
        found = self._read(path)
        assert found == list(self.rows)
        assert list(map(repr, found)) == list(map(repr, self.rows))

    def test_each_extension_asks_for_it(self, tmp_path: Path) -> None:
        for extension in (self.format.name, *self.format.extensions):
            path = tmp_path / f"a.{extension.upper()}"
            self._write(path, self.rows)
            assert self._read(path) == list(self.rows)

    def test_a_file_without_rows_can_be_written_and_read(self, tmp_path: Path) -> None:
        path = tmp_path / f"a.{self.format.name}"
        self._write(path, [])
        assert self._read(path) == []

    def test_many_rows_are_read_and_written_in_blocks(self, tmp_path: Path) -> None:
        path = tmp_path / f"a.{self.format.name}"
        taken = 0

        def blocks() -> Iterator[list[Any]]:
            nonlocal taken
            for start in range(0, MANY, 1000):
                taken += 1
                yield [self.rows[n % len(self.rows)] for n in range(start, start + 1000)]

        write_file(path, blocks(), self.format, options=self.options)
        assert taken == MANY // 1000
        with self._open(path) as found:
            sizes = [len(block) for block in found]
        assert sum(sizes) == MANY
        assert max(sizes) <= self.blocks_of

    def test_a_file_that_was_cut_off_is_an_error_that_names_it(self, tmp_path: Path) -> None:
        path = tmp_path / f"a.{self.format.name}"
        self._write(path, self.rows)
        whole = path.read_bytes()
        for end in sorted({0, 1, 4, len(whole) // 2, len(whole) - 1}):
            path.write_bytes(whole[:end])
            with pytest.raises(StreamError, match=path.name):
                self._read(path)

    def test_what_is_something_else_is_refused(self, tmp_path: Path) -> None:
        path = tmp_path / f"a.{self.format.name}"
        for other in (b"", b"id,name\n1,ann\n" * 100, bytes(1000), b"PK\x03\x04 nonsense"):
            path.write_bytes(other)
            with pytest.raises(StreamError, match=path.name):
                self._read(path)

    def test_a_row_that_it_cannot_hold_is_an_error_and_what_was_there_stays(
        self, tmp_path: Path
    ) -> None:
        if self.wrong is None:
            pytest.skip("it holds everything")
        path = tmp_path / f"a.{self.format.name}"
        path.write_bytes(b"before")
        with pytest.raises(StreamError, match=path.name):
            self._write(path, [*self.rows, self.wrong])
        assert path.read_bytes() == b"before"
        assert [each.name for each in tmp_path.iterdir()] == [path.name]

    def test_an_option_that_is_misspelt_is_refused(self) -> None:
        if getattr(self.format, "as_lines", None) is not None:
            pytest.skip("its lines have options, too")
        with pytest.raises(StreamError, match="no_such_option"):
            self.format({"no_such_option": 1})

    def test_several_are_used_at_once(self, tmp_path: Path) -> None:
        def work(number: int) -> None:
            path = tmp_path / f"{number}.{self.format.name}"
            rows = list(self.rows)[: number + 1]
            self._write(path, rows)
            assert self._read(path) == rows

        in_threads(work)

    def _write(self, path: Path, rows: Sequence[Any], size: int = 1000) -> None:
        blocks = (list(rows[start : start + size]) for start in range(0, len(rows), size))
        write_file(path, blocks, self.format, options=self.options)

    def _open(self, path: Path) -> LineBlocks:
        return open_line_blocks(path, format_options=dict(self.options))

    def _read(self, path: Path) -> list[Any]:
        with open_lines(path, format_options=dict(self.options)) as rows:
            return list(rows)
