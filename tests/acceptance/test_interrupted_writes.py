"""Each write in turn is interrupted, once: not made, or made and its answer lost.

Whoever wrote cannot tell which. Nothing may be lost, doubled or stuck for that.
"""

import contextlib
import itertools

import pytest

from rocketjob.base.errors import DuplicateKey, StoreUnavailable
from rocketjob.testing import sandbox
from rocketjob.worker import pool
from rocketjob_plugins.batch.work import persist
from support.interrupted import WAYS, PlainStore, Writes
from support.interrupted_scenarios import (
    PLUGINS,
    SCENARIOS,
    InterruptedPlainJob,
    InterruptedRemovedJob,
    performed,
    run,
)


@contextlib.contextmanager
def embedded(writes):
    with pytest.MonkeyPatch.context() as patch, sandbox() as made:
        made.application._plugins = PLUGINS
        _ = made.store
        writes.of_sqlite(patch)
        yield made


@contextlib.contextmanager
def plain(writes):
    with sandbox() as made:
        made.application._plugins = PLUGINS
        made.application._store = store = PlainStore(writes)
        made.application.ensure_indexes(store)
        yield made


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(pool, "RETRY_SECONDS", (0.001, 0.01))
    monkeypatch.setattr(persist, "RETRY_SECONDS", (0.001, 0.01))


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("place", [embedded, plain], ids=["embedded", "plain"])
@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda each: each.__name__)
def test_any_write_may_be_interrupted(tmp_path, scenario, place, way):
    for number in itertools.count(1):
        writes, folder = Writes(), tmp_path / str(number)
        performed.clear()
        with place(writes) as made:
            writes.interrupt(number, way)
            try:
                run(made, scenario(made, folder), writes)
            except BaseException as error:
                error.add_note(f"at write {number}, {way}")
                raise
        if not writes.interrupted:
            break
    assert number > 3


# --- a new document whose insert had no answer --------------------------------------------------


@pytest.fixture
def writes():
    return Writes()


@pytest.fixture
def made(writes):
    with embedded(writes) as made:
        yield made


@pytest.fixture(params=WAYS)
def unanswered(request, made, writes):
    """A job whose first save had no answer."""
    writes.interrupt(1, request.param)
    job = InterruptedRemovedJob()
    with pytest.raises(StoreUnavailable) as caught:
        job.save()
    assert job.is_new
    (note,) = caught.value.__notes__
    assert note.startswith(f"Whether {job!r} had been stored by then is not known. Save the same")
    return job


def test_what_is_assigned_before_it_is_saved_again_is_stored(unanswered):
    unanswered.description = "again"
    unanswered.save()
    assert InterruptedRemovedJob.find(unanswered.id).description == "again"
    assert InterruptedRemovedJob.count() == 1


def test_one_that_was_performed_and_removed_meanwhile_is_not_stored_again(made, unanswered):
    performed.clear()
    made.work_off()
    unanswered.save()
    made.work_off()
    assert [id for id, _ in performed] == [unanswered.id]
    assert unanswered.reload().is_completed


def test_many_are_stored_once_though_some_are_there_already(unanswered):
    jobs = [InterruptedRemovedJob(), unanswered, InterruptedRemovedJob()]
    jobs[1].description = "again"
    InterruptedRemovedJob.create_many(jobs)
    stored = {job.id: job.description for job in InterruptedRemovedJob.all()}
    assert stored == {job.id: job.description for job in jobs}
    assert not any(job.is_new for job in jobs)


def test_a_document_of_somebody_elses_is_never_taken_for_one_that_was_sent(made):
    job = InterruptedPlainJob.create()
    with pytest.raises(DuplicateKey):
        InterruptedPlainJob(id=job.id).save()
