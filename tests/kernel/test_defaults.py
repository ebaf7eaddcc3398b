"""Defaults: literals, factories, those of a class, and where several bases have one."""

from datetime import timedelta
from typing import Any

import pytest

from rocketjob import Document, Job, ValidationError, after, field, validators
from rocketjob.base.errors import FieldClash
from rocketjob.model.fields import MISSING
from support.jobs import KeptJob


def test_a_literal_default_is_copied_for_each_instance(rocketjob):
    class TaggedJob(Job):
        tags: list[str] = []
        options: dict[str, list[int]] = {"a": [1]}

        def perform(self): ...

    first, second = TaggedJob(), TaggedJob()
    first.tags.append("x")
    first.options["a"].append(2)
    assert (second.tags, second.options) == ([], {"a": [1]})
    assert (TaggedJob().tags, TaggedJob().options) == ([], {"a": [1]})


def test_a_loaded_document_without_the_field_gets_a_copy_of_the_default_too(rocketjob):
    class LateJob(Job):
        tags: list[str] = []

        def perform(self): ...

    job = LateJob.create()
    job.collection().update_one({"_id": job.id}, {"$unset": {"tags": ""}})
    job.reload().tags.append("x")
    assert LateJob.find(job.id).tags == []


def test_a_factory_without_parameter_is_called_for_each_instance():
    made = iter(range(9))

    class CountingJob(Job):
        number: int = field(factory=lambda: next(made))

        def perform(self): ...

    assert [CountingJob().number, CountingJob().number] == [0, 1]
    assert CountingJob(number=7).number == 7
    assert CountingJob().number == 2


def test_a_factory_that_takes_the_job_sees_all_other_fields():
    class TitledJob(Job):
        title: str | None = field(factory=lambda job: f"for {job.username} {job.suffix}")
        username: str
        suffix: str = "!"

        def perform(self): ...

    assert TitledJob(username="Jack").title == "for Jack !"
    assert TitledJob(username="Jack", title="given").title == "given"


def test_a_factory_that_takes_the_job_runs_early_if_pre_processed():
    class EarlyJob(Job):
        first: int = 1
        early: str = field(factory=lambda job: f"{job.first}", pre_processed=True)
        late: str = field(factory=lambda job: f"{job.first} {job.early}")

        def perform(self): ...

    job = EarlyJob(first=2)
    assert (job.early, job.late) == ("1", "2 1")


def test_a_factory_may_be_a_method_a_class_or_a_partial():
    from functools import partial

    class Maker:
        def make(self):
            return ["made"]

    class MadeJob(Job):
        a: list = field(factory=Maker().make)
        b: dict = field(factory=dict)
        c: int = field(factory=partial(int, "5"))

        def perform(self): ...

    job = MadeJob()
    assert (job.a, job.b, job.c) == (["made"], {}, 5)


# --- defaults of a class (behaviour 1.2; row 82) ----------------------------------------------


class UrgentBase(Job):
    priority = 70
    destroy_on_complete = False
    speed: int = 1

    def perform(self): ...


class UrgentChild(UrgentBase):
    priority = 20
    speed = 2


class UrgentGrandchild(UrgentChild):
    pass


def test_a_plain_assignment_changes_the_default_for_the_class_and_those_below_it():
    assert (UrgentBase().priority, UrgentChild().priority, UrgentGrandchild().priority) == (
        70,
        20,
        20,
    )
    assert (UrgentBase().speed, UrgentGrandchild().speed) == (1, 2)
    assert UrgentGrandchild().destroy_on_complete is False
    assert (KeptJob().priority, Job.fields()["priority"].default) == (50, 50)


def test_an_instance_overrides_the_default_of_its_class():
    assert UrgentChild(priority=5).priority == 5
    assert UrgentChild().priority == 20


def test_a_class_default_is_stored_with_the_job(rocketjob):
    assert UrgentChild.find(UrgentChild.create().id).priority == 20


def test_a_class_default_keeps_what_the_field_is_otherwise():
    made = UrgentChild.fields()["priority"]
    assert made.user_editable
    assert made.copy_on_restart
    assert not UrgentChild(priority=101).is_valid()


def test_a_class_default_replaces_a_factory():
    class MadeBase(Job):
        token: str = field(factory=lambda: "made")

        def perform(self): ...

    class FixedJob(MadeBase):
        token = "fixed"

    assert FixedJob().token == "fixed"


def test_a_class_default_makes_a_required_field_optional(rocketjob):
    class NamedBase(Job):
        username: str

        def perform(self): ...

    class SystemJob(NamedBase):
        username = "system"

    assert not NamedBase().is_valid()
    assert SystemJob().is_valid()


def test_a_mutable_class_default_is_copied_for_each_instance():
    class ListBase(Job):
        tags: list[str] = []

        def perform(self): ...

    class ListChild(ListBase):
        tags = ["a"]

    ListChild().tags.append("b")
    assert ListChild().tags == ["a"]


# --- mixins -----------------------------------------------------------------------------------


class PlainMixin:
    channel: str = "general"
    retries: int = field(default=3, copy_on_restart=True)
    priority = 33

    def shout(self):
        return self.channel.upper()


class AbstractDocumentMixin(Document, abstract=True):
    region: str = "eu"


class AbstractJobMixin(Job, abstract=True):
    team: str = "ops"
    priority = 44


def test_a_plain_class_brings_fields_methods_and_defaults():
    class MixedJob(PlainMixin, Job):
        def perform(self): ...

    job = MixedJob(retries=5)
    assert (job.channel, job.retries, job.priority, job.shout()) == ("general", 5, 33, "GENERAL")
    assert MixedJob.fields()["retries"].copy_on_restart


def test_a_class_changes_the_default_of_its_mixin_without_changing_the_mixin():
    class QuietJob(PlainMixin, Job):
        channel = "quiet"

        def perform(self): ...

    class LoudJob(PlainMixin, Job):
        def perform(self): ...

    assert (QuietJob().channel, LoudJob().channel) == ("quiet", "general")


def test_a_plain_mixin_serves_several_classes_and_their_documents(rocketjob):
    class OneJob(PlainMixin, Job):
        def perform(self): ...

    class TwoJob(PlainMixin, Job):
        def perform(self): ...

    assert OneJob.find(OneJob.create(channel="a").id).channel == "a"
    assert TwoJob.find(TwoJob.create(channel="b").id).channel == "b"


def test_an_abstract_document_is_a_mixin_of_fields():
    class RegionalJob(AbstractDocumentMixin, Job):
        region = "us"

        def perform(self): ...

    assert RegionalJob().region == "us"
    assert AbstractDocumentMixin.fields()["region"].default == "eu"


def test_an_abstract_job_hands_down_fields_and_defaults_and_is_no_class_of_its_own(rocketjob):
    class TeamJob(AbstractJobMixin):
        def perform(self): ...

    assert (TeamJob().team, TeamJob().priority) == ("ops", 44)
    TeamJob.create()
    assert AbstractJobMixin.count() == 1


def test_the_mixin_named_first_wins_as_python_has_it():
    class First:
        priority = 1

    class Second:
        priority = 2

    class FirstSecondJob(First, Second, Job):
        def perform(self): ...

    class SecondFirstJob(Second, First, Job):
        def perform(self): ...

    class AfterJob(Job, First):
        def perform(self): ...

    assert (FirstSecondJob().priority, SecondFirstJob().priority) == (1, 2)
    assert AfterJob().priority == 50


def test_unrelated_bases_with_the_same_field_clash():
    class OneMixin:
        channel: str = "a"

    class OtherMixin:
        channel: str = "b"

    with pytest.raises(FieldClash, match=r"ClashJob inherits the field channel from .*Mixin and"):

        class ClashJob(OneMixin, OtherMixin, Job):
            def perform(self): ...


def test_a_class_that_declares_the_field_itself_settles_a_clash():
    class OneMixin:
        channel: str = "a"

    class OtherMixin:
        channel: str = "b"

    class SettledJob(OneMixin, OtherMixin, Job):
        channel: int = 5

        def perform(self): ...

    class SettledChild(SettledJob):
        pass

    assert (SettledJob().channel, SettledChild().channel) == (5, 5)


def test_a_mixin_that_takes_the_name_of_a_job_field_clashes():
    class PriorityMixin:
        priority: str = "high"

    with pytest.raises(FieldClash, match="priority"):

        class PriorityJob(PriorityMixin, Job):
            def perform(self): ...


def test_a_subclass_may_declare_an_inherited_field_anew():
    class NarrowBase(Job):
        limit: int | None = None

        def perform(self): ...

    class NarrowJob(NarrowBase):
        limit: int = field(default=9, description="narrow")

    assert (NarrowBase().limit, NarrowJob().limit) == (None, 9)
    assert NarrowJob.fields()["limit"].description == "narrow"


def test_a_method_cannot_take_the_place_of_a_field():
    with pytest.raises(TypeError, match=r"priority is a field of Job: a method cannot"):

        class MethodJob(Job):
            def priority(self):
                return 5


def test_field_without_annotation_says_how_to_write_it():
    with pytest.raises(TypeError, match=r"needs an annotation, for example `priority: int = field"):

        class NewPriorityJob(Job):
            priority = field(default=5)


def test_a_new_field_without_annotation_says_how_to_write_it():
    with pytest.raises(TypeError, match=r"NewBareJob.limit = field\(...\) needs an annotation"):

        class NewBareJob(Job):
            limit = field(default=5)


# --- fields called like a helper --------------------------------------------------------------


def test_a_field_may_be_called_like_a_class_level_helper(rocketjob):
    class CountJob(Job):
        count: int = 5
        first: str
        where: list[str] = []

        def perform(self): ...

    job = CountJob.create(first="f")
    assert (job.count, job.first, job.where) == (5, "f", [])
    assert CountJob.count() == 1
    assert CountJob.first().id == job.id
    assert CountJob.where(count=5).exists()
    assert not CountJob.where(first="other").exists()


def test_a_default_of_a_field_called_like_a_helper_can_be_changed_below(rocketjob):
    class CountBase(Job):
        count: int = 5

        def perform(self): ...

    class CountChild(CountBase):
        count = 6

    class CountGrandchild(CountChild):
        pass

    assert (CountBase().count, CountChild().count, CountGrandchild().count) == (5, 6, 6)
    CountGrandchild.create()
    assert (CountBase.count(), CountChild.count()) == (1, 1)


def test_a_mixin_may_bring_a_field_called_like_a_helper(rocketjob):
    class CountMixin:
        count: int = 7

    class HelperMixedJob(CountMixin, Job):
        def perform(self): ...

    assert HelperMixedJob().count == 7
    assert HelperMixedJob.count() == 0


def test_the_plain_default_of_a_field_is_readable_on_the_class():
    assert (UrgentChild.speed, UrgentBase.priority) == (2, 70)


# --- the constructor --------------------------------------------------------------------------


def test_an_unknown_keyword_is_a_type_error_that_suggests_the_nearest_name():
    with pytest.raises(TypeError, match=r"KeptJob has no field prority; did you mean priority\?"):
        KeptJob(prority=5)
    with pytest.raises(TypeError, match="KeptJob has no field zzz; it has collect_output, "):
        KeptJob(zzz=5)


@pytest.mark.parametrize("name", ["state", "failure_count", "started_at", "worker_name", "result"])
def test_what_the_system_sets_cannot_be_given(name):
    with pytest.raises(TypeError, match=f"KeptJob.{name} is set by the system"):
        KeptJob(**{name: None})


def test_positional_arguments_are_not_taken():
    with pytest.raises(TypeError):
        KeptJob("text")


def test_the_id_is_there_before_the_job_is_saved():
    assert KeptJob().id != KeptJob().id
    assert KeptJob().is_new


# --- what is worked out once of defaults is as if it was of each instance ------------------------


class ManyDefaultsJob(Job):
    tags: list[str] = field(factory=list)
    options: dict[str, int] = {"a": 1}
    size: int | None = 3
    kind: str = "plain"
    level: int = field(default=2, validator=validators.in_range(1, 3))
    note: str | None = None

    def perform(self): ...


def written_out(job):
    """Return a document as it is stored field by field."""
    stored = {"_id": job.id, "_type": type(job).type_name()}
    for name, each in type(job).fields().items():
        if (value := each.store(getattr(job, name), job)) is not MISSING:
            stored[each.key] = value
    return stored


def changed_in_place():
    job = ManyDefaultsJob()
    job.tags.append("x")
    job.options["b"] = 2
    return job


@pytest.mark.parametrize(
    "make",
    [
        ManyDefaultsJob,
        lambda: ManyDefaultsJob(size=None, kind="other", note="n"),
        lambda: ManyDefaultsJob(size=3, note=None, priority=7),
        lambda: ManyDefaultsJob(description="d", run_at=timedelta(hours=1), meta={"a": 1}),
        changed_in_place,
    ],
)
def test_a_new_document_is_stored_as_its_values_say(rocketjob, make):
    job, other = make(), ManyDefaultsJob()
    assert job.to_document() == written_out(job)
    job.kind, job.size, job.priority = "late", None, 3
    assert job.to_document() == written_out(job)
    assert job.to_document()["size"] is None
    assert other.to_document() == written_out(other)
    job.save()
    assert written_out(ManyDefaultsJob.find(job.id)) == written_out(job)


def test_documents_share_no_container(rocketjob):
    first, second = ManyDefaultsJob().to_document(), ManyDefaultsJob().to_document()
    first["options"]["b"] = 2
    assert second["options"] == ManyDefaultsJob().to_document()["options"] == {"a": 1}


def test_a_default_that_a_callback_replaces_is_stored_as_it_is_then(rocketjob):
    class InitializedJob(ManyDefaultsJob):
        @after("initialize")
        def choose(self):
            self.kind = "chosen"

    assert InitializedJob().to_document()["kind"] == "chosen"
    assert InitializedJob.find(InitializedJob.create().id).kind == "chosen"


@pytest.mark.parametrize("value", [0, 4, "x"])
def test_a_default_that_its_validator_refuses_is_refused_each_time(value):
    class RefusedJob(Job):
        level: Any = field(default=value, validator=validators.in_range(1, 3))

        def perform(self): ...

    for _ in range(2):
        with pytest.raises(ValidationError, match="level"):
            RefusedJob().validate()
    RefusedJob(level=2).validate()


def test_a_validator_that_looks_at_the_job_is_asked_about_each_default():
    class LookingJob(Job):
        most: int = 1

        def fits(self, attribute, value):
            if value > self.most:
                raise ValueError("is more than most")

        level: int = field(default=2, validator=fits)

        def perform(self): ...

    LookingJob(most=2).validate()
    with pytest.raises(ValidationError, match="is more than most"):
        LookingJob().validate()


def test_what_a_factory_makes_is_checked_each_time():
    made = iter([1, "x", 2])

    class MadeJob(Job):
        number: int = field(factory=lambda: next(made))

        def perform(self): ...

    MadeJob().validate()
    with pytest.raises(ValidationError, match="number"):
        MadeJob().validate()
    MadeJob().validate()


def test_what_was_put_into_a_container_since_is_checked():
    job = ManyDefaultsJob()
    job.validate()
    job.tags.append(1)
    with pytest.raises(ValidationError, match="tags"):
        job.validate()
