"""Log records: fields instead of prose, formatted by a thread of their own, or by nobody."""

import io
import json
import logging
import subprocess
import sys
import textwrap

import pytest

from rocketjob.base.log import TRACE, Logger, set_level
from rocketjob.base.log_service import LogService
from support.jobs import KeptJob


@pytest.fixture
def root(monkeypatch):
    """The root logger, as it was before afterwards."""
    logger = logging.getLogger()
    level, handlers = logger.level, list(logger.handlers)
    yield logger
    logger.setLevel(level)
    logger.handlers[:] = handlers


def written(tmp_path, work, level="info", name="log.jsonl"):
    """Return the lines that a piece of work left in a log file."""
    service = LogService(level, str(tmp_path / name)).start()
    work()
    service.stop()
    return (tmp_path / name).read_text().splitlines()


def test_fields_become_json(tmp_path, root):
    log = Logger("some.thing").bind(job_id="1")
    (line,) = written(tmp_path, lambda: log.info("building", username="Jack"))
    found = json.loads(line)
    assert found["message"] == "building"
    assert (found["job_id"], found["username"]) == ("1", "Jack")
    assert (found["level"], found["logger"]) == ("info", "some.thing")
    assert found["at"].endswith("+00:00")


def test_fields_become_text(tmp_path, root):
    log = Logger("some.thing")
    (line,) = written(tmp_path, lambda: log.warning("hm", a=1, b="two words"), name="log.txt")
    assert line.endswith("some.thing: hm a=1 b='two words'")
    assert " warn " in line


def test_an_exception_comes_with_its_traceback(tmp_path, root):
    def work():
        try:
            raise KeyError("gone")
        except KeyError:
            Logger("some.thing").exception("failed")

    found = json.loads(written(tmp_path, work)[0])
    assert "KeyError: 'gone'" in found["exception"]


@pytest.mark.parametrize("level", ["info", "debug"])
def test_the_traceback_begins_with_the_code_of_the_job_unless_all_is_to_be_seen(
    tmp_path, root, level
):
    def perform():
        raise KeyError("gone")

    def work():
        kernel = {"__name__": "rocketjob.worker.runner", "perform": perform}
        exec("def run_it():\n    perform()\n", kernel)
        try:
            eval("run_it()", kernel)
        except KeyError as error:
            error.__traceback__ = error.__traceback__.tb_next  # without this function itself
            Logger("some.thing").exception("failed")

    found = json.loads(written(tmp_path, work, level)[0])["exception"]
    assert "in perform" in found and "KeyError: 'gone'" in found
    assert ("in run_it" in found) == (level == "debug")


def test_exception_without_one_says_none(tmp_path, root):
    found = json.loads(written(tmp_path, lambda: Logger("x").exception("odd"))[0])
    assert "exception" not in found


def test_all_that_is_queued_is_written_at_the_end(tmp_path, root):
    log = Logger("some.thing")
    lines = written(tmp_path, lambda: [log.info("one", n=n) for n in range(5000)])
    assert [json.loads(line)["n"] for line in lines] == list(range(5000))


def test_what_is_below_the_level_is_not_even_formatted(tmp_path, root):
    class Loud:
        def __str__(self):
            raise AssertionError("formatted")

    log = Logger("some.thing")
    assert written(tmp_path, lambda: log.debug("quiet", what=Loud()), level="info") == []


def test_a_value_that_has_no_text_does_not_stop_the_log(tmp_path, root, capsys):
    class Mute:
        def __str__(self):
            raise ValueError("no text")

    log = Logger("some.thing")
    lines = written(tmp_path, lambda: [log.info("a", what=Mute()), log.info("b")])
    assert json.loads(lines[-1])["message"] == "b"
    capsys.readouterr()


def test_a_job_has_a_level_of_its_own(rocketjob, tmp_path, root):
    quiet, loud = KeptJob(log_level="error"), KeptJob(log_level="trace")

    def work():
        for job in (quiet, loud):
            job.logger.trace("small")
            job.logger.error("large")

    found = [json.loads(line) for line in written(tmp_path, work)]
    assert [(each["job_id"], each["message"]) for each in found] == [
        (str(quiet.id), "large"),
        (str(loud.id), "small"),
        (str(loud.id), "large"),
    ]


def test_a_claimed_job_logs_its_worker_and_claim(rocketjob):
    KeptJob.create()
    (job,) = rocketjob.queue.claim(1)
    assert job.logger.fields["worker"] == rocketjob.worker.name
    assert job.logger.fields["claim"] == "1"
    assert job.logger.fields["job"] == "KeptJob"


@pytest.mark.parametrize("event", ["requeue", "fail"])
def test_a_job_that_its_worker_has_no_more_logs_which_one_it_was(rocketjob, event):
    KeptJob.create()
    (job,) = rocketjob.queue.claim(1)
    getattr(job, event)()
    assert job.worker_name is None
    assert job.logger.fields["worker"] == rocketjob.worker.name


def test_records_of_other_libraries_are_written_too(tmp_path, root):
    def work():
        arguments = {"n": 1}
        logging.getLogger("lib").info("said %(n)s", arguments)
        arguments["n"] = 2

    assert json.loads(written(tmp_path, work)[0])["message"] == "said 1"


def test_levels_are_set_by_name(root):
    set_level("trace", "some.class")
    assert logging.getLogger("some.class").level == TRACE
    logging.getLogger("some.class").setLevel(logging.NOTSET)
    with pytest.raises(ValueError, match="must be one of trace, debug"):
        set_level("loud")


def test_the_console_is_standard_error(root, monkeypatch):
    stream = io.StringIO()
    monkeypatch.setattr(sys, "stderr", stream)
    service = LogService().start()
    Logger("some.thing").info("here")
    service.stop()
    assert "some.thing: here" in stream.getvalue()


def test_a_process_that_is_told_to_end_writes_its_last_words(tmp_path):
    script = f"""
        import os
        from rocketjob.base.log import Logger
        from rocketjob.base.log_service import LogService
        service = LogService("info", {str(tmp_path / "log.jsonl")!r}).start()
        for number in range(2000):
            Logger("x").info("line", number=number)
        service.stop()
        os._exit(0)
    """
    subprocess.run([sys.executable, "-c", textwrap.dedent(script)], check=True, timeout=60)
    assert len((tmp_path / "log.jsonl").read_text().splitlines()) == 2000
