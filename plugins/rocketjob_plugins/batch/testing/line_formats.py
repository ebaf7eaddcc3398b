"""The contract of formats of lines."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import pytest

from rocketjob_plugins.batch.streams import StreamError
from rocketjob_plugins.batch.tabular import Format, Tabular

BREAKS = ("\n", "\r", "\r\n")


class LineFormatContract:
    """Every test of the contract of formats of lines; a subclass names the format.

    Attributes:
        format: the class that `register_file_formats` returns.
        rows: rows that it holds, as it parses them: lists of texts if it has a header, else values.
        malformed: lines that are no row of it.
        unwritable: rows that it cannot hold, such as with its separator in them.
        options: with which it is used.
        is_quoted: whether a row may have line breaks in it.
    """

    format: ClassVar[type[Any]]  # a Format; checkers would ask for each attribute as a ClassVar
    rows: ClassVar[Sequence[Any]]
    malformed: ClassVar[Sequence[str]] = ()
    unwritable: ClassVar[Sequence[Any]] = ()
    options: ClassVar[Mapping[str, Any]] = {}
    is_quoted: ClassVar[bool] = False

    def test_rows_come_back_as_they_were(self) -> None:
        format = self._made()
        for row in self.rows:
            line = format.render(row)
            assert isinstance(line, str)
            assert repr(format.parse(line)) == repr(row)

    def test_many_lines_are_parsed_as_each_of_them(self) -> None:
        format = self._made()
        lines = [format.render(row) for row in self.rows] * 3
        assert format.parse_many(list(lines)) == [format.parse(line) for line in lines]
        assert format.parse_many([]) == []

    def test_a_row_is_one_line(self) -> None:
        if self.is_quoted:
            pytest.skip("line breaks may be within quotes")
        for row in self.rows:
            line = self._made().render(row)
            assert not any(mark in line for mark in BREAKS)

    def test_what_is_malformed_is_refused_and_its_line_named(self) -> None:
        format, right = self._made(), self._made().render(self.rows[0])
        for line in self.malformed:
            with pytest.raises(StreamError):
                format.parse(line)
            with pytest.raises(StreamError) as raised:
                format.parse_many([right, line, right])
            assert raised.value.line == 2
            assert repr(format.parse(right)) == repr(self.rows[0])

    def test_what_cannot_be_written_is_refused_and_never_changed(self) -> None:
        format = self._made()
        wrong = [*self.unwritable, *self._with_breaks()]
        for row in wrong:
            with pytest.raises(StreamError):
                format.render(row)
        assert repr(format.parse(format.render(self.rows[0]))) == repr(self.rows[0])

    def _with_breaks(self) -> list[Any]:
        if self.is_quoted or not self.format.has_header:
            return []
        return [[f"two{mark}lines", *self.rows[0][1:]] for mark in ("\n", "\r")]

    def test_an_option_that_is_misspelt_is_refused(self) -> None:
        with pytest.raises(StreamError, match="no_such_option"):
            self.format({**self.options, "no_such_option": 1})

    def test_a_table_of_it_names_the_values(self) -> None:
        if not self.format.has_header:
            pytest.skip("it has no header line")
        format = self._made()
        names = [f"column_{number}" for number in range(len(self.rows[0]))]
        table = Tabular(self.format.name, format_options=self.options, formats=[self.format])
        table.parse_header(format.render(names))
        for row in self.rows:
            assert table.parse(format.render(row)) == dict(zip(names, row, strict=True))

    def _made(self) -> Format:
        made: Format = self.format(dict(self.options))
        return made
