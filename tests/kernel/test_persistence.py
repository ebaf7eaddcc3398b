"""Save, update, reload, delete; what is written, and what another process changed meanwhile."""

import pytest

from rocketjob import Document, Job, NotFound, ValidationError, after, around, before
from rocketjob.base.errors import DocumentTooLarge
from rocketjob.testing.store_contract.quiet import wakes
from support.jobs import KeptJob, stored


class PersistedJob(Job):
    priority = 53
    destroy_on_complete = False
    data: dict[str, int] = {}
    tags: list[str] = []
    left: int = 0
    right: int = 0
    note: str | None = None

    def perform(self): ...


def test_a_saved_job_has_its_defaults_and_nothing_else(rocketjob):  # row 1
    job = PersistedJob(description="d", data={"key": 1}).save().reload()
    assert (job.state, job.priority, job.failure_count, job.percent_complete) == (
        "queued",
        53,
        0,
        0,
    )
    assert job.created_at is not None
    assert (job.description, job.data) == ("d", {"key": 1})
    absent = ("worker_name", "started_at", "completed_at", "run_at", "expires_at")
    assert [getattr(job, name) for name in absent] == [None] * 5
    assert not set(absent) & set(stored(job))


def test_the_class_name_is_stored_as_text(rocketjob):
    assert stored(PersistedJob.create())["_type"] == "PersistedJob"


def test_create_returns_the_saved_job(rocketjob):
    job = PersistedJob.create(note="x")
    assert not job.is_new
    assert PersistedJob.find(job.id).note == "x"


def test_created_at_can_be_given(rocketjob):
    at = KeptJob().created_at.subtract(days=5)
    assert KeptJob.find(KeptJob.create(created_at=at).id).created_at == at


# --- dirty saves ------------------------------------------------------------------------------


def test_two_objects_that_change_different_fields_both_have_their_way(rocketjob):
    mine = PersistedJob.create()
    yours = PersistedJob.find(mine.id)
    mine.left, yours.right = 1, 2
    mine.save()
    yours.save()
    mine.reload()
    assert (mine.left, mine.right) == (1, 2)


def test_what_is_changed_in_place_is_saved_too(rocketjob):
    job = PersistedJob.create()
    job.tags.append("x")
    job.data["a"] = 1
    assert job.changed() == {"tags": ["x"], "data": {"a": 1}}
    job.save()
    found = PersistedJob.find(job.id)
    assert (found.tags, found.data) == (["x"], {"a": 1})
    found.tags.append("y")
    found.save()
    assert job.reload().tags == ["x", "y"]


def test_a_save_without_a_change_writes_nothing(rocketjob):
    job = PersistedJob.create()
    job.left = job.left
    assert not wakes(rocketjob.store, job.save)


def test_a_field_that_was_set_and_set_back_is_not_written(rocketjob):
    mine = PersistedJob.create()
    PersistedJob.find(mine.id).update(left=9)
    mine.left = 5
    mine.left = 0
    mine.save()
    assert mine.reload().left == 9


def test_a_field_set_to_none_is_taken_out_of_the_document(rocketjob):
    job = PersistedJob.create(note="x")
    job.update(note=None)
    assert "note" not in stored(job)
    assert job.changed() == {}
    assert job.reload().note is None


def test_everything_of_a_new_document_is_a_change():
    assert set(PersistedJob(note="x").changed()) >= {"note", "priority", "id"}


# --- update, reload, delete -------------------------------------------------------------------


def test_update_assigns_and_saves(rocketjob):
    job = PersistedJob.create()
    assert job.update(left=5, note="x") is job
    assert (stored(job)["left"], stored(job)["note"]) == (5, "x")


def test_update_of_an_unknown_field_changes_nothing(rocketjob):
    job = PersistedJob.create()
    with pytest.raises(TypeError, match=r"did you mean left\?"):
        job.update(right=5, leftt=1)
    assert job.right == 0
    with pytest.raises(TypeError, match="set by the system"):
        job.update(state="failed")


def test_reload_discards_what_was_not_saved(rocketjob):
    job = PersistedJob.create(left=1)
    job.left = 5
    job.tags.append("x")
    assert job.reload() is job
    assert (job.left, job.tags) == (1, [])


def test_what_others_have_stored_is_no_attribute_and_takes_none_away(rocketjob):
    job = PersistedJob.create(left=1)
    job.own = "kept"
    foreign = {"_record": 1, "own": 2, "perform": 3, "tags": ["x"]}
    job.collection().update_one({"_id": job.id}, {"$set": foreign})
    job.reload()
    assert (job.own, job.left, job.tags, job.is_new) == ("kept", 1, ["x"], False)
    found = PersistedJob.find(job.id)
    assert not hasattr(found, "own")
    assert callable(found.perform)
    found.update(left=2)
    assert job.reload().left == 2


def test_documents_of_a_class_with_ever_other_keys_are_loaded(rocketjob):
    for number in range(250):
        document = {"_id": number, "_type": "PersistedJob", f"key{number}": number, "right": number}
        found = Job.from_document(document)
        assert (found.id, found.right, found.left, found.tags) == (number, number, 0, [])


def test_reload_of_a_kept_job_that_is_gone_is_not_found(rocketjob):
    job = PersistedJob.create()
    job.delete()
    with pytest.raises(NotFound, match="is not stored any more"):
        job.reload()


def test_reload_of_a_job_that_removed_itself_makes_it_completed(rocketjob):
    job = PersistedJob.create(destroy_on_complete=True)
    rocketjob.work_off()
    job.worker_name = "x"
    job.reload()
    assert job.is_completed
    assert (job.percent_complete, job.worker_name) == (100, None)
    at = job.completed_at
    assert at is not None
    assert job.reload().completed_at == at


def test_saving_a_deleted_document_is_an_error_and_does_not_bring_it_back(rocketjob):
    job = PersistedJob.create()
    PersistedJob.find(job.id).delete()
    with pytest.raises(NotFound, match="it has been deleted"):
        job.update(left=5)
    assert PersistedJob.count() == 0


def test_delete_runs_no_callbacks_and_destroy_runs_them(rocketjob):
    ran = []

    class CleaningJob(Job):
        @before("destroy")
        def clean(self):
            ran.append("before")

        @after("destroy")
        def cleaned(self):
            ran.append("after")

        def perform(self): ...

    CleaningJob.create().delete()
    assert (ran, CleaningJob.count()) == ([], 0)
    CleaningJob.create().destroy()
    assert (ran, CleaningJob.count()) == (["before", "after"], 0)


def test_deleting_twice_is_no_error(rocketjob):
    job = PersistedJob.create()
    job.delete()
    job.delete()
    job.destroy()


def test_a_before_destroy_that_raises_keeps_the_document(rocketjob):
    class GuardedJob(Job):
        @before("destroy")
        def refuse(self):
            raise RuntimeError("no")

        def perform(self): ...

    job = GuardedJob.create()
    with pytest.raises(RuntimeError):
        job.destroy()
    assert GuardedJob.count() == 1


# --- bad input --------------------------------------------------------------------------------


def test_a_document_over_16_mb_is_refused_and_not_stored(rocketjob):
    class LargeJob(Job):
        text: str = ""

        def perform(self): ...

    with pytest.raises(DocumentTooLarge, match="16"):
        LargeJob.create(text="x" * (16 * 1024 * 1024))
    assert LargeJob.count() == 0
    job = LargeJob.create(text="small")
    with pytest.raises(DocumentTooLarge):
        job.update(text="x" * (16 * 1024 * 1024))
    assert LargeJob.find(job.id).text == "small"
    large, larger = LargeJob(text="x"), LargeJob(text="x" * (16 * 1024 * 1024))
    with pytest.raises(DocumentTooLarge, match=str(larger.id)):
        LargeJob.create_many([large, larger])
    job.reload().text = "x" * (16 * 1024 * 1024)
    with pytest.raises(DocumentTooLarge):
        job.pause()
    assert LargeJob.find(job.id).is_queued


def test_an_unserialisable_argument_is_refused_by_name(rocketjob):
    class ArgumentJob(Job):
        def perform(self, value):
            return value

    with pytest.raises(ValidationError, match=r"arguments\['args'\]\[0\] cannot be stored: object"):
        ArgumentJob.perform_later(object())
    assert ArgumentJob.count() == 0


# --- create_many ------------------------------------------------------------------------------


def test_create_many_saves_rows_and_instances(rocketjob):
    jobs = PersistedJob.create_many([{"left": 1}, PersistedJob(left=2), {"left": 3}])
    assert [job.left for job in jobs] == [1, 2, 3]
    assert all(not job.is_new for job in jobs)
    assert PersistedJob.all().pluck("left") == [1, 2, 3]
    assert PersistedJob.create_many([]) == []


def test_create_many_stores_all_or_nothing_and_names_the_invalid_rows(rocketjob):
    with pytest.raises(ValidationError) as error:
        PersistedJob.create_many([{"left": 1}, {"left": "x"}, {"priority": 0}])
    assert error.value.errors == {
        "[1].left": ["must be int, not str 'x'"],
        "[2].priority": ["must be from 1 to 100, not 0"],
    }
    assert PersistedJob.count() == 0


def test_create_many_stores_nothing_if_the_store_refuses_one(rocketjob):
    job = PersistedJob.create()
    copies = [PersistedJob(), PersistedJob(id=job.id), PersistedJob()]
    with pytest.raises(Exception, match=str(job.id)):
        PersistedJob.create_many(copies)
    assert PersistedJob.count() == 1
    assert all(copy.is_new for copy in copies)


def test_create_many_runs_the_callbacks_of_each(rocketjob):
    ran = []

    class CalledJob(Job):
        n: int = 0

        @before("save")
        def save_begins(self):
            ran.append(("save", self.n))

        @around("create")
        def creating(self):
            ran.append(("create", self.n))
            yield
            ran.append(("created", self.n))

        def perform(self): ...

    CalledJob.create_many([{"n": 1}, {"n": 2}])
    assert sorted(ran) == [
        ("create", 1),
        ("create", 2),
        ("created", 1),
        ("created", 2),
        ("save", 1),
        ("save", 2),
    ]


@pytest.mark.parametrize("bad", [1, 2, 3])
def test_create_many_stores_nothing_and_closes_every_around_if_a_callback_raises(rocketjob, bad):
    opened = []

    class WrappedJob(Job):
        n: int = 0

        @around("create")
        def wrapped(self):
            if self.n == bad:
                raise RuntimeError("no")
            opened.append(self.n)
            try:
                yield
            finally:
                opened.remove(self.n)

        def perform(self): ...

    with pytest.raises(RuntimeError, match="no"):
        WrappedJob.create_many([{"n": 1}, {"n": 2}, {"n": 3}])
    assert (opened, WrappedJob.count()) == ([], 0)


def test_create_many_closes_every_around_if_the_store_refuses(rocketjob):
    closed = []

    class RefusedJob(Job):
        n: int = 0

        @around("create")
        def wrapped(self):
            try:
                yield
            finally:
                closed.append(self.n)

        def perform(self): ...

    first = RefusedJob.create()
    closed.clear()
    with pytest.raises(Exception, match=str(first.id)):
        RefusedJob.create_many([RefusedJob(n=1), RefusedJob(n=2, id=first.id), RefusedJob(n=3)])
    assert sorted(closed) == [1, 2, 3]


# --- documents that are no jobs ---------------------------------------------------------------


class Customer(Document):
    collection_name = "test.customers"
    name: str
    age: int | None = None


class GoodCustomer(Customer):
    discount: int = 5


def test_a_document_of_ones_own_has_its_collection_queries_and_classes(rocketjob):
    Customer.create(name="a")
    good = GoodCustomer.create(name="b", age=5)
    assert rocketjob.store.collection("test.customers").count_documents({}) == 2
    assert (Customer.count(), GoodCustomer.count(), Job.count()) == (2, 1, 0)
    assert isinstance(Customer.where(name="b").first(), GoodCustomer)
    assert repr(good) == f"<GoodCustomer {good.id}>"
    with pytest.raises(ValidationError):
        Customer.create()


def test_a_document_has_no_events_of_jobs():
    with pytest.raises(TypeError, match="there is no such event"):

        class Wrong(Customer):
            @before("start")
            def begin(self):
                pass
