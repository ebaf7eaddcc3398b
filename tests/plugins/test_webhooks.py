"""Webhooks: what happens is told to URLs, signed, until it is taken; not to private networks."""

import json
import socket
import threading
from contextlib import contextmanager
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from operator import eq

import pytest
from click.testing import CliRunner

import rocketjob as package
from rocketjob import Job, Server
from rocketjob.application import current
from rocketjob.cli import make_cli
from rocketjob.server.checks import Patient
from rocketjob.testing import sandbox
from rocketjob_plugins import webhooks
from rocketjob_plugins.batch import Batch
from rocketjob_plugins.webhooks import delivery, events, is_signed, outbox, posting
from rocketjob_plugins.webhooks.outbox import NotTaken, Refused
from rocketjob_plugins.webhooks.signing import HEADER, signature

URL = "https://hooks.example.com/s3cret?token=abc"
MINUTE = timedelta(minutes=1)


class WebhookFailingJob(Job):
    def perform(self):
        raise ValueError("no https://ada:pw123@host/ today")


class WebhookBatchJob(Batch, Job):
    def perform(self, record):
        return record


@contextmanager
def telling(*urls, **settings):
    given = {"urls": list(urls or [URL]), "secret": "key", **settings}
    with sandbox(webhooks=given) as made:
        yield made


@pytest.fixture
def rocketjob():
    with telling() as made:
        yield made


@pytest.fixture
def posted(monkeypatch):
    """Collect what is posted; it is answered with `posted.status`."""

    class Posted(list):
        status = 204

    found = Posted()

    def post(url, body, headers, *, timeout, allow_local):
        found.append((url, body, headers))
        if isinstance(found.status, Exception):
            raise found.status
        return found.status

    monkeypatch.setattr(posting, "post", post)
    return found


def _batch(*records):
    job = WebhookBatchJob()
    job.upload(list(records or "ab"))
    job.save()
    return job


def _swept(rocketjob):
    """Let a sweep find what has failed, and a worker deliver."""
    webhooks.sweep()
    rocketjob.work_off()


def _contents(posted):
    return [json.loads(body) for _, body, _ in posted]


# --- what is told -----------------------------------------------------------------------------


def test_that_a_batch_has_completed_is_stored_with_that_and_posted_signed(rocketjob, posted):
    job = _batch("a", "b")
    rocketjob.work_off()
    assert [message["event"] for message in outbox.messages().find({})] == ["batch.completed"]
    assert Job.count() == 0  # it was removed when it completed
    _swept(rocketjob)
    ((url, body, headers),) = posted
    (content,) = _contents(posted)
    assert eq(url, URL)
    assert eq(content["job"]["id"], str(job.id))
    assert (content["event"], content["job"]["record_count"]) == ("batch.completed", 2)
    assert headers["X-RocketJob-Event"] == "batch.completed"
    assert eq(headers["X-RocketJob-Delivery"], content["id"])
    assert is_signed("key", body, headers[HEADER], at=package.now().timestamp())
    (message,) = outbox.messages().find({})
    assert (message["state"], message["log"][0]["status"]) == ("delivered", 204)


def test_jobs_that_have_failed_are_told_once_together(rocketjob, posted):
    WebhookFailingJob.create()
    rocketjob.work_off()
    _swept(rocketjob)  # the first time: from now on
    rocketjob.travel(MINUTE)
    ids = [str(WebhookFailingJob.create().id) for _ in range(3)]
    rocketjob.work_off()
    _swept(rocketjob)
    assert posted == []  # another server's clock may be behind
    rocketjob.travel(MINUTE)
    for _ in range(3):
        _swept(rocketjob)
    (content,) = _contents(posted)
    assert (content["event"], content["count"]) == ("jobs.failed", 3)
    assert eq([job["id"] for job in content["jobs"]], ids)
    assert eq(content["jobs"][0]["exception"]["class_name"], "ValueError")
    assert b"pw123" not in posted[0][1]


def test_of_very_many_that_have_failed_some_are_named_and_all_are_counted(
    rocketjob, posted, monkeypatch
):
    monkeypatch.setattr(events, "NAMED", 2)
    webhooks.sweep()
    for _ in range(5):
        WebhookFailingJob.create()
    rocketjob.work_off()
    rocketjob.travel(MINUTE)
    _swept(rocketjob)
    (content,) = _contents(posted)
    assert (content["count"], len(content["jobs"])) == (5, 2)


def test_of_two_servers_that_look_at_once_one_tells(rocketjob, posted, monkeypatch):
    webhooks.sweep()
    WebhookFailingJob.create()
    rocketjob.work_off()
    rocketjob.travel(MINUTE)
    found, others = events._failed_between, []

    def meanwhile(*given):
        if not others:
            others.append(True)
            events.tell_of_failed()
        return found(*given)

    monkeypatch.setattr(events, "_failed_between", meanwhile)
    _swept(rocketjob)
    assert len(posted) == 1


def test_a_failure_that_is_stored_late_is_told_and_none_twice(rocketjob, posted):
    webhooks.sweep()
    rocketjob.travel(MINUTE)
    late, soon = WebhookFailingJob.create(), WebhookFailingJob.create()
    rocketjob.work_off()
    Job.collection().update_one({"_id": late.id}, {"$set": {"state": "running"}})
    rocketjob.travel(MINUTE)
    _swept(rocketjob)
    rocketjob.travel(5 * MINUTE)
    _swept(rocketjob)
    Job.collection().update_one({"_id": late.id}, {"$set": {"state": "failed"}})
    for _ in range(3):
        _swept(rocketjob)
        rocketjob.travel(5 * MINUTE)
    told = [[job["id"] for job in content["jobs"]] for content in _contents(posted)]
    assert eq(told, [[str(soon.id)], [str(late.id)]])


def test_of_more_failures_than_are_remembered_none_is_told_twice(rocketjob, posted, monkeypatch):
    monkeypatch.setattr(events, "KEPT", 2)
    webhooks.sweep()
    for _ in range(4):
        WebhookFailingJob.create()
    rocketjob.work_off()
    for _ in range(3):
        rocketjob.travel(MINUTE)
        _swept(rocketjob)
    assert [content["count"] for content in _contents(posted)] == [4]


@pytest.mark.parametrize("wrong", ["x", 7, None, timedelta(days=3)])
def test_a_mark_that_is_wrong_is_set_back_and_failures_are_told(rocketjob, posted, wrong):
    webhooks.sweep()
    until = package.now() + wrong if isinstance(wrong, timedelta) else wrong
    events._marks().update_one({}, {"$set": {"until": until}})
    webhooks.sweep()
    rocketjob.travel(MINUTE)
    WebhookFailingJob.create()
    rocketjob.work_off()
    rocketjob.travel(MINUTE)
    _swept(rocketjob)
    assert [content["event"] for content in _contents(posted)] == ["jobs.failed"]


def test_what_keeps_failures_from_being_told_keeps_nothing_else(rocketjob, posted, monkeypatch):
    outbox.store("server.dead", {})
    monkeypatch.setattr(events, "tell_of_failed", lambda: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        webhooks.sweep()
    rocketjob.work_off()
    assert [content["event"] for content in _contents(posted)] == ["server.dead"]


def test_what_waits_is_given_up_and_forgotten_when_there_is_no_receiver_any_more(
    rocketjob, monkeypatch
):
    outbox.store("server.dead", {})
    none = type("None_", (), {"urls": [], "attempts": 12, "keep_days": 7, "events": []})
    for module in (webhooks, outbox, delivery):
        monkeypatch.setattr(module, "own", none)
    _swept(rocketjob)
    assert outbox.messages().find_one({})["state"] == "given_up"
    rocketjob.travel(timedelta(days=8))
    webhooks.sweep()
    assert outbox.messages().count_documents({}) == 0


def test_that_a_server_died_is_told(rocketjob, posted):
    server = Server.create(name="batch-1:7")
    webhooks.server_lost(server=server)
    rocketjob.work_off()
    (content,) = _contents(posted)
    assert (content["event"], content["server"]["name"]) == ("server.dead", "batch-1:7")


def test_only_what_is_wanted_is_told_to_everybody_once():
    with telling(URL, "https://b.example.com/", URL, events=["server.dead"]) as rocketjob:
        _batch()
        rocketjob.work_off()
        webhooks.server_lost(server=Server.create(name="x:1"))
        found = [(message["event"], message["host"]) for message in outbox.messages().find({})]
    wanted = {("server.dead", "hooks.example.com"), ("server.dead", "b.example.com")}
    assert eq(set(found), wanted) and len(found) == 2


def test_simple_jobs_pay_nothing_for_it(rocketjob):
    plugins = current().plugins
    assert plugins.listens("transition_writes", WebhookBatchJob)
    assert not plugins.listens("transition_writes", WebhookFailingJob)
    assert not plugins.listens("state_changed", WebhookFailingJob)


def test_without_a_receiver_nothing_is_stored_and_nothing_asked():
    with sandbox() as rocketjob:
        _batch()
        WebhookFailingJob.create()
        rocketjob.work_off()
        webhooks.sweep()
        webhooks.server_lost(server=Server.create(name="x:1"))
        assert outbox.messages().count_documents({}) == 0
        assert events._marks().count_documents({}) == 0


# --- until it is taken --------------------------------------------------------------------------


def test_a_message_is_tried_again_with_growing_waits_and_given_up_in_the_end(posted):
    with telling(attempts=3) as rocketjob:
        posted.status = 503
        outbox.store("server.dead", {})
        waits = []
        for _ in range(3):
            _swept(rocketjob)
            (message,) = outbox.messages().find({})
            if "next_at" in message:
                waits.append(round((message["next_at"] - package.now()).total_seconds()))
                rocketjob.travel(message["next_at"] + timedelta(seconds=1))
        assert waits == [30, 60]
        assert (message["state"], len(posted)) == ("given_up", 3)
        assert [each["error"] for each in message["log"]] == [
            "NotTaken: the receiver answered 503"
        ] * 3
        assert len({body for _, body, _ in posted}) == 1
        (finding,) = outbox.look(Patient(current()))
        assert "1 messages were given up" in finding.message
        posted.status = 200
        assert "1 message to be tried again" in _command("retry")
        _swept(rocketjob)
        assert outbox.messages().find_one({})["state"] == "delivered"


@pytest.mark.parametrize("status", [301, 302, 307, 410])
def test_a_redirect_is_not_followed_and_who_is_gone_is_gone(rocketjob, posted, status):
    posted.status = status
    outbox.store("server.dead", {})
    _swept(rocketjob)
    assert len(posted) == 1
    assert outbox.messages().find_one({})["state"] == ("given_up" if status == 410 else "waiting")


def test_what_the_network_raises_keeps_nothing_from_being_delivered(posted):
    with telling(URL, "https://b.example.com/") as rocketjob:
        outbox.store("server.dead", {})
        posted.status = OSError("no route")
        _swept(rocketjob)
        assert len(posted) == 2
        states = [message["state"] for message in outbox.messages().find({})]
        assert states == ["waiting", "waiting"]


def test_a_message_whose_process_died_is_delivered_by_another(rocketjob, posted):
    outbox.store("server.dead", {})
    taken = outbox.take()
    _swept(rocketjob)
    assert posted == []
    rocketjob.travel(outbox.LEASE + timedelta(seconds=1))
    _swept(rocketjob)
    assert len(posted) == 1
    outbox.failed(taken, "too late", for_good=True)  # it was not dead, only slow
    assert outbox.messages().find_one({})["state"] == "delivered"


def test_a_receiver_that_was_taken_out_of_the_settings_is_posted_to_no_more(rocketjob, posted):
    outbox.store("server.dead", {})
    outbox.messages().update_one({}, {"$set": {"receiver": outbox.key_of("https://old.example/")}})
    _swept(rocketjob)
    assert posted == []
    assert "no longer among the urls" in outbox.messages().find_one({})["log"][0]["error"]


def test_the_url_is_in_no_document(rocketjob, posted):
    outbox.store("server.dead", {})
    _swept(rocketjob)
    stored = str(list(outbox.messages().find({})))
    assert "s3cret" not in stored and "token" not in stored
    assert "s3cret" not in _command("list") + _command("list", "--json")


def test_the_log_is_removed_after_some_days(rocketjob, posted):
    outbox.store("server.dead", {})
    _swept(rocketjob)
    rocketjob.travel(timedelta(days=8))
    webhooks.sweep()
    assert outbox.messages().count_documents({}) == 0


@pytest.mark.parametrize("wrong", [{"exception": 7}, {"description": [1]}, {"_type": None}])
def test_a_failed_job_that_fits_nothing_is_told_nevertheless(rocketjob, posted, wrong):
    webhooks.sweep()
    job = WebhookFailingJob.create()
    rocketjob.work_off()
    Job.collection().update_one({"_id": job.id}, {"$set": wrong})
    rocketjob.travel(MINUTE)
    _swept(rocketjob)
    assert _contents(posted)[0]["count"] == 1


@pytest.mark.parametrize("wrong", ["x", 7, {"a": 1}, [3]])
def test_a_log_that_is_damaged_keeps_nothing_from_being_delivered(rocketjob, posted, wrong):
    outbox.store("server.dead", {})
    outbox.messages().update_one({}, {"$set": {"log": wrong}})
    assert "waiting" in _command("list")
    _swept(rocketjob)
    (message,) = outbox.messages().find({})
    assert (message["state"], len(message["log"])) == ("delivered", 1)


@pytest.mark.parametrize("wrong", ["x", None, {"a": 1}])
def test_a_count_of_attempts_that_is_damaged_keeps_no_other_message(rocketjob, posted, wrong):
    outbox.store("server.dead", {"number": 1})
    outbox.messages().update_one({}, {"$set": {"attempts": wrong}})
    outbox.store("server.dead", {"number": 2})
    _swept(rocketjob)
    assert [content["number"] for content in _contents(posted)] == [2]
    assert not outbox.is_any_due()
    assert str(wrong) in _command("list")


def test_a_message_of_which_no_process_lives_to_tell_is_given_up(posted):
    with telling(attempts=2) as rocketjob:
        outbox.store("server.dead", {})
        for _ in range(2):
            assert outbox.take() is not None
            rocketjob.travel(outbox.LEASE + timedelta(seconds=1))
        _swept(rocketjob)
        (message,) = outbox.messages().find({})
        assert (message["state"], posted) == ("given_up", [])
        assert "tried too often" in message["log"][-1]["error"]


def test_the_doctor_warns_of_messages_that_are_not_signed():
    with sandbox(webhooks={"urls": [URL]}):
        (finding,) = outbox.look(Patient(current()))
    assert (finding.status, finding.message) == (
        "warning",
        "messages are posted without a signature",
    )


# --- where it may go ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "address",
    [
        *("127.0.0.1", "10.1.2.3", "192.168.0.1", "172.16.0.1", "169.254.169.254", "0.0.0.0"),
        *("100.64.0.1", "224.0.0.1", "255.255.255.255", "::1", "fe80::1%eth0", "fc00::1"),
        *("::ffff:127.0.0.1", "64:ff9b::7f00:1", "2002:7f00:1::"),
        *("64:ff9b:1::a00:1", "fec0::1", "::127.0.0.1", "::10.0.0.1"),
    ],
)
def test_a_private_address_is_refused_whatever_it_is_called(monkeypatch, address):
    found = [(0, 0, 0, "", (address, 443)), (0, 0, 0, "", ("93.184.216.34", 443))]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *args, **options: found)
    monkeypatch.setattr(socket, "create_connection", lambda *args: 1 / 0)
    with pytest.raises(Refused, match=r"hooks\.example\.com has the private address"):
        posting.post(URL, b"", {}, timeout=1, allow_local=False)


def test_what_is_connected_to_is_what_was_looked_at(monkeypatch):
    """A name that means a private address a moment later leads nowhere."""
    connected, answers = [], iter(["93.184.216.34", "127.0.0.1"])

    def resolve(*args, **options):
        return [(0, 0, 0, "", (next(answers), 80))]

    def connect(address, timeout):
        connected.append(address[0])
        raise OSError("not in a test")

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    monkeypatch.setattr(socket, "create_connection", connect)
    with pytest.raises(OSError, match="not in a test"):
        posting.post("http://hooks.example.com/", b"", {}, timeout=1, allow_local=False)
    assert connected == ["93.184.216.34"]


@pytest.mark.parametrize(
    "url",
    ["ftp://a/", "//a/", "http://", "http://a:b@c/", "http://ä/", "http://a b/", "http://a:x/"],
)
def test_a_url_that_is_none_is_refused_when_the_process_starts(url):
    with pytest.raises(ValueError, match="urls"), telling(url):
        pass


def test_an_event_that_is_none_is_refused():
    with (
        pytest.raises(ValueError, match=r"did you mean server\.dead"),
        telling(events=["server.ded"]),
    ):
        pass


# --- over a real connection ---------------------------------------------------------------------


@contextmanager
def _receiver(status):
    seen = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["content-length"]))
            seen.append((body, self.headers[HEADER]))
            self.send_response(status)
            self.send_header("location", "http://127.0.0.1:1/")
            self.end_headers()

        def log_message(self, *args): ...

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/x?y=1", seen
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_a_message_arrives_and_its_signature_holds():
    with _receiver(200) as (url, seen), telling(url, allow_local=True) as rocketjob:
        outbox.store("server.dead", {})
        _swept(rocketjob)
        assert outbox.messages().find_one({})["state"] == "delivered"
        assert "answered 200" in _command("test")
    for body, header in seen:
        assert is_signed("key", body, header)
        assert not is_signed("other", body, header)
        assert not is_signed("key", body + b" ", header)


def test_it_does_not_arrive_where_private_addresses_are_not_allowed():
    with _receiver(200) as (url, seen), telling(url) as rocketjob:
        outbox.store("server.dead", {})
        _swept(rocketjob)
        assert outbox.messages().find_one({})["state"] == "given_up"
        assert "allow_local" in _command("test", code=1)
    assert seen == []


def test_an_answer_that_never_ends_is_not_waited_for(monkeypatch):
    timers = []

    class Timer:
        def __init__(self, seconds, function):
            timers.append((seconds, function))

        def start(self): ...

        def cancel(self): ...

    def drip(listening):
        connection, _ = listening.accept()
        with connection:
            connection.recv(4096)
            connection.sendall(b"HTTP/1.1 ")
            timers[0][1]()  # it is time
            while connection.recv(4096):
                pass

    monkeypatch.setattr(posting, "Timer", Timer)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=drip, args=(listening,), daemon=True)
        thread.start()
        url = f"http://127.0.0.1:{listening.getsockname()[1]}/"
        with pytest.raises(NotTaken, match="did not answer within 30 seconds"):
            posting.post(url, b"{}", {}, timeout=30, allow_local=True)
        thread.join()
    assert timers[0][0] == 30


def test_a_delivery_cannot_take_longer_than_it_is_kept_from_others():
    with pytest.raises(ValueError, match="timeout_seconds"), telling(timeout_seconds=31):
        pass


@pytest.mark.parametrize("tls", [True, False])
def test_the_usual_port_is_not_named_to_the_receiver(tls):
    ours, theirs = socket.socketpair()
    connection = posting._Connection("hooks.example.com", None, 1, tls, False)
    with ours, theirs:
        connection.sock = ours
        connection.request("POST", "/", b"{}")
        assert b"Host: hooks.example.com\r\n" in theirs.recv(4096)


def test_a_signature_is_of_its_time():
    header = signature("key", b"{}", 1000)
    assert is_signed("key", b"{}", header, at=1200)
    assert not is_signed("key", b"{}", header, at=1400)
    assert not is_signed("key", b"{}", header, at=600)
    for wrong in (
        "",
        "t=,v1=",
        "t=1000",
        "t=²,v1=x",
        f"t={'9' * 30},v1=x",
        header.replace("v1", "v0"),
    ):
        assert not is_signed("key", b"{}", wrong, at=1000)


def _command(*words, code=0):
    made = CliRunner().invoke(make_cli(), ["webhooks", *words])
    assert made.exit_code == code, made.output
    return made.output


def test_what_is_posted_is_the_same_at_each_attempt(rocketjob):
    outbox.store("server.dead", {"at": "x"})
    message = outbox.take()
    assert eq(delivery.body_of(message), delivery.body_of(outbox.messages().find_one({})))
