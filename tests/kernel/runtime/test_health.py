"""`--health`, and what systemd is told: over real sockets, with a server that is made up."""

import http.client
import json
import socket

import pytest

from rocketjob.base.errors import ConfigurationError, WrongSetting
from rocketjob.server import health
from rocketjob.server.health import answering
from rocketjob.server.notifying import Notifier
from rocketjob.server.supervisor import HUNG_SECONDS, Supervisor
from rocketjob.testing import sandbox


class Answered:
    def __init__(self, **report):
        self.report = report

    def health(self):
        return self.report


def ask(at, path, method="GET"):
    connection = http.client.HTTPConnection(at, timeout=10)
    connection.request(method, path)
    response = connection.getresponse()
    return response.status, response.read()


@pytest.mark.parametrize(
    ("live", "ready", "statuses"),
    [(True, True, (200, 200, 200)), (True, False, (200, 503, 503)), (False, True, (503, 200, 503))],
)
def test_each_question_has_its_status_and_all_the_same_body(live, ready, statuses):
    with answering("127.0.0.1:0", Answered(live=live, ready=ready, name="web-1")) as at:
        answers = [ask(at, path) for path in ("/live", "/ready", "/")]
        assert tuple(status for status, _ in answers) == statuses
        assert {json.loads(body)["name"] for _, body in answers} == {"web-1"}
        assert ask(at, "/live", "HEAD") == (statuses[0], b"")
        assert ask(at, "/metrics")[0] == 404
        assert ask(at, "/live", "POST")[0] == 501


def test_a_client_that_says_nothing_holds_up_nobody():
    with answering("127.0.0.1:0", Answered(live=True, ready=True)) as at:
        host, _, port = at.rpartition(":")
        with socket.create_connection((host, int(port))):
            assert ask(at, "/")[0] == 200


def test_a_client_that_says_a_little_at_a_time_is_hung_up_on(monkeypatch):
    monkeypatch.setattr(health, "CLIENT_SECONDS", 0.2)
    with answering("127.0.0.1:0", Answered(live=True, ready=True)) as at:
        host, _, port = at.rpartition(":")
        with socket.create_connection((host, int(port)), timeout=30) as slow:
            slow.sendall(b"GET / HTTP/1.1\r\nX-Slow: a")  # and never the end of it
            assert slow.recv(1) == b""


def test_a_server_that_cannot_say_how_it_is_is_not_well():
    class Broken:
        def health(self):
            raise RuntimeError("broken")

    with answering("127.0.0.1:0", Broken()) as at:
        status, body = ask(at, "/live")
        assert (status, json.loads(body)["error"]) == (503, "RuntimeError")


def test_an_address_that_is_taken_is_named():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        refused = pytest.raises(ConfigurationError, match=f"'{address}': cannot listen there")
        with refused, answering(address, Answered()):
            pass


@pytest.mark.parametrize("wrong", ["8080", "host:", ":8080", "host:http", "host:99999", "::1:80"])
def test_what_is_no_address_is_refused(wrong):
    with pytest.raises(WrongSetting, match="must be a host and a port"), sandbox(health=wrong):
        pass


def test_a_supervisor_says_why_it_is_not_ready_and_when_it_hangs(tmp_path):
    with sandbox(f"sqlite:///{tmp_path}/jobs.db") as rocketjob:
        supervisor = Supervisor(rocketjob.application)
        report = supervisor.health()
        assert (report["live"], report["ready"], report["state"]) == (True, False, "running")
        assert report["problems"] == ["no heartbeat was written yet", "no worker process is ready"]
        assert report["started_at"] is None
        json.dumps(report)
        supervisor._turned -= HUNG_SECONDS + 1
        report = supervisor.health()
        assert not report["live"]
        assert report["problems"][0].startswith("the supervisor has not turned for 6")


def told(receiver):
    receiver.settimeout(10)
    return receiver.recv(1000).decode().splitlines()


@pytest.mark.parametrize("abstract", [False, True])
def test_systemd_is_told_once_and_then_as_often_as_it_wants(tmp_path, abstract):
    path = f"\0{tmp_path}" if abstract else f"{tmp_path}/notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiver:
        receiver.bind(path)
        environ = {"NOTIFY_SOCKET": path.replace("\0", "@"), "WATCHDOG_USEC": "90000000"}
        notifier = Notifier.of(environ, 1)
        assert environ == {}  # not for what jobs start
        notifier.ready("4 workers ready")
        notifier.ready("4 workers ready")
        assert told(receiver)[0] == "READY=1"
        notifier.alive()
        notifier.alive()
        assert told(receiver) == ["WATCHDOG=1"]
        notifier.stopping()
        assert told(receiver)[0] == "STOPPING=1"


def test_without_systemd_and_without_its_socket_nothing_happens():
    Notifier.of({}, 1).ready("")
    notifier = Notifier.of({"NOTIFY_SOCKET": "/nonexistent/x", "WATCHDOG_PID": "2"}, 1)
    notifier.alive()
