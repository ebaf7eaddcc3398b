"""Which tests run on MongoDB too, with transactions and without, and which cannot.

Of the tests in `tests/kernel` and `tests/plugins` 4,557 use the fixture `rocketjob` or
`file_store`. On SecantusDB they would take more than half an hour of a processor for each of the
two ways: 62 of them took 35 seconds. CI has a few minutes. So these run there:

* without transactions, where RocketJob itself has to do most: whatever is marked `both_stores`;
* in both ways: all tests of a file that is about guarded writes, of which one decides for several
  processes: claims, uniqueness, taking back from the dead, and what follows the end of a job.

A file of that kind belongs in the list. All the others run there every night, on MongoDB's own
server: see .github/workflows/nightly.yml. By hand, with `mongodb` or `mongodb-plain`:
`ROCKETJOB_TEST_STORE=mongodb pytest tests/kernel tests/plugins`.
"""

import os

import pytest

ASKED_FOR = "ROCKETJOB_TEST_STORE"
WAYS = {"mongodb-plain": "rocketjobTransactions=false&rocketjobWakeUp=tailable", "mongodb": ""}

FILES = (
    "tests/kernel/runtime/test_queue.py",
    "tests/kernel/runtime/test_recovery.py",
    "tests/kernel/test_completions.py",
    "tests/kernel/test_unique_indexes.py",
    "tests/plugins/batch/test_slice_done.py",
    "tests/plugins/test_restart.py",
    "tests/plugins/test_singleton.py",
)

# A test of those, and why it cannot pass there.
CANNOT = {}


def ways_of(test):
    """Return the ways in which a test uses MongoDB too; none if one store is asked for."""
    if ASKED_FOR in os.environ:
        return []
    if file_of(test) in FILES:
        return list(WAYS)
    return ["mongodb-plain"] if test.get_closest_marker("both_stores") else []


def file_of(test):
    return test.nodeid.partition("::")[0]


def way_of(item):
    """Return the way in which a test uses MongoDB, or None."""
    callspec = getattr(item, "callspec", None)
    asked = os.environ.get(ASKED_FOR) if "other_store" in item.fixturenames else None
    return callspec.params.get("other_store", asked) if callspec else asked


def expect_failures(items):
    """Mark what cannot pass on MongoDB: it has to fail there, or the list is wrong."""
    for item in items:
        reason = CANNOT.get(item.nodeid.partition("[")[0])
        if reason is not None and way_of(item) in WAYS:
            item.add_marker(pytest.mark.xfail(strict=True, reason=reason))
