"""The contract of serializers."""

from __future__ import annotations

import copy
import threading
import uuid
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from operator import eq
from typing import Any, ClassVar

import pytest

from rocketjob.store import packing
from rocketjob_plugins.batch.serializers import Serializer
from rocketjob_plugins.batch.streams.texts import line_of

# Large values are compared by `eq`: where CI is set, pytest would compare them character by
# character to show the difference, and be at it for minutes or hours.
LINES = [["a"], ["a", "b"], [""], ["", ""], ["é\r", "\u2028", "\0"], ["x" * 100_000, "y"]]
VALUES: list[list[Any]] = [
    [],
    ["two\nlines", "b"],
    [1, -(2**62), 1.5, True, None],
    [b"", b"\x00\xff"],
    [Decimal("1.10"), datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC), uuid.UUID(int=5)],
    [["a", [1]], {"k": {"nested": [None]}}, {}],
    ["text", 1, {"a": "b"}],
]
MARKED = "4711-not-to-be-read"
THREADS, ROUNDS = 4, 25


def _ids(records: list[Any]) -> str:
    return repr(records)[:30]


class SerializerContract:
    """Every test of the contract of serializers; a subclass names the serializer.

    Attributes:
        serializer: as `register_serializers` returns it. What it encrypts by others (`encrypts`) is
            tested before that.
    """

    serializer: ClassVar[Serializer]

    @pytest.mark.parametrize("records", [*LINES, *VALUES], ids=_ids)
    def test_records_come_back_as_they_were(self, records: list[Any]) -> None:
        if self.serializer.whole:
            pytest.skip("its slices are files")
        before = copy.deepcopy(records)
        loaded = self._load(self._dump(records))
        assert eq(loaded, records)
        assert eq(records, before)
        assert isinstance(loaded, list)
        for one, other in zip(loaded, records, strict=True):
            assert isinstance(one, type(other))  # such as a 64-bit integer of BSON
            if isinstance(other, str | bytes | bool | Decimal):
                assert eq(repr(one), repr(other))

    @pytest.mark.parametrize("records", [*LINES, *VALUES], ids=_ids)
    def test_what_is_stored_is_the_same_when_it_is_read(self, records: list[Any]) -> None:
        stored = self._dump(records) if not self.serializer.whole else self._dump(LINES[1])
        read = packing.unpack(packing.pack({"r": stored}))["r"]
        assert eq(read, stored)
        if not self.serializer.whole:
            assert eq(self._load(read), records)

    @pytest.mark.parametrize("records", [*LINES, *VALUES], ids=_ids)
    def test_lines_are_the_records_joined_or_none(self, records: list[Any]) -> None:
        if self.serializer.lines is None:
            pytest.skip("it has no lines")
        lines = self.serializer.lines(self._dump(records))
        if lines is not None:
            assert eq(lines, "\n".join(records))
            assert "\n" not in "".join(records)

    def test_slices_that_are_files_are_one_record_and_can_be_put_behind_each_other(self) -> None:
        if not self.serializer.whole:
            pytest.skip("its slices are lists of records")
        (content,) = self._load(self._dump(["a", "b"]))
        assert isinstance(content, bytes)
        assert content

    def test_a_record_that_cannot_be_stored_is_refused(self) -> None:
        for wrong in (object(), {"a": object()}):
            with pytest.raises(Exception) as raised:
                packing.pack({"r": self._dump([wrong])})
            assert not self.serializer.is_secret or MARKED not in str(raised.value)

    def test_damaged_data_is_refused_or_read_as_something_else_and_never_hangs(self) -> None:
        stored = self._dump(["a", "b"] * 50)
        if not isinstance(stored, bytes):
            pytest.skip("it is not bytes")
        for broken in (b"", stored[: len(stored) // 2], b"\xff" + stored[1:]):
            try:
                loaded = self._load(broken)
            except Exception:
                continue
            assert isinstance(loaded, list)
            assert loaded != ["a", "b"] * 50

    def test_several_threads_use_it_at_once(self) -> None:
        wrong: list[Any] = []

        def work(number: int) -> None:
            for size in range(1, ROUNDS):
                records = [f"{number} {index}" for index in range(size * 20)]
                if self._both(records) != self._expected(records):
                    wrong.append((number, size))

        in_threads(work)
        assert not wrong

    def test_what_is_secret_cannot_be_read_where_it_is_stored(self) -> None:
        if not self.serializer.is_secret or self.serializer.encrypts:
            pytest.skip("it is not, or others encrypt it")
        stored = packing.pack({"r": self._dump([MARKED] * 3)})
        assert MARKED.encode() not in stored

    def test_what_others_encrypt_is_bytes(self) -> None:
        if not self.serializer.encrypts:
            pytest.skip("nobody encrypts it")
        assert all(isinstance(self._dump(records), bytes) for records in LINES)

    def test_its_name_can_be_set_in_a_category(self) -> None:
        name = self.serializer.name
        assert name
        assert name == name.strip()

    def _dump(self, records: list[Any]) -> Any:
        return self.serializer.dump(list(records))

    def _load(self, stored: Any) -> list[Any]:
        return self.serializer.load(stored)

    def _both(self, records: list[Any]) -> list[Any]:
        return self._load(self._dump(records))

    def _expected(self, records: list[Any]) -> list[Any]:
        if not self.serializer.whole:
            return records
        return self._both([line_of(record) for record in records])


def in_threads(work: Callable[[int], None]) -> None:
    """Do something on several threads at once, and wait for all of them."""
    failed: list[BaseException] = []

    def guarded(number: int) -> None:
        try:
            work(number)
        except BaseException as error:
            failed.append(error)

    threads = [threading.Thread(target=guarded, args=(number,)) for number in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failed:
        raise failed[0]
