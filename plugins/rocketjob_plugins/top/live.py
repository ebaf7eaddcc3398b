"""A terminal that shows a `Desk`, and a thread that looks: neither waits for the other."""

from __future__ import annotations

import contextlib
import logging
import os
import select
import shutil
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any

from rocketjob_plugins.top.desk import Desk
from rocketjob_plugins.top.frame import frame

TICK = 0.2  # seconds between two drawings: ages grow, and the terminal may have another size
LAST_WAIT = 5.0  # seconds for a deed that is under way at the end
SHORT_WAIT = 0.5  # seconds for a look, which takes less unless the store is away
# Another screen, no cursor, and what does not fit a very narrow terminal does not wrap; and back.
ENTER, LEAVE = "\x1b[?1049h\x1b[?25l\x1b[?7l", "\x1b[?7h\x1b[?25h\x1b[?1049l"
NAMES = {
    "\x1b[A": "up",
    "\x1b[B": "down",
    "\x1b[C": "right",
    "\x1b[D": "left",
    "\x1bOA": "up",
    "\x1bOB": "down",
    "\x1bOC": "right",
    "\x1bOD": "left",
    "\x1b[Z": "left",
    "\t": "tab",
    "\r": "enter",
    "\n": "enter",
    "\x7f": "backspace",
    "\x08": "backspace",
    "\x1b": "escape",
}


def watch(desk: Desk, interval: float) -> None:
    """Show a desk until somebody quits; the terminal is then as it was."""
    with _looking(desk, interval), Terminal() as terminal:
        while not desk.is_done:
            size = shutil.get_terminal_size()
            terminal.draw(frame(desk, *size), size)
            for key in terminal.keys(TICK):
                desk.press(key)


@contextlib.contextmanager
def _looking(desk: Desk, interval: float) -> Iterator[None]:
    """Look again and again on a thread of its own, for the length of a block."""
    wake, over = threading.Event(), threading.Event()
    desk.wakes = wake.set

    def run() -> None:
        while True:
            wake.clear()
            desk.work()
            if over.is_set():
                return
            desk.look()
            wake.wait(interval)

    thread = threading.Thread(target=run, name="top", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        wake.set()
        thread.join(LAST_WAIT if desk.doing is not None else SHORT_WAIT)


def keys_in(text: str) -> Iterator[str]:
    """Yield the keys that a terminal has sent, by their names; others are left out."""
    while text:
        for sent, name in NAMES.items():  # an escape alone is the last of them
            if text.startswith(sent) and (sent != "\x1b" or text == sent):
                yield name
                text = text[len(sent) :]
                break
        else:
            if text[0] == "\x1b":
                text = _after_sequence(text)
            else:
                yield text[0]
                text = text[1:]


def _after_sequence(text: str) -> str:
    """Return what follows an escape sequence that means nothing here."""
    at = 2 if text[1:2] in ("[", "O") else 1
    while at < len(text) and not text[at].isalpha() and text[at] != "~":
        at += 1
    return text[at + 1 :]


class Terminal:
    """The terminal for the length of a block, which leaves it as it was, whatever ends the block.

    Its second screen is used, so that what was on it comes back. Keys come as they are pressed.
    """

    def __enter__(self) -> Terminal:
        import termios  # not on Windows

        self._in, self._out = sys.stdin.fileno(), sys.stdout
        self._shown, self._size = list[str](), (0, 0)
        self._mode: list[Any] = termios.tcgetattr(self._in)
        self._silent, self._log = logging.NullHandler(), logging.getLogger("rocketjob")
        self._handlers: dict[int, Any] = {}
        try:
            self._enter()
            for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT):
                self._handle(number, self._end)
            self._handle(signal.SIGTSTP, self._sleep)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._handlers.items():
            signal.signal(number, handler)
        self._leave()

    def _enter(self) -> None:
        import tty  # not on Windows

        self._log.addHandler(self._silent)  # a line of the log would be in the middle of the page
        tty.setcbreak(self._in)
        self._shown, self._size = [], (0, 0)
        self._write(ENTER)

    def _leave(self) -> None:
        import termios  # not on Windows

        self._log.removeHandler(self._silent)
        with contextlib.suppress(OSError, termios.error):  # it may be gone
            self._write(LEAVE)
            termios.tcsetattr(self._in, termios.TCSADRAIN, self._mode)

    def _handle(self, number: int, handler: Callable[[int, FrameType | None], None]) -> None:
        self._handlers[number] = signal.signal(number, handler)

    def _end(self, number: int, _: FrameType | None) -> None:
        raise SystemExit(128 + number)

    def _sleep(self, number: int, _: FrameType | None) -> None:
        """Give the terminal back to the shell, for as long as it stops this process."""
        self._leave()
        signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)
        signal.signal(number, self._sleep)
        self._enter()

    # --- both directions ---------------------------------------------------------------------

    def draw(self, lines: list[str], size: tuple[int, int]) -> None:
        """Show lines; only those that have changed are written, unless the terminal has."""
        if size != self._size:
            self._shown, self._size = [], size
            self._write("\x1b[2J")
        known = dict(enumerate(self._shown))
        changed = [
            f"\x1b[{number + 1};1H\x1b[0m\x1b[2K{line}"
            for number, line in enumerate(lines)
            if known.get(number) != line
        ]
        if changed:
            self._write("".join(changed))
        self._shown = lines

    def keys(self, seconds: float) -> list[str]:
        """Return the keys that are pressed, as soon as there are any, or none after a while."""
        ready, _, _ = select.select([self._in], [], [], seconds)
        if not ready:
            return []
        sent = os.read(self._in, 4096)
        if not sent:  # the other end is gone
            raise SystemExit(128 + signal.SIGHUP)
        return list(keys_in(sent.decode(errors="ignore")))

    def _write(self, text: str) -> None:
        encoding = self._out.encoding or "utf-8"
        self._out.write(text.encode(encoding, "replace").decode(encoding))
        self._out.flush()
