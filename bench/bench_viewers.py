"""Measure what many who look at one page cost the web process: its processor time.

    python bench/bench_viewers.py                     50 viewers of the overview, for 30 seconds
    python bench/bench_viewers.py --viewers 200 --path /jobs/running --seconds 60

`rocketjob web` is started on a store in a temporary folder, with jobs in every state. While it is
measured a job is stored or ended twice a second, so that there is always something new. Each viewer
does what an open page does: it listens to the stream, and asks for the page again when it is told
that something has changed. Other programs do not make the result longer: what is measured is
the processor time of the web process, not the time that passes. It ends with 1 if that is more
than 5 % of a core.
"""

from __future__ import annotations

import argparse
import contextlib
import http.client
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import rocketjob
from rocketjob import Job
from rocketjob.store import context

MOST = 5.0  # per cent of a core
WARM_UP = 5.0  # seconds
TICK = os.sysconf("SC_CLK_TCK")
ROCKETJOB = Path(sys.executable).with_name("rocketjob")


class ViewedJob(Job):
    destroy_on_complete = False

    def perform(self) -> None: ...


def main() -> int:
    options = parsed()
    folder = tempfile.mkdtemp(prefix="rocketjob-viewers-")
    url = f"sqlite:///{folder}/viewed.db"
    port = free_port()
    over = threading.Event()
    with contextlib.ExitStack() as stack:
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        rocketjob.connect(url)
        stack.callback(context.current().close)
        fill(options.jobs)
        web = subprocess.Popen(
            [ROCKETJOB, "--url", url, "--log-level", "error", "web", "--port", str(port)]
        )
        stack.callback(web.wait)
        stack.callback(web.terminate)
        stack.callback(over.set)
        wait_for(port)
        return measured(options, port, web.pid, over)


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--viewers", type=int, default=50)
    parser.add_argument("--path", default="/overview")
    parser.add_argument("--seconds", type=float, default=30)
    parser.add_argument("--jobs", type=int, default=2000, help="that are stored")
    return parser.parse_args()


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def wait_for(port: int) -> None:
    until = time.monotonic() + 30
    while time.monotonic() < until:
        with contextlib.suppress(OSError):
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        time.sleep(0.1)
    raise SystemExit("the web process does not answer")


def fill(count: int) -> None:
    """Store jobs: one in ten has failed, one in five waits, the others have completed."""
    for number in range(count):
        job = ViewedJob.create(description=f"number {number}")
        if number % 10 == 0:
            job.fail(ValueError(f"line {number} is wrong"))
        elif number % 5:
            job.start()
            job.complete()


def busy(over: threading.Event) -> int:
    """Store a job, or end one, twice a second; return how many times."""
    number = 0
    while not over.wait(0.5):
        job = ViewedJob.create(description="in the meantime")
        job.start()
        if number % 5 == 0:
            job.fail(ValueError(f"line {number} is wrong"))
        else:
            job.complete()
        number += 1
    return number


class Viewer(threading.Thread):
    """An open page, without what draws it."""

    def __init__(self, port: int, path: str, over: threading.Event) -> None:
        super().__init__(daemon=True)
        self._port, self._path, self._over = port, path, over
        self.looks = self.bytes = self.failed = 0

    def run(self) -> None:
        pages = http.client.HTTPConnection("127.0.0.1", self._port, timeout=60)
        stream = http.client.HTTPConnection("127.0.0.1", self._port, timeout=60)
        with contextlib.suppress(OSError, http.client.HTTPException):
            self._look(pages)
            stream.request("GET", "/events")
            for line in stream.getresponse():
                if self._over.is_set():
                    return
                if line.startswith(b"event: changed"):
                    self._look(pages)

    def _look(self, pages: http.client.HTTPConnection) -> None:
        pages.request("GET", self._path, headers={"X-Live": "1", "HX-Request": "true"})
        answer = pages.getresponse()
        self.bytes += len(answer.read())
        self.looks += 1
        self.failed += answer.status != 200


def processor_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICK


def measured(options: argparse.Namespace, port: int, pid: int, over: threading.Event) -> int:
    threading.Thread(target=busy, args=(over,), daemon=True).start()
    viewers = [Viewer(port, options.path, over) for _ in range(options.viewers)]
    for viewer in viewers:
        viewer.start()
    time.sleep(WARM_UP)
    looks, used, began = looked(viewers), processor_seconds(pid), time.monotonic()
    time.sleep(options.seconds)
    took = time.monotonic() - began
    looks, used = looked(viewers) - looks, processor_seconds(pid) - used
    percent = 100 * used / took
    size = sum(viewer.bytes for viewer in viewers) / max(1, looked(viewers))
    print(f"{options.viewers} viewers of {options.path}: {looks / took:.1f} looks a second")
    print(f"{percent:.1f} % of a core, {1000 * used / max(1, looks):.2f} ms a look, {size:,.0f} B")
    if failed := sum(viewer.failed for viewer in viewers):
        print(f"{failed} looks were answered by an error")
    return int(percent > MOST or bool(failed))


def looked(viewers: list[Viewer]) -> int:
    return sum(viewer.looks for viewer in viewers)


if __name__ == "__main__":
    sys.exit(main())
