"""Which tests run on MongoDB too is as `support/on_mongodb.py` says."""

from pathlib import Path

import pytest

from support import on_mongodb

ROOT = Path(__file__).parents[2]


class Item:
    """A test as pytest has collected it."""

    def __init__(self, nodeid, way=None, marked=False):
        self.nodeid, self.fixturenames, self.marked, self.marks = (
            nodeid,
            ["other_store"],
            marked,
            [],
        )
        self.callspec = type("Callspec", (), {"params": {"other_store": way} if way else {}})

    def get_closest_marker(self, name):
        return name if self.marked else None

    def add_marker(self, mark):
        self.marks.append(mark)


@pytest.fixture(autouse=True)
def _no_store_is_asked_for(monkeypatch):
    monkeypatch.delenv(on_mongodb.ASKED_FOR, raising=False)


def test_the_files_are_there():
    assert [file for file in on_mongodb.FILES if not (ROOT / file).is_file()] == []


def test_those_of_a_file_run_in_both_ways_and_those_that_are_marked_in_one():
    assert on_mongodb.ways_of(Item(f"{on_mongodb.FILES[0]}::test_a")) == list(on_mongodb.WAYS)
    assert on_mongodb.ways_of(Item("tests/x.py::test_a", marked=True)) == ["mongodb-plain"]
    assert on_mongodb.ways_of(Item("tests/x.py::test_a")) == []


def test_where_a_store_is_asked_for_each_runs_there_alone(monkeypatch):
    monkeypatch.setenv(on_mongodb.ASKED_FOR, "mongodb")
    item = Item(f"{on_mongodb.FILES[0]}::test_a", marked=True)
    assert on_mongodb.ways_of(item) == []
    assert on_mongodb.way_of(item) == "mongodb"


def test_what_cannot_pass_has_to_fail_there_and_only_there(monkeypatch):
    monkeypatch.setattr(on_mongodb, "CANNOT", {"tests/x.py::test_a": "it has no x"})
    there, here = Item("tests/x.py::test_a[mongodb]", "mongodb"), Item("tests/x.py::test_a[sqlite]")
    on_mongodb.expect_failures([there, here])
    assert here.marks == []
    (mark,) = there.marks
    assert mark.kwargs == {"strict": True, "reason": "it has no x"}
