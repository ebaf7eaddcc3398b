"""Targets of the log that plugins bring, each against a receiver in this process."""

import contextlib
import http.server
import json
import os
import re
import socket
import threading
from datetime import timedelta

import pytest

import rocketjob
from rocketjob import ConfigurationError, Job
from rocketjob.base import log_outlet
from rocketjob.base.errors import StoreUnavailable
from rocketjob.base.log import Logger
from rocketjob.testing import sandbox
from rocketjob_plugins import log_store
from rocketjob_plugins.batch import Batch, InputCategory
from rocketjob_plugins.retry import Retry
from support.runtime import PATIENCE, FlakyStore, bare_root_logger, eventually, running_pool, states


@pytest.fixture(autouse=True)
def root(monkeypatch):
    """The root logger, as it was before afterwards; pauses are short."""
    monkeypatch.setattr(log_outlet, "PAUSES", (0.001, 0.01))
    with bare_root_logger() as logger:
        yield logger


@contextlib.contextmanager
def logging_to(*entries, level="info", **settings):
    with sandbox(log=list(entries), log_level=level, **settings) as made:
        service = made.application.log_service().start()
        try:
            yield made
        finally:
            service.stop()


def raised():
    try:
        raise KeyError("gone")
    except KeyError:
        Logger("app").exception("failed")


# --- syslog ----------------------------------------------------------------------------------


@pytest.fixture
def udp():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver:
        receiver.bind(("127.0.0.1", 0))
        receiver.settimeout(PATIENCE)
        yield receiver


class Tcp:
    """A syslog server that takes messages with their length before them."""

    def __init__(self, port=0):
        self.listening = socket.create_server(("127.0.0.1", port))
        self.listening.settimeout(PATIENCE)
        self.port = self.listening.getsockname()[1]
        self.connection = None

    def message(self):
        if self.connection is None:
            self.connection, _ = self.listening.accept()
            self.connection.settimeout(PATIENCE)
            self.stream = self.connection.makefile("rb")
        length = b""
        while not length.endswith(b" "):
            digit = self.stream.read(1)
            assert digit, "the connection was closed"
            length += digit
        return self.stream.read(int(length)).decode()

    def close(self):
        if self.connection is not None:
            self.stream.close()
            self.connection.close()
            self.connection = None
        self.listening.close()


@pytest.fixture
def tcp():
    made = Tcp()
    yield made
    made.close()


def network(receiver, **options):
    port = receiver.port if isinstance(receiver, Tcp) else receiver.getsockname()[1]
    protocol = "tcp" if isinstance(receiver, Tcp) else "udp"
    return {"target": "syslog", "host": "127.0.0.1", "port": port, "protocol": protocol, **options}


HEAD = rf"1 \d{{4}}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{{3}}\+00:00 \S+ shop {os.getpid()} - - "


def test_a_line_goes_to_a_syslog_by_udp(udp):
    with logging_to(network(udp, facility="local3", app="shop")):
        Logger("app").warning("hello", a=1)
        message = udp.recv(65536).decode()
    assert re.fullmatch(rf"<{19 * 8 + 4}>{HEAD}app: hello a=1", message)


@pytest.mark.parametrize(
    ("level", "severity"), [("debug", 7), ("info", 6), ("warning", 4), ("error", 3), ("fatal", 2)]
)
def test_each_level_is_a_severity(udp, level, severity):
    with logging_to(network(udp), level="debug"):
        getattr(Logger("app"), level)("hello")
        assert udp.recv(65536).startswith(b"<%d>1 " % (8 + severity))


def test_a_long_line_is_cut_for_udp_and_whole_for_tcp(udp, tcp):
    with logging_to(network(udp), network(tcp)):
        Logger("app").info("é" * 10_000)
        assert len(udp.recv(65536)) == 8192
        assert tcp.message().count("é") == 10_000


def test_a_traceback_is_one_message_over_tcp(tcp):
    with logging_to(network(tcp)):
        raised()
        Logger("app").info("next")
        first, second = tcp.message(), tcp.message()
    assert "app: failed\nTraceback" in first
    assert first.endswith("KeyError: 'gone'")
    assert second.endswith("app: next")


def test_lines_wait_for_a_syslog_that_refuses_and_come_when_it_is_there(tcp, capsys):
    port = tcp.port
    tcp.close()
    with logging_to(network(tcp)):
        Logger("app").info("one")
        Logger("app").info("two")
        eventually(lambda: "a log target is away" in capsys.readouterr().err)
        again = Tcp(port)
        try:
            assert again.message().endswith("app: one")
            assert again.message().endswith("app: two")
        finally:
            again.close()


def test_a_connection_that_the_server_has_closed_is_made_again_and_no_line_is_lost(tcp):
    with logging_to(network(tcp)):
        Logger("app").info("one")
        assert tcp.message().endswith("one")
        tcp.stream.close()
        tcp.connection.close()
        tcp.connection = None
        Logger("app").info("two")
        assert tcp.message().endswith("two")


def test_a_line_goes_to_the_syslog_of_this_machine(tmp_path):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiver:
        path = tmp_path / "log"
        receiver.bind(str(path))
        receiver.settimeout(PATIENCE)
        with logging_to({"target": "syslog", "path": str(path), "facility": "daemon"}):
            Logger("app").info("hello")
            message = receiver.recv(65536).decode()
    assert message == f"<30>rocketjob[{os.getpid()}]: app: hello"


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_forked_process_has_a_connection_of_its_own(tcp):
    with logging_to(network(tcp)):
        Logger("app").info("one")
        assert tcp.message().endswith("one")
        first, stream = tcp.connection, tcp.stream
        tcp.connection = None
        pid = os.fork()
        if pid == 0:
            Logger("app").info("in the child")
            os._exit(0)
        assert tcp.message().endswith("in the child")
        assert os.waitpid(pid, 0)[1] == 0
        tcp.stream.close()
        tcp.connection.close()
        tcp.connection, tcp.stream = first, stream
        Logger("app").info("two")
        assert tcp.message().endswith("two")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"protocol": "quic"}, "log, target syslog: protocol = 'quic': must be udp or tcp"),
        ({"facility": "x"}, "facility = 'x': must be one of kern, user"),
        ({"port": 0}, "port = 0: must be at least 1"),
        ({"hots": "x"}, r"there is no option hots; did you mean host\?"),
    ],
)
def test_a_wrong_option_of_the_syslog_is_refused(options, message):
    with (
        pytest.raises(ConfigurationError, match=message),
        logging_to({"target": "syslog", **options}),
    ):
        pass


# --- Splunk ----------------------------------------------------------------------------------


BREAKS_OFF = 0  # in place of a status: what comes back is no answer


class Collector(http.server.ThreadingHTTPServer):
    """Takes events, and answers what a test wants."""

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Answering)
        self.requests, self.answer, self.gate = [], 200, threading.Event()
        self.gate.set()
        self.url = f"http://127.0.0.1:{self.server_address[1]}"

    def events(self):
        bodies = [body for _, _, body, code in self.requests if code == 200]
        return [json.loads(line) for body in bodies for line in body.decode().splitlines()]


class Answering(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.gate.wait(PATIENCE)
        code = 400 if b"poison" in body else self.server.answer
        self.server.requests.append((self.path, self.headers["Authorization"], body, code))
        if code == BREAKS_OFF:
            self.wfile.write(b"nothing that is HTTP\r\n\r\n")
            return
        self.send_response(code)
        self.end_headers()
        self.wfile.write(b'{"text": "said"}')

    def log_message(self, *args):
        pass


@pytest.fixture
def collector():
    with Collector() as made:
        serving = threading.Thread(target=made.serve_forever, args=(0.01,))
        serving.start()
        yield made
        made.gate.set()
        made.shutdown()
        serving.join()


def splunk(collector, **more):
    return {"splunk": {"url": collector.url, "token": "topsecret", **more}}


def test_lines_go_to_splunk_as_events(collector):
    with logging_to("splunk", **splunk(collector, index="jobs")):
        Logger("app").info("hello", a=1, when=timedelta(seconds=5))
        raised()
    path, authorization, _, _ = collector.requests[0]
    assert (path, authorization) == ("/services/collector/event", "Splunk topsecret")
    hello, failed = collector.events()
    assert (hello["source"], hello["index"]) == ("rocketjob", "jobs")
    assert hello["event"]["message"] == "hello"
    assert (hello["event"]["a"], hello["event"]["when"]) == (1, "0:00:05")
    assert "KeyError: 'gone'" in failed["event"]["exception"]


def test_an_entry_of_the_log_has_a_token_and_a_path_of_its_own(collector):
    own = {"target": "splunk", "url": f"{collector.url}/raw", "token": "own"}
    with logging_to(own, **splunk(collector)):
        Logger("app").info("hello")
    assert [request[:2] for request in collector.requests] == [("/raw", "Splunk own")]


def test_what_waits_goes_in_one_request(collector):
    collector.gate.clear()
    with logging_to("splunk", **splunk(collector)):
        for number in range(100):
            Logger("app").info("line", number=number)
        collector.gate.set()
    assert [event["event"]["number"] for event in collector.events()] == [*range(100)]
    assert len(collector.requests) < 50


@pytest.mark.parametrize("answer", [503, 403, 429])
def test_lines_wait_while_splunk_cannot_take_them(collector, answer, capsys):
    collector.answer = answer
    with logging_to("splunk", **splunk(collector)):
        Logger("app").info("hello")
        eventually(lambda: len(collector.requests) >= 3)
        collector.answer = 200
    assert [event["event"]["message"] for event in collector.events()] == ["hello"]
    said = capsys.readouterr().err
    assert f"answered {answer}" in said
    assert "topsecret" not in said


def test_lines_wait_when_what_splunk_answers_is_no_answer(collector, capsys):
    collector.answer = BREAKS_OFF
    with logging_to("splunk", **splunk(collector)):
        Logger("app").info("hello")
        eventually(lambda: len(collector.requests) >= 3)
        collector.answer = 200
    assert [event["event"]["message"] for event in collector.events()] == ["hello"]
    assert "its answer broke off: BadStatusLine" in capsys.readouterr().err


def test_a_line_that_splunk_refuses_is_lost_alone(collector, capsys):
    collector.gate.clear()
    with logging_to("splunk", **splunk(collector)):
        for text in ("a", "poison", "b"):
            Logger("app").info(text)
        collector.gate.set()
        eventually(lambda: "a line cannot be logged" in capsys.readouterr().err)
    assert sorted(event["event"]["message"] for event in collector.events()) == ["a", "b"]


def test_jobs_are_not_held_up_by_a_splunk_that_does_not_answer(collector):
    collector.gate.clear()
    with logging_to({"target": "splunk", "buffer": 1}, **splunk(collector)) as made:
        for number in range(50):
            TalkingJob.create(number=number)
        assert made.work_off() == 50  # although nothing has been answered
        assert not collector.requests
        collector.gate.set()


class TalkingJob(Job):
    number: int = 0

    def perform(self):
        self.logger.info("talking", number=self.number)


def test_splunk_without_url_and_token_is_refused_with_how_to_set_them():
    message = "url and token not set: .* ROCKETJOB_SPLUNK_URL and ROCKETJOB_SPLUNK_TOKEN"
    with pytest.raises(ConfigurationError, match=message), logging_to("splunk"):
        pass


# --- the store -------------------------------------------------------------------------------


def stored():
    lines = rocketjob.application.current().store.collection(log_store.COLLECTION)
    return list(lines.find({}, sort=[("_id", 1)]))


def test_lines_are_kept_in_the_store():
    with logging_to({"target": "store", "level": "warn"}):
        Logger("app").info("not this")
        fields = {"a.b": 1, "$c": {"d": [2**70]}, "at": "noon", "when": timedelta(seconds=5)}
        Logger("app").warning("hello", **fields)
        raised()
        eventually(lambda: len(stored()) == 2)
        hello, failed = stored()
    assert (hello["level"], hello["logger"], hello["message"]) == ("warn", "app", "hello")
    assert hello["at"].tzinfo is not None
    assert (hello["pid"], hello["host"]) == (os.getpid(), socket.gethostname())
    expected = {"a_b": 1, "c": {"d": [str(2**70)]}, "at": "noon", "when": "0:00:05"}
    assert hello["fields"] == expected
    assert "KeyError: 'gone'" in failed["exception"]


def test_a_password_in_what_is_no_string_is_hidden_in_the_store_and_from_splunk(collector):
    error = ConnectionError("mongodb://me:hidden1@db is away")
    with logging_to("store", "splunk", **splunk(collector)):
        Logger("app").warning("hello", error=error, more={"each": [error]})
        eventually(lambda: stored() and collector.requests)
        (line,) = stored()
    shown = str(line), str(collector.requests)
    assert all("is away" in text and "hidden1" not in text for text in shown)


def test_the_sweep_keeps_the_latest_lines():
    with logging_to("store", log_store={"keep": 10}) as made:
        for number in range(25):
            Logger("app").info("line", number=number)
        eventually(lambda: len(stored()) == 25)
        made.plugins.notify("sweep")
        assert [line["fields"]["number"] for line in stored()] == [*range(15, 25)]
        made.plugins.notify("sweep")
        assert len(stored()) == 10


def test_lines_wait_while_the_store_is_away(monkeypatch):
    with logging_to("store") as made:
        flaky = FlakyStore(made.store)
        flaky.fail("collection", StoreUnavailable("away"), times=3)
        monkeypatch.setattr(made.application, "_store", flaky)
        Logger("app").info("hello")
        eventually(lambda: flaky.left("collection") == 0)
        eventually(lambda: [line["message"] for line in stored()] == ["hello"])


# --- any handler -----------------------------------------------------------------------------


def test_a_handler_of_the_standard_library_is_named_by_its_path(tmp_path):
    path = str(tmp_path / "own.log")
    for name in ("logging.FileHandler", "logging:FileHandler"):
        entry = {"target": "handler", "class": name, "arguments": {"filename": path}}
        with logging_to(entry):
            Logger("app").info("hello", a=1)
    assert (tmp_path / "own.log").read_text().count("app: hello a=1\n") == 2


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "log, target handler: it needs a class"),
        ({"class": "nowhere.Handler"}, "nowhere.Handler cannot be imported: No module named"),
        ({"class": "Handler"}, "Handler cannot be imported"),
        ({"class": "logging.Hndler"}, "the module logging has no Hndler"),
        ({"class": "logging.Formatter"}, "logging.Formatter is not a logging.Handler"),
        ({"class": "logging.FileHandler"}, "handler cannot be made: TypeError: .*'filename'"),
        ({"class": "logging.FileHandler", "arguments": 5}, "must be a table of arguments"),
    ],
)
def test_a_handler_that_cannot_be_made_is_refused(options, message):
    with (
        pytest.raises(ConfigurationError, match=message),
        logging_to({"target": "handler", **options}),
    ):
        pass


# --- what is logged of jobs --------------------------------------------------------------------


class LoggedBatchJob(Batch, Job):
    destroy_on_complete = False
    input_category = InputCategory(slice_size=2)
    fails: bool = False

    def perform(self, record):
        if self.fails:
            raise ValueError("no")


def ends(lines):
    return [line["fields"] for line in lines if line["message"].startswith("batch ")]


@pytest.mark.parametrize(("fails", "state"), [(False, "completed"), (True, "failed")])
def test_a_batch_that_ends_is_one_line_at_info(fails, state):
    with logging_to("store") as made:
        job = LoggedBatchJob(fails=fails)
        job.upload(["a", "b", "c"])
        job.save()
        made.work_off()
        assert job.reload().state == state
        eventually(lambda: [line["message"] for line in stored()].count(f"batch {state}") == 1)
        (fields,) = ends(stored())
    assert (fields["records"], fields["job"], fields["job_id"]) == (
        3,
        "LoggedBatchJob",
        str(job.id),
    )


def test_a_batch_that_is_aborted_is_one_line_too():
    with logging_to("store"):
        job = LoggedBatchJob()
        job.upload(["a"])
        job.save()
        job.abort()
        eventually(lambda: [line["message"] for line in stored()] == ["batch aborted"])


class TriedTwiceJob(Retry, Job):
    retry_limit: int = 1

    def perform(self):
        raise OSError("the bank is closed")

    def retry_delay(self, attempt):
        return 60


def test_a_failure_that_is_retried_is_a_warning_in_one_line_and_the_last_one_an_error(file_store):
    file_store.application.config.log = "store"
    service = file_store.application.log_service().start()
    try:
        TriedTwiceJob.create()
        with running_pool(file_store, threads=1):
            eventually(lambda: len(stored()) == 1)
        (line,) = stored()
        assert (line["level"], line["message"]) == ("warn", "failed: will be retried")
        assert line["fields"]["error"] == "OSError: the bank is closed"
        assert line["fields"]["failures"] == 1
        assert "run_at" in line["fields"]
        assert "exception" not in line
        file_store.travel(timedelta(minutes=2))
        with running_pool(file_store, threads=1):
            eventually(lambda: {*states().values()} == {"failed"} and len(stored()) == 2)
        last = stored()[-1]
        assert (last["level"], last["message"]) == ("error", "failed")
        assert "the bank is closed" in last["exception"]
    finally:
        service.stop()
