"""Asking in one process: whoever waits for answers lets the listener hear, and time goes by."""

import threading
from types import SimpleNamespace

from rocketjob.base import clock
from rocketjob.server import answers, events
from rocketjob.server.questions import Answerer


def hear_while_waiting(monkeypatch):
    """Let each look for answers take a second, in which what was asked is heard.

    Returns:
        a list with the seconds that have gone by.
    """
    listener, time = events.Listener(), [0.0]
    listener.read()

    def pause(seconds):
        time[0] += 1.0
        listener.read()

    monkeypatch.setattr(answers, "_pause", pause)
    ours = SimpleNamespace(monotonic=lambda: time[0], now=clock.now)
    monkeypatch.setattr(answers, "clock", ours)
    return time


def answer_at_once(monkeypatch):
    """Let what plugins are asked be answered at once, instead of on a thread of its own."""
    take = Answerer.take

    def take_and_answer(self, *asked):
        self._thread = threading.current_thread()  # so that it starts none
        take(self, *asked)
        if not self._asked.empty():
            self.answer_next()

    monkeypatch.setattr(Answerer, "take", take_and_answer)


def at_work(job, seconds, thread, part=None):
    """Return a worker that has been at a job for so long, or at a part of it."""
    began = clock.monotonic() - seconds
    part = None if part is None else (job.id, part, began)
    return SimpleNamespace(thread=thread, job=job, began=began, part=part, coroutine=None)
