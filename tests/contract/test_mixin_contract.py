"""Every built-in mixin keeps the contract of mixins, and whatever breaks it is found."""

import pytest

from rocketjob import Job, ValidationError, after, before, field, validate
from rocketjob.jobs.limit import Limit
from rocketjob.plugins.manager import PluginManager
from rocketjob.testing.mixin_contract import MixinContract
from rocketjob_plugins.batch import Batch
from rocketjob_plugins.cron import Cron
from rocketjob_plugins.singleton import Singleton
from rocketjob_plugins.throttle import Throttle
from support.suites import failures

OVERRIDES = {
    "Batch": [
        *("work", "joinable", "free_slots", "open_places", "pausable", "held_up_by", "remarks"),
        *("from_properties", "as_dict", "pause", "resume", "retry", "requeue", "removed_by"),
        *("worker_names", "seconds", "write_guard", "change_guard"),
    ],
    "Cron": ["scheduled_at", "duplicate_key_errors", "plan_again", "save", "unique_keys"],
    "Progress": ["work", "bring_back", "progress_now"],
    "Resumable": ["work", "pausable", "bring_back", "progress_now"],
    "Singleton": ["submit", "duplicate_key_errors", "unique_keys"],
    "Throttle": ["claim_limits", "waiting_note", "cleared_by_claim"],
    "ThrottleDependentJobs": ["claim_limits", "waiting_note", "cleared_by_claim"],
}
BASES = {"LowerPriority": [Batch]}


def suite_of(mixin, **attributes):
    return type(f"Test{mixin.__name__}", (MixinContract,), {"mixin": mixin, **attributes})


def upload(suite, job):
    if isinstance(job, Batch):
        job.upload(["one", "two"])


for each in PluginManager().collect("register_mixins"):
    suite = suite_of(
        each,
        overrides=OVERRIDES.get(each.__name__, ()),
        bases=BASES.get(each.__name__, ()),
        prepare=upload,
        attributes=vars(each).get("__example__", {}),
    )
    globals()[suite.__name__] = suite
del suite


class Tagged(Job, abstract=True):
    """A good mixin."""

    tag: str = field(copy_on_restart=True)

    @validate
    def _tag_is_short(self):
        if len(self.tag) > 9:
            self.errors.add("tag", "is too long")

    @before("fail")
    def _tag_failures(self):
        self.tag = "failed"

    def claim_limits(self):
        limit = Limit(name="tag", key=f"tag:{self.tag}", maximum=5, counts={}, blocks={})
        return [*super().claim_limits(), limit]


class Concrete(Job):
    """Not abstract."""


class Performing(Job, abstract=True):
    """Has a perform."""

    def perform(self): ...


class Untold(Job, abstract=True):
    x: int = 0


class Plain:
    """No job."""


class Saving(Job, abstract=True):
    """Replaces what Job does."""

    def save(self, *, validate=True):
        return super().save(validate=validate)


class Sharing(Job, abstract=True):
    """Has a helper of the name of one of Cron's."""

    def _make_cron_key(self):
        return "mine"


class Clashing(Job, abstract=True):
    """Has a callback of the name of one of Retry's."""

    @before("fail")
    def _retry_after_failure(self): ...


class Redeclaring(Job, abstract=True):
    """Has a field of the name of one of Retry's."""

    retry_limit: str = "never"


class Limiting(Job, abstract=True):
    """Forgets the limits of others."""

    def claim_limits(self):
        return [Limit(name="mine", key="mine", maximum=5, counts={}, blocks={})]


class Ending(Job, abstract=True):
    """Aborts what has failed, without a look at what other mixins want."""

    @before("fail")
    def _end(self):
        self.follow_with("abort")


class Raising(Job, abstract=True):
    """Does not let a job complete."""

    @before("perform")
    def _raise(self):
        raise KeyError


class Stopping(Job, abstract=True):
    """Does not tell the other mixins that a class was made."""

    def __init_subclass__(cls, **options):
        pass


class Placed(Job, abstract=True):
    """Does what depends on its place among more than two."""

    @after("start")
    def _look(self):
        if type(self).__mro__.index(Placed) > 3:
            raise KeyError


class Losing(Job, abstract=True):
    """Has a field that is another one when it comes back."""

    note: str = "as it was"

    @before("save")
    def _change(self):
        self.collection().update_one({"_id": self.id}, {"$set": {"note": "another"}}, upsert=True)
        self.collection().delete_one({"_id": self.id})

    @after("save")
    def _change_again(self):
        self.collection().update_one({"_id": self.id}, {"$set": {"note": "another"}})


class Needing(Job, abstract=True):
    """Has a required field that the next instance lacks."""

    source: str


SHARES, ALONE = "it_shares_no_name_with_another_mixin", "a_job_of_it_alone_completes"
SAYS = "it_is_abstract_and_says_what_it_is_for"
MADE = "a_class_can_be_made_of_it_and_any_other_in_every_order"
LIMITS, COURSE = "the_limits_of_others_still_hold", "jobs_take_the_same_course_in_every_order"
MUTANTS = [
    (Concrete, SAYS),
    (Performing, SAYS),
    (Untold, SAYS),
    (Plain, SAYS),
    (Saving, "it_replaces_nothing_of_job_unless_it_says_so"),
    (Limiting, "it_replaces_nothing_of_job_unless_it_says_so"),
    (Sharing, SHARES),
    (Clashing, SHARES),
    (Clashing, MADE),
    (Redeclaring, MADE),
    (Limiting, LIMITS),
    (Limiting, MADE),
    (Ending, COURSE),
    (Raising, ALONE),
    (Stopping, MADE),
    (Placed, "it_may_stand_anywhere_among_all_others"),
    (Losing, "its_fields_come_back_as_they_were_stored"),
    (Needing, "a_job_that_is_restarted_has_what_it_needs"),
]


def test_a_good_mixin_of_a_third_party_passes():
    suite = suite_of(Tagged, attributes={"tag": "x"}, overrides=["claim_limits"])
    assert failures(suite) == {}


@pytest.mark.parametrize(("mixin", "test"), MUTANTS)
def test_what_is_wrong_with_a_mixin_fails_a_test(mixin, test):
    assert test in failures(suite_of(mixin, attributes={"source": "x"}), test)


def test_it_is_combined_with_every_mixin_of_which_a_class_can_be_made():
    partners = {each.__name__ for each in suite_of(Tagged, attributes={"tag": "x"})().partners()}
    every = {each.__name__ for each in PluginManager().collect("register_mixins")}
    assert every - partners == {"LowerPriority"}  # which needs Batch


def test_a_suite_may_name_the_mixins_with_which_it_is_combined():
    suite = suite_of(Limiting, others=[Cron], overrides=["claim_limits"])
    assert failures(suite) == {}
    suite = suite_of(Limiting, others=[Throttle], overrides=["claim_limits"])
    assert failures(suite) != {}


@pytest.mark.parametrize("order", [(Cron, Singleton), (Singleton, Cron)])
def test_cron_and_singleton_each_say_what_is_in_the_way(rocketjob, order):
    body = {"perform": lambda self: None, "cron_schedule": "0 9 * * * UTC"}
    cls = type("BothOfThemJob", (*order, Job), {**body, "__qualname__": "<locals>.BothOfThemJob"})
    cls.create()
    with pytest.raises(ValidationError) as refused:
        cls.create()
    another = "Another instance of BothOfThemJob is already queued, running"
    assert refused.value.errors == {
        "state": [f"{another} or paused"],
        "cron_schedule": [f"{another}, paused or failed with the same schedule"],
    }
