"""The end of a server's processes: as of any Python program, but in bounded time.

What jobs and app modules have registered with `atexit` runs, and the pools of processes that they
keep are shut down. A thread that does not end, or a handler that hangs, holds nobody up for long.
"""

from __future__ import annotations

import atexit
import contextlib
import gc
import os
import threading
from collections.abc import Callable
from typing import Any, NoReturn

from rocketjob.base.log import Logger

log = Logger("rocketjob.ending")
EXIT_SECONDS = 3.0  # for the threads, and again for what is registered with `atexit`
SAY_SECONDS = 1.0
SPOILT = 70  # the exit code of a process that a job has made useless


def end_soon(code: int, last: Callable[[], None] = lambda: None) -> None:
    """Have this process, which is about to end with `code`, be over within a few seconds.

    Args:
        last: called before an end by force, such as to write what is left of the log.
    """
    gc.freeze()  # what is left is given back anyway: to look through it is a fifth of a short life
    threads_ended = threading.Event()
    atexit.register(threads_ended.set)  # registered last, called first

    def watch() -> None:
        if threads_ended.wait(EXIT_SECONDS):
            threading.Event().wait(EXIT_SECONDS)
        else:
            _say(f"threads do not end and are given up: {_names_of_threads()}")
            handlers = threading.Thread(target=atexit._run_exitfuncs, daemon=True)
            handlers.start()
            handlers.join(EXIT_SECONDS)
            if not handlers.is_alive():
                os._exit(code)
        _say("what was registered with atexit does not end and is given up")
        last()
        os._exit(code)

    with contextlib.suppress(RuntimeError):  # no thread can be started
        threading.Thread(target=watch, name="ending", daemon=True).start()


def end_as_spoilt(why: str, **details: Any) -> NoReturn:
    """End this process now: a job has made it useless, so that nothing can be stored any more."""
    log.error(f"{why}: ending at once", **details)
    threading.Event().wait(0.1)  # for the log, where that can still be written
    os._exit(SPOILT)


def _say(text: str) -> None:
    """Log a line, unless nobody reads what is written: that would hold this end up too."""
    saying = threading.Thread(target=log.warning, args=(text,), daemon=True)
    saying.start()
    saying.join(SAY_SECONDS)


def _names_of_threads() -> str:
    main = threading.main_thread()
    return ", ".join(t.name for t in threading.enumerate() if not t.daemon and t is not main)
