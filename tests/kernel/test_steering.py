"""Changes of a stored job by people, who saw it in a state that may have passed."""

from typing import ClassVar

import pytest

from rocketjob import InvalidTransition, Job, NotFound, after
from rocketjob.jobs import steering
from rocketjob.jobs.steering import Stale, steer


class SteeredJob(Job):
    destroy_on_complete = False

    def perform(self): ...


class TellingJob(SteeredJob):
    seen: ClassVar[list] = []

    @after("destroy")
    def _tell(self):
        self.seen.append(self.id)


def test_an_event_is_made_if_the_job_is_as_it_was_shown(rocketjob):
    job = SteeredJob.create()
    assert steer(job.id, "pause", expected="queued", by="ada").is_paused
    assert job.reload().is_paused


def test_the_history_names_who_did_it(rocketjob):
    job = SteeredJob.create()
    steer(job.id, "pause", by="ada")
    steer(str(job.id), "resume")
    assert [(e.event, e.by) for e in job.reload().history] == [("pause", "ada"), ("resume", None)]


def test_a_job_in_another_state_than_was_shown_is_left_alone(rocketjob):
    job = SteeredJob.create()
    steer(job.id, "pause", by="bob")
    with pytest.raises(Stale) as caught:
        steer(job.id, "abort", expected="queued")
    assert caught.value.job.is_paused
    assert caught.value.job.history[-1].by == "bob"
    assert job.reload().is_paused


@pytest.mark.parametrize("event", ["abort", "destroy", "fail"])
def test_a_change_between_reading_and_writing_is_noticed(rocketjob, monkeypatch, event):
    job = SteeredJob.create()
    read = steering._stored

    def read_and_be_overtaken(id):
        found = read(id)
        monkeypatch.setattr(steering, "_stored", read)
        SteeredJob.find(id).pause()
        return found

    monkeypatch.setattr(steering, "_stored", read_and_be_overtaken)
    with pytest.raises(Stale):
        steer(job.id, event, expected="queued")
    assert job.reload().is_paused


def test_a_job_is_destroyed_with_its_callbacks(rocketjob):
    job = TellingJob.create()
    TellingJob.seen.clear()
    steer(job.id, "destroy", expected="queued")
    assert TellingJob.seen == [job.id]
    assert not TellingJob.where(id=job.id)


def test_a_job_that_is_gone_is_not_found(rocketjob):
    job = SteeredJob.create()
    steer(job.id, "destroy")
    with pytest.raises(NotFound, match=str(job.id)):
        steer(job.id, "destroy")


def test_what_the_state_does_not_allow_is_refused(rocketjob):
    job = SteeredJob.create()
    with pytest.raises(InvalidTransition):
        steer(job.id, "retry", expected="queued")
    assert job.reload().history == []


def test_an_unknown_event_is_named(rocketjob):
    with pytest.raises(ValueError, match="there is no event explode; events are"):
        steer(SteeredJob.create().id, "explode")


def test_at_most_so_many_jobs_are_counted(rocketjob):
    SteeredJob.create_many({} for _ in range(5))
    assert [SteeredJob.all().count(at_most=n) for n in (1, 4, 5, 9)] == [1, 4, 5, 5]
    assert SteeredJob.all().skip(3).count(at_most=4) == 2
    assert SteeredJob.all().limit(2).count(at_most=4) == 2
    with pytest.raises(ValueError, match="at_most must be 1 or more, not 0"):
        SteeredJob.all().count(at_most=0)
