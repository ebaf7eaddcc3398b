import asyncio
import hashlib
import hmac
import json
import threading
from contextlib import contextmanager
from datetime import timedelta
from email import message_from_bytes, policy
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
import rocketjob_plugin_notify as plugin
from aiosmtpd.smtp import SMTP
from click.testing import CliRunner
from rocketjob_plugin_notify import Notify, NotifyDeliveryJob, outbox, webhook
from rocketjob_plugin_notify.webhook import is_public, is_signed, signature

import rocketjob as package
from rocketjob import Job, Server, ValidationError
from rocketjob.cli import make_cli
from rocketjob.server.checks import Patient
from rocketjob.testing import sandbox
from rocketjob_plugins.retry import Retry

DAY = timedelta(days=1)


class Pay(Notify, Job):
    def perform(self):
        raise OSError("closed")


class Fine(Notify, Job):
    notify_when = ["complete", "abort"]  # noqa: RUF012 (a field's default)

    def perform(self): ...


class PayAgain(Retry, Notify, Job):
    retry_limit = 1

    def perform(self):
        raise OSError("closed")


@pytest.fixture
def rocketjob():
    loaded = [plugin, "singleton", "retry"]
    with sandbox(plugins=loaded, notify={"allow_internal": True, "secret": "key"}) as made:
        yield made


class Receiver:
    """What an HTTP receiver was sent, and what it answers."""

    def __init__(self):
        self.seen, self.headers, self.bodies, self.status = [], [], [], 204

    @contextmanager
    def listening(self):
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                receiver.bodies.append(body)
                receiver.seen.append(json.loads(body))
                receiver.headers.append(dict(self.headers))
                self.send_response(receiver.status)
                self.send_header("Location", "http://127.0.0.1:9/elsewhere")
                self.end_headers()

            def log_message(self, *args): ...

        server = HTTPServer(("127.0.0.1", 0), Handler)
        thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        self.url = f"http://127.0.0.1:{server.server_port}/hook?a=b"
        try:
            yield self
        finally:
            server.shutdown()
            server.server_close()
            thread.join()


@pytest.fixture
def receiver():
    with Receiver().listening() as receiver:
        yield receiver


async def _closed(server):
    server.close()
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)


@pytest.fixture
def mails():
    """An SMTP server on a free port, and what it was sent."""
    received = []

    class Handler:
        async def handle_DATA(self, server, session, envelope):
            mail = message_from_bytes(envelope.content, policy=policy.default)
            received.append((envelope.rcpt_tos, mail))
            return "250 OK"

    loop = asyncio.new_event_loop()
    made = loop.create_server(
        lambda: SMTP(Handler(), hostname="localhost", loop=loop), "127.0.0.1", 0
    )
    server = loop.run_until_complete(made)
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    package.configure(notify={"smtp": f"smtp://127.0.0.1:{server.sockets[0].getsockname()[1]}"})
    yield received
    asyncio.run_coroutine_threadsafe(_closed(server), loop).result()
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()


# --- what is told ---------------------------------------------------------------------------------


def test_a_failure_is_posted_with_its_error(rocketjob, receiver):
    job = Pay.create(notify_url=receiver.url, description="to ann")
    assert rocketjob.work_off() == 2
    (seen,) = receiver.seen
    assert (seen["event"], seen["state"]) == ("fail", "failed")
    assert seen["error"] == {"class": "OSError", "message": "closed"}
    assert seen["job"] == {"id": str(job.id), "class": "Pay", "description": "to ann"}
    assert outbox.messages().find_one({}) is None


def test_completing_and_aborting_are_posted_where_a_job_says_so(rocketjob, receiver):
    Fine.create(notify_url=receiver.url)
    Fine.create(notify_url=receiver.url).abort()
    Fine.create(notify_url=receiver.url).fail("not told")
    rocketjob.work_off()
    assert sorted(seen["event"] for seen in receiver.seen) == ["abort", "complete"]


def test_a_failure_that_is_retried_is_not_told(rocketjob, receiver):
    PayAgain.create(notify_url=receiver.url)
    rocketjob.work_off()
    assert receiver.seen == []
    rocketjob.travel(DAY)
    rocketjob.work_off()
    assert len(receiver.seen) == 1


def test_the_settings_say_where_to_if_the_job_does_not(rocketjob, receiver, mails):
    package.configure(notify={"url": receiver.url, "mail_to": ["ops@example.com"]})
    Pay.create()
    rocketjob.work_off()
    assert len(receiver.seen) == len(mails) == 1


def test_a_job_without_a_receiver_costs_nothing(rocketjob):
    Pay.create()
    assert rocketjob.work_off() == 1


def test_a_mail_says_what_failed_and_why(rocketjob, mails):
    job = Pay.create(notify_mail=["ann@example.com", "bob@example.com"])
    rocketjob.work_off()
    ((to, mail),) = mails
    assert to == ["ann@example.com", "bob@example.com"]
    assert mail["Subject"] == "Pay failed: OSError: closed"
    assert f"rocketjob jobs show {job.id}" in mail.get_content()


def test_an_error_of_many_lines_is_one_line_in_the_subject(rocketjob, mails):
    Fine.create(notify_mail=["ann@example.com"], notify_when=["fail"]).fail("one\r\nBcc: x@y.z\n")
    rocketjob.work_off()
    ((to, mail),) = mails
    assert mail["Subject"] == "Fine failed: JobException: one Bcc: x@y.z"
    assert (to, mail["Bcc"]) == (["ann@example.com"], None)


def test_what_is_posted_is_signed(rocketjob, receiver):
    Pay.create(notify_url=receiver.url)
    rocketjob.work_off()
    (headers,), (body,) = receiver.headers, receiver.bodies
    header = headers[webhook.SIGNATURE]
    at = package.now().timestamp()
    assert is_signed("key", body, header, at=at)
    assert not is_signed("other", body, header, at=at)
    assert not is_signed("key", body + b" ", header, at=at)
    assert not is_signed("key", body, header, at=at + 301)
    assert not is_signed("key", body, "v1=abc", at=at)
    assert not is_signed("key", body, "t=²,v1=é", at=at)
    signed = hmac.new(b"key", b"1.{}", hashlib.sha256).hexdigest()  # as a receiver would write it
    assert signature("key", b"{}", 1) == f"t=1,v1={signed}"


# --- servers and workers that died ----------------------------------------------------------------


def test_a_server_that_was_lost_is_told(rocketjob, receiver, mails):
    package.configure(notify={"url": receiver.url, "mail_to": ["ops@example.com"]})
    plugin.server_lost(Server(name="web-1", host="rack-7"))
    rocketjob.work_off()
    (seen,), ((to, mail),) = receiver.seen, mails
    assert (seen["event"], seen["server"]) == ("server_lost", {"name": "web-1", "host": "rack-7"})
    assert (to, mail["Subject"]) == (
        ["ops@example.com"],
        "Server web-1 died: its heartbeat stopped",
    )
    assert "Host: rack-7" in mail.get_content()


def test_a_worker_process_that_died_is_told_with_what_it_was_at(rocketjob, receiver, mails):
    package.configure(notify={"url": receiver.url, "mail_to": ["ops@example.com"]})
    server = Server(name="web-1", host="rack-7")
    plugin.worker_died(server, "web-1:2", "its worker process was ended", ["65a0/3"])
    rocketjob.work_off()
    assert receiver.seen[0]["performing"] == ["65a0/3"]
    assert mails[0][1]["Subject"] == "web-1:2 died: its worker process was ended"
    assert "  65a0/3" in mails[0][1].get_content()


def test_of_processes_that_die_again_and_again_one_in_ten_minutes_is_told(rocketjob, receiver):
    package.configure(notify={"url": receiver.url})
    for host, minutes in (("a", 0), ("a", 9), ("b", 0), ("a", 1), ("a", 3)):
        rocketjob.travel(timedelta(minutes=minutes))
        plugin.worker_died(Server(name="web-1", host=host), "web-1:0", "", [])
        rocketjob.work_off()
    assert [seen["server"]["host"] for seen in receiver.seen] == ["a", "b", "a"]
    rocketjob.travel(2 * DAY)
    plugin.sweep()
    assert rocketjob.store.collection("notify.crashes").find_one({}) is None


def test_nobody_is_told_of_the_dead_where_the_settings_say_so_or_name_nobody(rocketjob, receiver):
    plugin.server_lost(Server(name="web-1"))
    package.configure(notify={"url": receiver.url, "crashes": False})
    plugin.server_lost(Server(name="web-1"))
    assert rocketjob.work_off() == 0


# --- when it does not arrive ----------------------------------------------------------------------


def test_it_is_tried_again_until_the_receiver_takes_it(rocketjob, receiver):
    rocketjob.freeze()
    receiver.status = 503
    Pay.create(notify_url=receiver.url)
    rocketjob.work_off()
    for wait in (30, 60, 120):
        rocketjob.travel(timedelta(seconds=wait - 5))
        plugin.sweep()
        assert rocketjob.work_off() == 0
        rocketjob.travel(timedelta(seconds=6))
        plugin.sweep()
        assert rocketjob.work_off() == 1
    receiver.status = 200
    rocketjob.travel(timedelta(minutes=5))
    plugin.sweep()
    rocketjob.work_off()
    assert len({seen["id"] for seen in receiver.seen}) == 1
    assert len(receiver.seen) == 5
    assert outbox.messages().find_one({}) is None


def test_a_receiver_that_is_gone_and_a_redirect_are_not_followed(rocketjob, receiver):
    receiver.status = 410
    Pay.create(notify_url=receiver.url)
    rocketjob.work_off()
    (message,) = outbox.messages().find({})
    assert "next_at" not in message
    assert "410" in message["error"]
    receiver.status = 302
    Pay.create(notify_url=receiver.url)
    rocketjob.work_off()
    assert "answered 302" in outbox.messages().find_one({"next_at": {"$exists": True}})["error"]
    assert len(receiver.seen) == 2


def test_after_so_many_attempts_it_is_given_up_named_and_can_be_tried_again(rocketjob, receiver):
    package.configure(notify={"attempts": 2})
    receiver.status = 500
    Pay.create(notify_url=receiver.url)
    for _ in range(3):
        rocketjob.work_off()
        rocketjob.travel(DAY)
        plugin.sweep()
    assert len(receiver.seen) == 2
    assert "127.0.0.1  given up  NotTaken: the receiver answered 500" in command("list")
    assert "hook" not in command("list")
    (finding,) = outbox.look(Patient(rocketjob.application, {}))
    assert finding.message == "1 messages were given up"
    receiver.status = 200
    assert command("retry") == "1 to be tried again\n"
    plugin.sweep()
    rocketjob.work_off()
    assert len(receiver.seen) == 3


def test_what_was_given_up_is_removed_after_some_days(rocketjob):
    Pay.create(notify_url="http://127.0.0.1:9")
    package.configure(notify={"attempts": 1})
    rocketjob.work_off()
    rocketjob.travel(6 * DAY)
    plugin.sweep()
    assert outbox.messages().find_one({}) is not None
    rocketjob.travel(2 * DAY)
    plugin.sweep()
    assert outbox.messages().find_one({}) is None


def test_one_receiver_that_does_not_answer_keeps_no_other_from_its_message(rocketjob, receiver):
    Pay.create(notify_url="http://127.0.0.1:9")
    Pay.create(notify_url=receiver.url)
    rocketjob.work_off()
    assert len(receiver.seen) == 1


def test_if_the_process_dies_after_the_failure_a_sweep_has_it_delivered(
    rocketjob, receiver, monkeypatch
):
    with monkeypatch.context() as patch:
        patch.setattr(NotifyDeliveryJob, "create", lambda: None)
        Pay.create(notify_url=receiver.url)
        rocketjob.work_off()
    assert receiver.seen == []
    plugin.sweep()
    plugin.sweep()
    assert rocketjob.work_off() == 1
    assert len(receiver.seen) == 1


def test_if_the_process_dies_while_it_delivers_it_is_delivered_later(rocketjob, receiver):
    Pay.create(notify_url=receiver.url).fail("x")
    assert outbox.take() is not None  # and nothing is heard of it again
    assert outbox.take() is None
    rocketjob.travel(outbox.LEASE)
    plugin.sweep()
    rocketjob.work_off()
    assert len(receiver.seen) == 1


def test_a_change_that_did_not_happen_is_not_told(rocketjob, receiver):
    job = Pay.create(notify_url=receiver.url)
    Pay.find(job.id).pause()
    with pytest.raises(package.StateConflict):
        job.fail("x")
    assert outbox.messages().find_one({}) is None


# --- what is refused ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"notify_url": "ftp://x"}, "must begin with http:// or https://"),
        ({"notify_url": "http://"}, "has no host"),
        ({"notify_url": "http://me:secret@example.com"}, "must not contain a user or password"),
        ({"notify_url": "http://example.com:99999"}, "is not a URL"),
        ({"notify_url": "http://example.com/a\r\nHost: x"}, "without blanks"),
        ({"notify_mail": ["ann"]}, "not an address"),
        ({"notify_mail": ["ann@example.com\nBcc: x@y.z"]}, "not an address"),
        ({"notify_when": ["explode"]}, "notify_when"),
    ],
)
def test_a_receiver_that_cannot_be_one_is_refused(rocketjob, fields, says):
    with pytest.raises(ValidationError, match=says):
        Pay.create(**fields)


def test_private_addresses_are_refused_unless_they_are_allowed(rocketjob, receiver):
    package.configure(notify={"allow_internal": False})
    for host in ("127.0.0.1", "localhost"):
        Pay.create(notify_url=receiver.url.replace("127.0.0.1", host))
    rocketjob.work_off()
    assert receiver.seen == []
    errors = [message["error"] for message in outbox.messages().find({"next_at": None})]
    assert len(errors) == 2
    assert "has the private address 127.0.0.1; set allow_internal = true in [notify]" in errors[0]


@pytest.mark.parametrize(
    "address",
    ["10.0.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1", "0.0.0.0", "224.0.0.1", "::1",
     "fe80::1%eth0", "fc00::1", "::ffff:127.0.0.1", "64:ff9b::7f00:1", "2002:7f00:1::"],
)  # fmt: skip
def test_an_address_that_is_not_of_the_public_network(address):
    assert not is_public(address)


@pytest.mark.parametrize("address", ["93.184.216.34", "2606:4700::1111", "::ffff:8.8.8.8"])
def test_an_address_of_the_public_network(address):
    assert is_public(address)


def test_without_a_mail_server_a_mail_is_given_up_with_the_reason(rocketjob):
    Pay.create(notify_mail=["ann@example.com"])
    rocketjob.work_off()
    assert "smtp in [notify]" in outbox.messages().find_one({"next_at": None})["error"]


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"smtp": "mail.example.com"}, "must be a URL such as smtp://mail.example.com"),
        ({"mail_to": ["ann"]}, "not an address"),
        ({"url": "nowhere"}, "must begin with"),
        ({"attempts": 0}, "at least 1"),
    ],
)
def test_a_wrong_setting_is_named(rocketjob, settings, says):
    with pytest.raises(package.ConfigurationError, match=says):
        package.configure(notify=settings)


# --- commands -------------------------------------------------------------------------------------


def test_a_message_can_be_sent_to_try_a_receiver(rocketjob, receiver, mails):
    assert command("test", "--post", receiver.url) == "delivered to 127.0.0.1\n"
    assert command("test", "--mail", "ann@example.com") == "delivered to ann@example.com\n"
    assert (len(receiver.seen), len(mails)) == (1, 1)
    receiver.status = 500
    assert "not delivered: the receiver answered 500" in command("test", "--post", receiver.url)
    assert "give --post or --mail" in command("test")


def command(*args):
    made = CliRunner().invoke(make_cli(), ["notify", *args])
    return made.output
