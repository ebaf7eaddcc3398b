"""Names of RocketJob 0.1 in the batch plugin: they work, with a warning that says the new one."""

import importlib
import sys

import pytest

MODULES = {
    "download": "io.download",
    "headers": "io.headers",
    "reject_file": "outcome.reject_file",
    "rejects": "outcome.rejects",
    "rows": "io.rows",
    "tables": "io.tables",
    "texts": "streams.texts",
    "upload": "io.upload",
}
NAMES = [
    ("io.upload", "start_over", "io.undo"),
    ("io.upload", "mongo_rows", "io.iterables"),
    ("outcome", "Outcome", "outcome.render"),
    ("outcome", "store_outcomes", "outcome.commit"),
    ("work", "SliceWorker", "work.slices"),
    ("work", "finish_if_done", "work.end"),
    ("work", "work_batch_job", "work.join"),
]


def module(name):
    return importlib.import_module(f"rocketjob_plugins.batch.{name}")


@pytest.mark.parametrize(("old", "new"), MODULES.items())
def test_a_module_that_moved_is_found_by_its_old_name(monkeypatch, old, new):
    old_name = f"rocketjob_plugins.batch.{old}"
    monkeypatch.delitem(sys.modules, old_name, raising=False)
    with pytest.warns(DeprecationWarning, match=f"{old_name} is called .*{new} now.* 0.3"):
        assert module(old) is module(new)


@pytest.mark.parametrize(("old", "name", "new"), NAMES)
def test_what_has_moved_from_a_module_is_found_there(old, name, new):
    with pytest.warns(DeprecationWarning, match=rf"{old}.{name} is called .*{new}.{name} now"):
        assert getattr(module(old), name) is getattr(module(new), name)


def test_a_name_that_never_was_is_unknown():
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = module("work").nothing
