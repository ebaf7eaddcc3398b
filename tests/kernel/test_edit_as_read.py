"""`edit`: fields of a stored job are changed only if they are still as somebody read them."""

import pytest

from rocketjob import Job, NotFound, ValidationError, field
from rocketjob.jobs.steering import Overtaken, edit


class EditedAsReadJob(Job):
    destroy_on_complete = False
    pausable = True
    text: str | None = field(default=None, user_editable=True)
    options: dict[str, int] = field(factory=dict, user_editable=True)
    inner: str = "x"

    def perform(self): ...


@pytest.mark.parametrize("values", [{"text": "new"}, {"options": {"a": 1}}, {"priority": 3}])
def test_fields_that_are_as_they_were_read_are_stored(rocketjob, values):
    job = EditedAsReadJob.create()
    assert edit(job, values) is job
    assert {name: getattr(job.reload(), name) for name in values} == values


def test_a_field_that_was_changed_since_is_not_overwritten(rocketjob):
    job = EditedAsReadJob.create(options={"a": 1})
    EditedAsReadJob.find(job.id).update(options={"a": 2})
    with pytest.raises(Overtaken, match="changed by somebody else"):
        edit(job, {"options": {"a": 3}})
    assert job.reload().options == {"a": 2}


def test_what_others_changed_besides_stays(rocketjob):
    job = EditedAsReadJob.create()
    EditedAsReadJob.find(job.id).update(inner="theirs", priority=7)
    edit(job, {"text": "mine"})
    job.reload()
    assert (job.inner, job.priority, job.text) == ("theirs", 7, "mine")


def test_a_job_in_another_state_is_not_changed(rocketjob):
    job = EditedAsReadJob.create()
    EditedAsReadJob.find(job.id).abort()
    with pytest.raises(Overtaken):
        edit(job, {"text": "x"})
    assert job.reload().text is None


def test_what_is_not_for_people_or_not_valid_or_gone_is_refused(rocketjob):
    job = EditedAsReadJob.create()
    for name in ("inner", "state", "nothing"):
        with pytest.raises(ValueError, match=f"{name} is not a field that can be edited"):
            edit(job, {name: "y"})
    with pytest.raises(ValidationError):
        edit(EditedAsReadJob.find(job.id), {"priority": 0})
    read = EditedAsReadJob.find(job.id)
    job.destroy()
    with pytest.raises(NotFound):
        edit(read, {"text": "x"})


def test_a_job_that_was_edited_can_be_changed_and_saved_as_before(rocketjob):
    job = edit(EditedAsReadJob.create(), {"text": "x"})
    EditedAsReadJob.find(job.id).update(text="y")
    job.pause()
    job.update(inner="z")
    assert (job.reload().state, job.text, job.inner) == ("paused", "y", "z")
