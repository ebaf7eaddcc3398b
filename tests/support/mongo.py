"""A MongoDB-compatible server for tests: SecantusDB, started on a free loopback port."""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import uuid
import warnings
from pathlib import Path

import pytest

VARIABLE = "ROCKETJOB_TEST_MONGODB_URL"
START_SECONDS = 60


class MongoServer:
    """A server of one's own; it can be stopped and started again.

    Args:
        folder: where it keeps its data; None: it keeps none.
        options: of `secantusd-py`.
    """

    def __init__(self, folder=None, *options):
        self.folder, self.options = folder, options
        self.port = free_port()
        self._own = None if folder else tempfile.mkdtemp(prefix="rocketjob-mongo")
        self.process = None
        self.start()

    @property
    def url(self):
        return f"mongodb://127.0.0.1:{self.port}"

    def start(self):
        path = str(self.folder or self._own)
        self.process = subprocess.Popen(
            [
                *(program(), "--port", str(self.port), "--storage-path", path),
                *("--log-level", "ERROR", *self.options),
            ],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        end = time.monotonic() + START_SECONDS
        while not answers(self.port):
            assert self.process.poll() is None, "the test server did not start"
            assert time.monotonic() < end, "the test server does not answer"
            time.sleep(0.05)

    def stop(self):
        """Stop it; one that keeps nothing is simply killed."""
        self._end(signal.SIGKILL if self._own else signal.SIGTERM)
        if self._own:
            shutil.rmtree(self._own, ignore_errors=True)

    def _end(self, number):
        if self.process.poll() is None:
            self.process.send_signal(number)
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait(20)


def program():
    """Return the path of SecantusDB's server, or None."""
    beside = Path(sys.executable).with_name("secantusd-py")
    return str(beside) if beside.exists() else shutil.which("secantusd-py")


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def answers(port):
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
        return True
    return False


def needs_a_server():
    """Skip the test where no server can be had; in CI that is a failure."""
    if program() is not None:
        return
    message = f"no MongoDB: set {VARIABLE}, or pip install secantusdb (extra `test`)"
    pytest.fail(message) if os.environ.get("CI") else pytest.skip(message)


@contextlib.contextmanager
def server_url():
    """Yield the URL of a server for this session, without a database."""
    given = os.environ.get(VARIABLE)
    if given:
        yield given
        return
    needs_a_server()
    server = MongoServer()
    try:
        yield server.url
    finally:
        server.stop()


def database_url(server, **options):
    """Return the URL of a new database on a server."""
    from urllib.parse import urlsplit, urlunsplit

    parts = urlsplit(server)
    query = "&".join([*filter(None, [parts.query]), *(f"{n}={v}" for n, v in options.items())])
    return urlunsplit(parts._replace(path=f"/rj_{uuid.uuid4().hex[:12]}", query=query))


def drop(url):
    """Remove the database of a URL."""
    import pymongo

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # our own options
        with pymongo.MongoClient(url) as client:
            client.drop_database(client.get_default_database().name)
