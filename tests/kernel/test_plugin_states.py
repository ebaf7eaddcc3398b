"""States of plugins: counted, listed, steered like the kernel's, and refused where they clash."""

import pytest

from rocketjob import (
    EventCommand,
    InvalidTransition,
    Job,
    PluginError,
    State,
    Transition,
    before,
    event,
    hookimpl,
)
from rocketjob.cli.jobs import jobs as jobs_group
from rocketjob.plugins import states as plugin_states
from rocketjob.plugins.manager import PluginManager
from rocketjob.server.checks import PROBLEM, Patient
from rocketjob.server.kernel_checks import check_jobs
from rocketjob.states.transitions import AllBut
from rocketjob_plugins.batch import Batch
from rocketjob_plugins.singleton import Singleton
from support.jobs import PassingJob
from support.plugins import entry_point

SIGN = EventCommand("sign", "Sign jobs.", "signed", takes_reason=True)
TEXT = "it waits for a signature: sign or abort it"


class Signed(Job, abstract=True):
    signed_by: str | None = None

    @event(Transition("queued", "signature"))
    def hold(self, *, save=True): ...

    @event(Transition("signature", "queued"))
    def sign(self, by="somebody", *, reason=None, save=True):
        self.signed_by = by

    @event(Transition("running", "signature"))
    def ask_again(self, *, save=True):
        self.clear_claim()

    @before("create")
    def _signed_hold(self):
        if self.is_queued:
            self.hold(save=False)


class SignedJob(Signed, Job):
    destroy_on_complete = False

    def perform(self): ...


class AsksAgainJob(Signed, Job):
    destroy_on_complete = False

    @before("perform")
    def not_yet(self):
        if self.signed_by != "twice":
            self.ask_again()

    def perform(self): ...


class SignedBatchJob(Signed, Batch, Job):
    destroy_on_complete = False

    def perform(self, record): ...


class SignedSingletonJob(Singleton, Signed, Job):
    def perform(self): ...


class AppStateJob(Job):
    """Has a state that no plugin registers."""

    @event(Transition("queued", "shelved"))
    def shelve(self): ...

    @event(Transition(("shelved",), "queued"))
    def take_down(self): ...

    def perform(self): ...


def plugin_with(*states):
    class Plugin:
        @hookimpl
        def register_states(self):
            return list(states)

    return Plugin()


def signature(commands=(SIGN,)):
    return State("signature", TEXT, "yellow", commands)


@pytest.fixture
def plugin(rocketjob):
    plugin = plugin_with(signature())
    rocketjob.plugins.register(plugin, "signed")
    return plugin


# --- such a job ----------------------------------------------------------------------------------


def test_a_job_in_a_plugins_state_is_not_claimed_until_an_event_queues_it(rocketjob, plugin):
    job = SignedJob.create()
    assert (job.state, job.is_signature, job.is_queued) == ("signature", True, False)
    assert rocketjob.work_off() == 0
    job.sign(by="ann")
    assert rocketjob.work_off() == 1
    job.reload()
    assert (job.state, job.signed_by) == ("completed", "ann")
    assert [entry.event for entry in job.history] == ["hold", "sign", "start", "complete"]


def test_it_is_found_and_counted_by_its_state(rocketjob, plugin):
    SignedJob.create()
    SignedJob.create().sign()
    PassingJob.create()
    assert SignedJob.signature().count() == 1
    assert Job.in_state("signature").count() == 1
    assert Job.in_state("signature", "queued").count() == 3
    assert Job.where(priority=50).in_state("signature").count() == 1
    assert Job.counts_by_state() == {"queued": 2, "queued_now": 2, "signature": 1}


def test_a_state_that_there_is_not_is_refused_with_the_one_that_was_meant(rocketjob, plugin):
    with pytest.raises(ValueError, match="there is no state signatur; did you mean signature"):
        Job.in_state("signatur")


@pytest.mark.parametrize(("event", "state"), [("abort", "aborted"), ("fail", "failed")])
def test_it_can_be_given_up_as_any_job_that_has_not_ended(rocketjob, plugin, event, state):
    job = SignedJob.create()
    getattr(job, event)()
    assert job.reload().state == state
    assert job.completed_at is not None


def test_the_reason_of_an_abort_is_kept_in_the_history(rocketjob):
    job = PassingJob.create()
    job.abort(reason="wrong file")
    assert job.reload().history[-1].reason == "wrong file"


@pytest.mark.parametrize("name", ["start", "pause", "resume", "retry", "requeue", "run_now"])
def test_the_kernels_other_events_have_nothing_to_do_with_it(rocketjob, plugin, name):
    with pytest.raises(InvalidTransition, match="that is signature"):
        getattr(SignedJob.create(), name)()


def test_explain_says_what_the_plugin_says_of_the_state(rocketjob, plugin):
    job = SignedJob.create()
    assert str(job.explain()).endswith(f"is signature\n- {TEXT}")


def test_an_event_of_a_running_job_leads_to_it_and_nobody_holds_the_job_then(rocketjob, plugin):
    job = AsksAgainJob.create()
    job.sign()
    rocketjob.work_off()
    job.reload()
    assert (job.state, job.claimed_by, job.worker_name) == ("signature", None, None)
    job.sign(by="twice")
    rocketjob.work_off()
    assert job.reload().state == "completed"


def test_a_batch_job_keeps_its_slices_while_it_waits(rocketjob, plugin):
    job = SignedBatchJob(slice_size=1)
    job.upload(["one", "two"])
    job.save()
    assert job.reload().is_signature
    assert rocketjob.work_off() == 0
    assert job.as_dict()["queued_slices"] == 2
    job.sign()
    rocketjob.work_off()
    assert job.reload().state == "completed"


def test_a_singleton_counts_once_it_is_queued(rocketjob, plugin):
    first, second = SignedSingletonJob.create(), SignedSingletonJob.create()
    first.sign()
    with pytest.raises(Exception, match="already queued, running or paused"):
        second.sign()
    assert second.reload().state == "signature"


# --- a class of an app ---------------------------------------------------------------------------


def test_a_state_of_a_class_without_a_plugin_has_its_question_and_its_query(rocketjob):
    job = AppStateJob.create()
    assert job.is_shelved is False
    job.shelve()
    assert job.is_shelved
    assert AppStateJob.shelved().count() == Job.in_state("shelved").count() == 1
    assert not hasattr(Job, "shelved")


def test_one_source_can_be_given_by_its_name():
    assert Transition("queued", "held").sources == ("queued",)
    assert Transition(["queued", "paused"], "held").sources == ("queued", "paused")


def test_all_states_but_some_are_those_of_plugins_too():
    assert "signature" in AllBut(("completed",))
    assert "completed" not in AllBut(("completed",))


# --- without the plugin --------------------------------------------------------------------------


def test_a_job_of_a_plugin_that_is_gone_stays_and_can_be_steered(rocketjob, plugin):
    job, other = SignedJob.create(), SignedJob.create()
    rocketjob.plugins.unregister(plugin)
    assert rocketjob.work_off() == 0
    assert Job.in_state("signature").count() == 2
    assert Job.counts_by_state() == {"signature": 2}
    other.abort()
    rocketjob.plugins.register(plugin, "signed")
    job.reload().sign()
    assert rocketjob.work_off() == 1


def test_doctor_and_explain_name_a_state_of_no_plugin(rocketjob, plugin):
    job = SignedJob.create()
    Job.collection().update_one({"_id": job.id}, {"$set": {"state": "lost_for_words"}})
    found = [each for each in check_jobs(patient(rocketjob)) if "state" in each.data]
    assert [(each.status, each.message) for each in found] == [
        (PROBLEM, "1 job lost_for_words, a state of no plugin that is loaded here")
    ]
    assert "abort --all-matching --state lost_for_words" in found[0].advice
    assert "a state of no plugin that is loaded here" in str(job.explain())


def test_doctor_has_nothing_to_say_of_a_state_that_is_known(rocketjob, plugin):
    SignedJob.create()
    AppStateJob.create().shelve()
    assert not [each for each in check_jobs(patient(rocketjob)) if "state" in each.data]


def patient(rocketjob):
    return Patient(rocketjob.application, {})


# --- what is refused -----------------------------------------------------------------------------


def test_two_plugins_with_one_state_are_named_and_the_second_is_not_registered(rocketjob, plugin):
    twin = plugin_with(State("signature", "it waits too"))
    with pytest.raises(PluginError, match="plugin twin has a state signature, and so has the plug"):
        rocketjob.plugins.register(twin, "twin")
    assert rocketjob.plugins.states["signature"].text == TEXT
    rocketjob.plugins.unregister(plugin)
    rocketjob.plugins.register(twin, "twin")
    assert rocketjob.plugins.states["signature"].text == "it waits too"


@pytest.mark.parametrize(
    ("state", "says"),
    [
        (State("paused", "it waits"), "one of the kernel's"),
        (State("Waiting", "it waits"), "lower-case letters"),
        (State("scheduled", "it waits"), "means something else of a job"),
        (State("errors", "it waits"), "means something else of a job"),
        (State("where", "it waits"), "means something else of a job"),
        (State("signature", "it waits", "pink"), "colors are black red"),
        (State("signature", "it waits", commands=["sign"]), "for an EventCommand"),
        (signature(commands=[EventCommand("retry", "Retry.", "retried")]), "so has RocketJob"),
        (signature(commands=[EventCommand("list", "List.", "listed")]), "so has RocketJob"),
    ],
)
def test_a_state_that_cannot_be_one_is_refused(rocketjob, state, says):
    with pytest.raises(PluginError, match=says):
        rocketjob.plugins.register(plugin_with(state), "signed")
    assert not rocketjob.plugins.states


def test_two_plugins_with_one_command_are_named(rocketjob, plugin):
    other = State("contract", "it waits", commands=[EventCommand("sign", "Sign.", "signed")])
    with pytest.raises(PluginError, match="has a command jobs sign, and so has the plugin signed"):
        rocketjob.plugins.register(plugin_with(other), "contracts")


STATE_OF_PLUGIN = """
from rocketjob import State

@hookimpl
def register_states():
    return [State("signature", "it waits")]
"""


def test_of_two_installed_plugins_with_one_state_the_second_is_left_out(monkeypatch):
    both = [entry_point(monkeypatch, name, STATE_OF_PLUGIN) for name in ("first", "second")]
    manager = PluginManager(entry_points=both, strict=False)
    assert list(manager.states) == ["signature"]
    assert {info.name: info.states for info in manager.infos()} == {
        "first": ("signature",),
        "second": (),
    }
    (problem,) = manager.problems
    assert "The plugin second (rocketjob_plugin_second, from rocketjob-plugin-second" in problem
    assert "and so has the plugin first (rocketjob_plugin_first, from" in problem


def test_the_commands_that_plugins_cannot_take_are_those_that_there_are():
    assert set(jobs_group.commands) == plugin_states.OF_JOBS | plugin_states.OF_EVENTS
