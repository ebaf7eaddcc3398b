"""`rocketjob top`: a frame rendered from a store, and keys fed to it."""

import contextlib
import json
import os
import pty
import re
import select
import signal
import termios
from datetime import timedelta

import pytest
from bson import ObjectId
from click.testing import CliRunner
from rich.cells import cell_len

from rocketjob import Job, Server
from rocketjob.base import clock
from rocketjob.base.errors import StoreUnavailable
from rocketjob.cli import make_cli
from rocketjob.jobs.steering import steer
from rocketjob.server.verdict import FAILING, UNKNOWN
from rocketjob_plugins.audit.trail import records
from rocketjob_plugins.batch import Batch
from rocketjob_plugins.failures import looking
from rocketjob_plugins.housekeeping import HousekeepingJob
from rocketjob_plugins.top import desk as desk_module
from rocketjob_plugins.top.desk import Desk
from rocketjob_plugins.top.frame import bar, frame
from rocketjob_plugins.top.live import ENTER, LEAVE, keys_in, watch
from rocketjob_plugins.top.look import TABS

STYLE = re.compile(r"\x1b\[[0-9;]*m")


class WatchedJob(Job):
    destroy_on_complete = False
    pausable = True

    def perform(self): ...


class WatchedBatchJob(Batch):
    def perform(self, record): ...


@pytest.fixture
def desk(rocketjob):
    rocketjob.freeze()
    HousekeepingJob.create()
    return Desk(by="ada")


def server(name="host:1", performing=(), **values):
    beat = {
        "updated_at": clock.now(),
        "number": 1,
        "workers": 4,
        "performing": [str(each) for each in performing],
        "version": "1.2.3",
        "memory": 50_000_000,
    }
    return Server.create(name=name, host="host", state="running", heartbeat=beat, **values)


def running(cls=WatchedJob, **values):
    job = cls.create()
    stored = {"state": "running", "started_at": clock.now() - timedelta(seconds=90), **values}
    Job.collection().update_one({"_id": job.id}, {"$set": stored})
    return job.reload()


def seen(desk, width=80, height=24):
    desk.look()
    return [STYLE.sub("", line) for line in frame(desk, width, height)]


def press(desk, *keys):
    for key in keys:
        desk.press(key)
    desk.work()


def state(job):
    return Job.collection().find_one({"_id": job.id})["state"]


# --- what is shown -------------------------------------------------------------------------------


def test_a_frame_says_how_it_is_who_works_and_what_is_run(rocketjob, desk):
    job = running(worker_name="host:1:1", percent_complete=45, progress_text="9 of 20")
    server(performing=[job.id])
    lines = seen(desk, 120, 50)
    assert lines[0].startswith("✔ OK  nothing is wrong with servers, the queue")
    page = "\n".join(lines)
    assert re.search(r"host:1 +running +1.2.3 +host +1/4 +50.0 MB +0s ago", page)
    assert "1 of 4 workers busy" in page
    assert "[running 1]  queued 0   scheduled 1   failed 0   paused 0" in page
    assert re.search(rf"> WatchedJob  {job.id}  ████░░░░░░  45%  host:1:1 +1m 30s  9 of 20", page)
    assert "Ended: 0.0/min in the last hour" in page


@pytest.mark.parametrize(("width", "height"), [(80, 24), (200, 60), (10, 3)])
def test_a_frame_fits_the_terminal_whatever_is_in_the_store(rocketjob, desk, width, height):
    for number in range(30):
        running(description="x" * 300, progress_text="汉" * 200, worker_name="w" * 99)
        server(f"server-{number}" + "-long" * 20)
    WatchedJob.create().fail("no\nsuch\tfile " * 50)
    for key in (None, "?", "x", "a", "w", *"because of this", "escape", "n", "right"):
        if key is not None:
            desk.press(key)
        lines = seen(desk, width, height)
        assert len(lines) == height
        assert width < 80 or max(map(cell_len, lines)) <= width  # a narrower one does not wrap


def test_stored_text_cannot_control_the_terminal(rocketjob, desk):
    server(name="evil\x1b]0;owned\x07")
    running(progress_text="\x1b[2J\x9b31m", worker_name="\x07\r")
    WatchedJob.create().fail("\x1b[1;1Hgone")
    for tab in TABS:
        desk.tab = tab
        assert not re.search(r"[\x00-\x1f\x7f-\x9f]", "".join(seen(desk, 150, 40)))


def test_jobs_of_several_workers_say_how_many_are_at_them_and_how_far_they_are(rocketjob, desk):
    job = WatchedBatchJob()
    job.upload(["a", "b"])
    job.save()
    stored = {"state": "running", "sub_state": "processing", "started_at": clock.now()}
    Job.collection().update_one({"_id": job.id}, {"$set": stored})
    server(performing=[f"{job.id}/1", f"{job.id}/2", f"{job.id}/3"])
    line = next(line for line in seen(desk) if str(job.id) in line)
    assert "3 at it" in line
    assert "░░░░░░░░░░   0%" in line


def test_what_waits_says_why_and_what_has_failed_says_so(rocketjob, desk):
    server()
    held = WatchedJob.create(priority=1)
    Job.collection().update_one({"_id": held.id}, {"$set": {"throttled_text": "load 3.2 > 0.8"}})
    WatchedJob.create().fail("the disk is full")
    press(desk, "right")
    assert any(str(held.id) in line and "load 3.2 > 0.8" in line for line in seen(desk))
    press(desk, "tab")
    lines = seen(desk)
    assert any("HousekeepingJob" in line and " in " in line for line in lines)
    press(desk, "right")
    assert any("JobException: the disk is full" in line for line in seen(desk, 120))
    assert seen(desk)[0].startswith("✖ FAILING  1 job has failed since")


def test_progress_can_be_told_without_colour():
    assert [bar(45), bar(0), bar(100), bar(None)] == [
        "████░░░░░░  45%",
        "░░░░░░░░░░   0%",
        "██████████ 100%",
        "··········    ?",
    ]


def test_an_empty_store_says_how_to_begin(rocketjob, desk):
    page = "\n".join(seen(desk))
    assert "No server is registered. Start one: rocketjob server --app MODULE" in page
    assert "No job is running." in page


class Counting:
    """A store that counts how often it is asked, and how many documents it gives."""

    def __init__(self, store, monkeypatch):
        self.calls = self.documents = 0
        self._collection = store.collection
        monkeypatch.setattr(store, "collection", self.collection)

    def collection(self, name):
        return CountedCollection(self, self._collection(name))


class CountedCollection:
    def __init__(self, counting, collection):
        self._counting, self._collection = counting, collection

    def __getattr__(self, name):
        asked = getattr(self._collection, name)

        def call(*args, **options):
            self._counting.calls += 1
            found = asked(*args, **options)
            return self._told(found) if name == "find" else found

        return call if callable(asked) else asked

    def _told(self, found):
        for each in found:
            self._counting.documents += 1
            yield each


@pytest.mark.parametrize("tab", TABS, ids=lambda tab: tab.name)
def test_a_look_asks_the_store_as_often_however_long_the_queue_is(
    rocketjob, desk, monkeypatch, tab
):
    server()
    desk.tab = tab
    states = ["queued", "running", "failed", "paused"]
    now = clock.now()

    def more(number):
        Job.collection().insert_many(
            {
                "_type": "WatchedJob",
                "state": states[n % 4],
                "priority": 50,
                "created_at": now,
                "completed_at": now,
                "started_at": now,
            }
            for n in range(number)
        )

    monkeypatch.setattr(looking, "MOST", 50)  # failed jobs that are looked at
    more(8)
    counting = Counting(rocketjob.store, monkeypatch)
    desk.look()
    before = counting.calls
    more(1600)
    counting.calls = counting.documents = 0
    desk.look()
    assert desk.failed is None
    assert counting.calls <= before <= 25
    assert counting.documents < 500


# --- keys ----------------------------------------------------------------------------------------


def test_a_job_is_paused_after_a_question_and_the_record_says_by_whom_and_why(rocketjob, desk):
    server()
    first, second = running(), running()
    desk.look()
    press(desk, "down", "p")
    assert seen(desk)[-1].startswith(f"Pause WatchedJob {second.id}?  y yes  n no  w why")
    assert state(second) == "running"
    press(desk, "w", *"too slow", "x", "backspace")
    assert seen(desk)[-1].endswith("because: too slow_")
    press(desk, "enter")
    assert (state(first), state(second)) == ("running", "paused")
    assert seen(desk)[-1] == f"WatchedJob {second.id} is paused"
    (entry,) = [each for each in second.reload().history if each.event == "pause"]
    assert (entry.by, entry.reason) == ("ada", "too slow")
    (record,) = records(job=second.id)
    assert (record.by, record.how, record.reason) == ("ada", "rocketjob top", "too slow")


def test_r_retries_what_has_failed_and_resumes_what_is_paused(rocketjob, desk):
    failed, paused = WatchedJob.create(), WatchedJob.create()
    failed.fail("the disk is full")
    paused.pause()
    for job, turns in ((failed, 3), (paused, 1)):
        press(desk, *["right"] * turns)
        desk.look()
        press(desk, "r", "y")
        assert state(job) == "queued"
    assert "goes on" in desk.message


def test_n_and_escape_do_nothing_and_so_does_any_other_key(rocketjob, desk):
    job = running()
    desk.look()
    for keys in (("a", "n"), ("a", "escape"), ("a", "w", "y", "escape", "n"), ("a", "x", "r", "q")):
        press(desk, *keys)
        assert (state(job), desk.message, desk.is_done) == ("running", "nothing was done", False)


def test_a_deed_that_the_state_does_not_allow_is_not_asked(rocketjob, desk):
    job = running()
    desk.look()
    press(desk, "r")
    assert desk.message == f"retry or resume: not possible, WatchedJob {job.id} is running"
    press(desk, "right")
    desk.look()
    press(desk, "a")
    assert (desk.question, desk.message) == (None, "there is no job here")


def test_who_was_first_is_said_and_nothing_is_done(rocketjob, desk):
    job = running()
    desk.look()
    press(desk, "p")
    steer(job.id, "abort", by="grace")
    press(desk, "y")
    assert desk.message == (
        f"Pause: nothing was done. WatchedJob {job.id} is aborted, since abort by grace 0s ago"
    )
    other = running()
    desk.look()
    press(desk, "a")
    other.destroy()
    press(desk, "y")
    assert desk.message == f"Abort: nothing was done. WatchedJob {other.id} is gone"


def test_a_job_that_cannot_be_paused_says_why(rocketjob, desk):
    job = running(WatchedBatchJob, sub_state="after")
    desk.look()
    press(desk, "p", "y")
    assert (state(job), desk.message.startswith("Pause: nothing was done.")) == ("running", True)


def test_the_chosen_job_stays_chosen_while_others_come_and_go(rocketjob, desk):
    jobs = [running() for _ in range(3)]
    desk.look()
    press(desk, "down")
    urgent = WatchedJob.create(priority=1)
    Job.collection().update_one({"_id": urgent.id}, {"$set": {"state": "running"}})
    desk.look()
    assert desk.row.id == jobs[1].id
    press(desk, "up", "up", "up", "up")
    assert desk.row.id == urgent.id
    press(desk, "down", "s")  # the longest first
    assert [row.id for row in desk.rows][-1] == urgent.id
    press(desk, "end")
    jobs[0].destroy()
    desk.look()
    assert desk.row is not None


def test_jobs_that_change_while_a_frame_is_made_do_no_harm(rocketjob, desk):
    running(), running()
    desk.look()
    rows = desk.rows
    desk.look()  # as the other thread does, in the middle of a frame
    assert desk.chosen(rows) is rows[0]
    desk.selected = ObjectId()  # one that is gone
    assert desk.chosen(rows) is rows[0]
    assert desk.chosen([]) is None


def test_what_is_done_is_known_until_it_is_done(rocketjob, desk, monkeypatch):
    running()
    desk.look()
    during = []
    monkeypatch.setattr(desk_module, "steer", lambda *_, **__: during.append(desk.doing))
    press(desk, "a", "y")
    assert during[0].deed.event == "abort"
    assert desk.doing is None


def test_help_goes_away_with_any_key(rocketjob, desk):
    running()
    press(desk, "?")
    page = "\n".join(seen(desk))
    assert "retry a failed job" in page
    press(desk, "a")
    assert desk.question is None
    assert "retry a failed job" not in "\n".join(seen(desk))


def test_what_a_terminal_sends_is_read_as_keys():
    sent = "a\x1b[A\x1bOB\x1b[15~\t\x1b[1;5Cq\r\x7fé"
    assert list(keys_in(sent)) == ["a", "up", "down", "tab", "q", "enter", "backspace", "é"]
    assert list(keys_in("\x1b")) == ["escape"]
    assert list(keys_in("\x1b[")) == []


# --- a store that is away ------------------------------------------------------------------------


def test_what_is_old_is_never_green(rocketjob, desk, monkeypatch):
    server()
    job = running()
    assert seen(desk)[0].startswith("✔ OK")
    at = f"{clock.now():%H:%M:%S} UTC"
    rocketjob.travel(timedelta(seconds=16))  # as where a look hangs
    assert desk.verdict.level is UNKNOWN

    def away(name):
        raise StoreUnavailable("the store is away")

    with monkeypatch.context() as patched:
        patched.setattr(rocketjob.store, "collection", away)
        lines = seen(desk, 100)
        assert lines[0].startswith(f"? UNKNOWN  nothing was seen since {at}: the store is away")
        assert any(str(job.id) in line for line in lines)
        press(desk, "a", "y")
        assert "it is not known whether" in desk.message
    Server.collection().update_many({}, {"$set": {"heartbeat.updated_at": clock.now()}})
    assert seen(desk)[0].startswith("✔ OK")


# --- the terminal --------------------------------------------------------------------------------


class Typing(Desk):
    """A desk at which keys are pressed once it is seen, and something happens at some."""

    def look(self):
        """Leave the store alone: the thread may live a little longer than the test."""

    def sit_down(self, at, keys):
        self.end_of_terminal, self.keys = at, keys
        return self

    @property
    def verdict(self):
        keys, self.keys = self.keys, ""
        os.write(self.end_of_terminal, keys.encode())
        return super().verdict

    def press(self, key):
        if key == "!":
            raise RuntimeError("a fault")
        if key == "T":
            signal.raise_signal(signal.SIGTERM)
        if key == "^":
            raise KeyboardInterrupt
        super().press(key)


@contextlib.contextmanager
def a_terminal(monkeypatch):
    """Let standard input and output be a terminal; give both ends of it."""
    here, there = pty.openpty()
    with os.fdopen(there, "w", closefd=False) as out, os.fdopen(there) as read:
        monkeypatch.setattr("sys.stdin", read)
        monkeypatch.setattr("sys.stdout", out)
        yield here, there
        monkeypatch.undo()
    os.close(here)


def all_that_is_written(end_of_terminal):
    written = b""
    while not written.endswith(LEAVE.encode()) and select.select([end_of_terminal], [], [], 10)[0]:
        written += os.read(end_of_terminal, 100_000)
    return written.decode()


@pytest.mark.parametrize(
    ("keys", "ends"),
    [("?xq", None), ("!", RuntimeError), ("T", SystemExit), ("^", KeyboardInterrupt)],
)
def test_the_terminal_is_as_it_was_whatever_ends_the_view(rocketjob, monkeypatch, keys, ends):
    # Not in a fixture: pytest sets its own standard output after those.
    with a_terminal(monkeypatch) as (here, there):
        before = termios.tcgetattr(there), signal.getsignal(signal.SIGTERM)
        with pytest.raises(ends) if ends else contextlib.nullcontext():
            watch(Typing().sit_down(here, keys), 60)
        after = termios.tcgetattr(there), signal.getsignal(signal.SIGTERM)
        written = all_that_is_written(here)
    assert after == before
    assert written.startswith(ENTER)
    assert written.endswith(LEAVE)
    assert "q quit" in written


# --- the command ---------------------------------------------------------------------------------


def run(*args):
    return CliRunner().invoke(make_cli(), ["top", *args])


def test_without_a_terminal_it_is_shown_once_and_ends(rocketjob, desk):
    server()
    job = running()
    for args in ((), ("--once",)):
        result = run(*args)
        assert result.exit_code == 0
        assert result.stdout.startswith("✔ OK")
        assert str(job.id) in result.stdout
        assert "\x1b" not in result.stdout


def test_for_programs_it_is_one_object(rocketjob, desk):
    server()
    running()
    WatchedJob.create().fail("the disk is full")
    (line,) = run("--json").stdout.splitlines()
    told = json.loads(line)
    assert (told["verdict"], told["workers"], told["jobs"]["failed"]) == (FAILING.word, 4, 1)
    assert told["causes"][0]["advice"] == "see why: rocketjob failures"
    assert told["servers"][0]["memory"] == 50_000_000
    assert told["running"][0]["class"] == "WatchedJob"


@pytest.mark.parametrize("interval", ["0s", "0.1s", "soon", "-1s"])
def test_an_interval_that_is_none_is_wrong_use(rocketjob, interval):
    result = run("--interval", interval)
    assert result.exit_code == 2
