"""`before`, `after` and `around`: in which order they run, and what ends them."""

from contextlib import suppress

import pytest

from rocketjob import Job, after, around, before
from support.jobs import stored


class Traced:
    """Notes what ran, in order; it is not a field of the job."""

    def note(self, text):
        self.__dict__.setdefault("_ran", []).append(text)

    @property
    def order(self):
        return self.__dict__.get("_ran", [])


# --- the order of perform (behaviour 3.1; row 10) ---------------------------------------------


def test_befores_in_order_afters_in_reverse_and_arounds_where_they_were_defined():
    class OrderJob(Traced, Job):
        @before("perform")
        def before_1(self):
            self.note("before 1")

        @after("perform")
        def after_1(self):
            self.note("after 1")

        @around("perform")
        def around_1(self):
            self.note("around 1 in")
            yield
            self.note("around 1 out")

        @before("perform")
        def before_2(self):
            self.note("before 2")

        @around("perform")
        def around_2(self):
            self.note("around 2 in")
            yield
            self.note("around 2 out")

        @after("perform")
        def after_2(self):
            self.note("after 2")

        def perform(self):
            self.note("perform")

    job = OrderJob()
    job.perform_now()
    assert job.order == [
        "before 1",
        "around 1 in",
        "before 2",
        "around 2 in",
        "perform",
        "after 2",
        "around 2 out",
        "around 1 out",
        "after 1",
    ]


def trace(kind, event, name=None, when=None):
    """Return a callback that notes its name."""
    name = name or f"{kind} {event}"
    decorate = {"before": before, "after": after, "around": around}[kind](event, when=when)

    def plain(self):
        self.note(name)

    def wrapping(self):
        self.note(f"{name} in")
        try:
            yield
        finally:
            self.note(f"{name} out")

    function = wrapping if kind == "around" else plain
    function.__name__ = name.replace(" ", "_")
    return decorate(function)


def test_bases_come_first_from_right_to_left_then_the_class_itself():
    class Left:
        l_before = trace("before", "perform", "left before")
        l_after = trace("after", "perform", "left after")

    class Right:
        r_before = trace("before", "perform", "right before")
        r_after = trace("after", "perform", "right after")

    class OwnJob(Traced, Left, Right, Job):
        o_before = trace("before", "perform", "own before")
        o_after = trace("after", "perform", "own after")

        def perform(self):
            self.note("perform")

    job = OwnJob()
    job.perform_now()
    assert job.order == [
        "right before",
        "left before",
        "own before",
        "perform",
        "own after",
        "left after",
        "right after",
    ]


def test_a_subclass_adds_to_itself_and_not_to_its_parent():
    class ParentJob(Traced, Job):
        a = trace("before", "perform", "parent")

        def perform(self):
            pass

    class ChildJob(ParentJob):
        b = trace("before", "perform", "child")

    parent, child = ParentJob(), ChildJob()
    parent.perform_now()
    child.perform_now()
    assert (parent.order, child.order) == (["parent"], ["parent", "child"])


def test_a_method_declared_again_moves_to_the_later_place():
    class FirstJob(Traced, Job):
        @before("perform")
        def one(self):
            self.note("one")

        @before("perform")
        def two(self):
            self.note("two")

        def perform(self):
            pass

    class MovedJob(FirstJob):
        @before("perform")
        def one(self):
            self.note("one again")

    job = MovedJob()
    job.perform_now()
    assert job.order == ["two", "one again"]


def test_a_method_overridden_without_the_mark_keeps_its_place():
    class FirstJob(Traced, Job):
        @before("perform")
        def one(self):
            self.note("one")

        @before("perform")
        def two(self):
            self.note("two")

        def perform(self):
            pass

    class KeptPlaceJob(FirstJob):
        def one(self):
            self.note("one again")

    job = KeptPlaceJob()
    job.perform_now()
    assert job.order == ["one again", "two"]


def test_a_callback_may_have_several_events_and_several_kinds():
    class SeveralJob(Traced, Job):
        @before("start", "complete")
        @after("perform")
        def many(self):
            self.note(self.state)

        def perform(self):
            pass

    job = SeveralJob()
    job.perform_now()
    assert job.order == ["queued", "running", "running"]


def test_when_decides_each_time():
    class WhenJob(Traced, Job):
        flag: bool = False
        a = trace("before", "perform", "before", when=lambda job: job.flag)
        b = trace("around", "perform", "around", when=lambda job: job.flag)
        c = trace("after", "perform", "after", when=lambda job: job.flag)

        def perform(self):
            self.note("perform")

    off, on = WhenJob(), WhenJob(flag=True)
    off.perform_now()
    on.perform_now()
    assert off.order == ["perform"]
    assert on.order == ["before", "around in", "perform", "after", "around out"]


def test_when_of_an_after_sees_what_happened():
    class CountedJob(Traced, Job):
        a = trace("after", "fail", "too often", when=lambda job: job.failure_count > 1)

        def perform(self): ...

    job = CountedJob()
    job.fail("x", save=False)
    assert job.order == []
    job.retry(save=False)
    job.fail("x", save=False)
    assert job.order == ["too often"]


# --- values -----------------------------------------------------------------------------------


def test_an_around_sees_the_value_and_may_replace_it():
    class DoublingJob(Traced, Job):
        @around("perform")
        def double(self):
            value = yield
            self.note(f"saw {value}")
            return value * 2

        @around("perform")
        def only_look(self):
            value = yield
            self.note(f"looked at {value}")

        def perform(self):
            return 21

    job = DoublingJob()
    assert job.perform_now() == 42
    assert job.order == ["looked at 21", "saw 21"]


def test_what_a_before_returns_means_nothing():
    class FalseJob(Job):
        @before("perform")
        def no(self):
            return False

        def perform(self):
            return "worked"

    assert FalseJob().perform_now() == "worked"


# --- errors -----------------------------------------------------------------------------------


def make_raising(where, base=Job):
    class RaisingJob(Traced, base):
        @around("perform")
        def outer(self):
            self.note("outer in")
            try:
                yield
            except RuntimeError as error:
                self.note(f"outer saw {error}")
                raise
            finally:
                self.note("outer out")

        @before("perform")
        def first(self):
            self._raise("before")

        b = trace("before", "perform", "second before")
        c = trace("around", "perform", "inner")
        d = trace("after", "perform", "second after")

        @after("perform")
        def last(self):
            self._raise("after")

        def perform(self):
            self._raise("perform")

        def _raise(self, here):
            self.note(here)
            if here == where:
                raise RuntimeError(here)

    return RaisingJob


def test_an_error_in_a_before_skips_the_rest():
    job = make_raising("before")()
    with pytest.raises(RuntimeError):
        job.perform_now()
    assert job.order == ["outer in", "before", "outer saw before", "outer out"]
    assert job.is_failed


def test_an_error_in_perform_skips_the_afters_and_goes_through_the_arounds():
    job = make_raising("perform")()
    with pytest.raises(RuntimeError):
        job.perform_now()
    assert job.order == [
        "outer in",
        "before",
        "second before",
        "inner in",
        "perform",
        "inner out",
        "outer saw perform",
        "outer out",
    ]
    assert job.is_failed


def test_an_error_in_an_after_skips_the_other_afters_and_fails_the_job():
    job = make_raising("after")()
    with pytest.raises(RuntimeError):
        job.perform_now()
    assert job.order == [
        "outer in",
        "before",
        "second before",
        "inner in",
        "perform",
        "after",
        "inner out",
        "outer saw after",
        "outer out",
    ]
    assert job.is_failed


def test_no_error_means_no_error():
    job = make_raising("nowhere")()
    job.perform_now()
    assert job.order[-4:] == ["after", "second after", "inner out", "outer out"]
    assert job.is_completed


def test_an_around_may_swallow_an_error_and_the_job_completes():
    class ForgivingJob(Traced, Job):
        @around("perform")
        def outer(self):
            value = yield
            self.note(f"outer got {value}")

        @around("perform")
        def forgive(self):
            try:
                yield
            except RuntimeError:
                return "forgiven"

        def perform(self):
            raise RuntimeError

    job = ForgivingJob()
    assert job.perform_now() == "forgiven"
    assert job.order == ["outer got forgiven"]
    assert job.is_completed


def test_an_around_may_put_another_error_in_place():
    class TranslatingJob(Job):
        @around("perform")
        def translate(self):
            try:
                yield
            except RuntimeError as error:
                raise KeyError("translated") from error

        def perform(self):
            raise RuntimeError("x")

    job = TranslatingJob()
    with pytest.raises(KeyError):
        job.perform_now()
    assert (job.exception.class_name, job.exception.cause.class_name) == (
        "KeyError",
        "RuntimeError",
    )


def test_an_around_that_does_not_yield_is_an_error():
    class SilentJob(Job):
        @around("perform")
        def silent(self):
            if self.priority == 0:
                yield

        def perform(self):
            return 1

    with pytest.raises(RuntimeError, match="around callback silent did not yield"):
        SilentJob().perform_now()


@pytest.mark.parametrize("fails", [False, True])
def test_an_around_that_yields_twice_is_an_error(fails):
    class TwiceJob(Job):
        @around("perform")
        def twice(self):
            with suppress(RuntimeError):
                yield
            yield

        def perform(self):
            if fails:
                raise RuntimeError

    with pytest.raises(RuntimeError, match="around callback twice yielded more than once"):
        TwiceJob().perform_now()


def test_a_before_that_ends_the_job_itself_skips_perform_and_runs_the_afters():
    for event, state in (("abort", "aborted"), ("fail", "failed"), ("complete", "completed")):

        class EndingJob(Traced, Job):
            how: str = ""

            @before("perform")
            def end(self):
                getattr(self, self.how)(save=False)

            a = trace("after", "perform", "after")

            def perform(self):
                self.note("perform")

        job = EndingJob(how=event)
        job.perform_now()
        assert (job.order, job.state) == (["after"], state)


# --- declarations that are wrong --------------------------------------------------------------


def test_an_event_that_does_not_exist_is_refused_when_the_class_is_made():
    with pytest.raises(
        TypeError,
        match=r"@before\('preform'\) on .*TypoJob.check: there is no such "
        r"event; did you mean perform\?",
    ):

        class TypoJob(Job):
            @before("preform")
            def check(self):
                pass

    with pytest.raises(TypeError, match="known are abort, complete, create"):

        class OddJob(Job):
            @after("zzzzz")
            def check(self):
                pass


def test_a_mixin_with_an_event_that_does_not_exist_is_refused_where_it_is_used():
    class Bad:
        a = trace("before", "slices", "x")

    with pytest.raises(TypeError, match="there is no such event"):

        class UsesBadJob(Bad, Job):
            def perform(self): ...


def test_a_mixin_may_bring_events_of_its_own():
    class Sliced:
        callback_events = frozenset({"slice"})

        def work_slice(self):
            return self.chain("slice").run(self, lambda: self.note("slice"))

    class SlicedJob(Traced, Sliced, Job):
        a = trace("before", "slice")
        b = trace("around", "slice")

        def perform(self): ...

    job = SlicedJob()
    job.work_slice()
    assert job.order == ["before slice", "around slice in", "slice", "around slice out"]
    assert "slice" not in Job.known_events()


def test_initialize_has_only_afters():
    with pytest.raises(TypeError, match=r"only after\('initialize'\) exists"):

        class EarlyInitJob(Job):
            @before("initialize")
            def early(self):
                pass


def test_an_around_must_be_a_generator_and_an_event_be_named():
    with pytest.raises(TypeError, match="must be a generator with one yield"):

        @around("perform")
        def plain(self):
            pass

    for decorator in (before, after, around):
        with pytest.raises(TypeError, match="needs the name of an event"):
            decorator()
        with pytest.raises(TypeError, match="needs the name of an event"):

            @decorator
            def bare(self):
                yield


# --- from outside -----------------------------------------------------------------------------


def test_middleware_for_all_jobs_from_outside():
    class OutsideJob(Traced, Job):
        a = trace("before", "perform", "own")

        def perform(self):
            return 1

    OutsideJob().perform_now()  # its chain is known by now

    @around("perform", on=Job)
    def traced(job):
        job.note("in")
        value = yield
        job.note("out")
        return value + 1

    @before("start", "complete", on=OutsideJob, when=lambda job: job.priority == 50)
    def noted(job):
        job.note(job.state)

    class LaterJob(OutsideJob):
        pass

    for cls in (OutsideJob, LaterJob):
        job = cls()
        assert job.perform_now() == 2
        assert job.order == ["queued", "in", "own", "out", "running"]


def test_what_was_added_in_one_test_is_gone_in_the_next():
    assert Job.__added_callbacks__ == []


def test_an_event_from_outside_is_checked_at_once():
    with pytest.raises(TypeError, match="did you mean perform"):

        @around("preform", on=Job)
        def traced(job):
            yield


# --- persistence and transitions (behaviour 3.2.5 and 3.3) --------------------------------------

EVENTS = ("validation", "save", "create", "start", "complete", "fail", "perform", "destroy")


def make_whole(**options):
    names = {}
    for event in EVENTS:
        names[f"b_{event}"] = trace("before", event)
        names[f"a_{event}"] = trace("after", event)
    names["around_save"] = trace("around", "save")
    names["init"] = trace("after", "initialize")
    names["perform"] = lambda self: self.note("perform")
    return type(Job)("WholeJob", (Traced, Job), {**names, "__module__": __name__, **options})


@pytest.fixture
def whole(rocketjob):
    cls = make_whole(__qualname__="whole.<locals>.WholeJob")
    yield cls


def test_the_order_of_a_create(whole):
    job = whole.create()
    assert job.order == [
        "after initialize",
        "before validation",
        "after validation",
        "before save",
        "around save in",
        "before create",
        "after create",
        "around save out",
        "after save",
    ]


def test_the_order_of_an_update(whole):
    job = whole.create()
    job.order.clear()
    job.update(priority=5)
    assert job.order == [
        "before validation",
        "after validation",
        "before save",
        "around save in",
        "around save out",
        "after save",
    ]


def test_the_order_of_an_event_that_is_stored(whole):
    job = whole.create()
    job.order.clear()
    job.start()
    assert job.order == [
        "before start",
        "before validation",
        "after validation",
        "before save",
        "around save in",
        "around save out",
        "after save",
        "after start",
    ]


def test_an_event_in_memory_runs_its_own_callbacks_alone(whole):
    job = whole()
    job.order.clear()
    job.start(save=False)
    assert job.order == ["before start", "after start"]


def test_a_failing_job_is_not_validated(whole):
    job = whole.create()
    job.order.clear()
    job.fail("x")
    assert [each for each in job.order if "validation" in each] == []


def test_load_and_reload_run_after_initialize(whole):
    job = whole.create()
    found = whole.find(job.id)
    assert found.order == ["after initialize"]
    found.reload()
    assert found.order == ["after initialize"] * 2


def test_perform_now_on_a_new_job_runs_no_save_callbacks(whole):
    job = whole()
    job.order.clear()
    job.perform_now()
    assert job.order == [
        "before validation",
        "after validation",
        "before start",
        "after start",
        "before perform",
        "perform",
        "after perform",
        "before complete",
        "after complete",
    ]


def test_the_whole_life_of_a_job_that_a_worker_runs(whole, rocketjob):  # behaviour 3.4
    whole.create()
    job = rocketjob.queue.claim(1)[0]
    job.order.clear()
    from rocketjob.worker.runner import work_claimed_job

    work_claimed_job(job, rocketjob.worker)
    assert [each for each in job.order if "validation" not in each and "save" not in each] == [
        "before start",
        "after start",
        "before perform",
        "perform",
        "after perform",
        "before complete",
        "after complete",
        "before destroy",
        "after destroy",
    ]
    assert stored(job) is None


def test_an_after_complete_sees_the_job_stored_before_it_is_removed(rocketjob):
    seen = []

    class SeenDoneJob(Job):
        @after("complete")
        def look(self):
            seen.append(stored(self)["state"])

        def perform(self):
            pass

    SeenDoneJob.create()
    rocketjob.work_off()
    assert seen == ["completed"]
    assert SeenDoneJob.count() == 0


async def nothing(job):
    pass


def empty(job):
    yield


def wrapped(function):
    """Wrap as a decorator without `functools.wraps` does: what is inside cannot be seen."""
    return lambda job: function(job)


@pytest.mark.parametrize("work", [nothing, empty])
@pytest.mark.parametrize("mark", [before("perform"), after("perform"), before("save")])
def test_a_wrapped_callback_that_leaves_its_work_undone_is_an_error(rocketjob, mark, work):
    class LeavesUndoneJob(Job):
        look = mark(wrapped(work))

        def perform(self): ...

    with pytest.raises(TypeError, match=r"callback look returned a .*, which nobody would run"):
        LeavesUndoneJob.create().perform_now()


def test_a_condition_that_leaves_its_work_undone_is_an_error(rocketjob):
    class AsksLaterJob(Job):
        @before("perform", when=wrapped(nothing))
        def look(self): ...

        def perform(self): ...

    with pytest.raises(TypeError, match="when= of the callback look returned a coroutine"):
        AsksLaterJob().perform_now()
