"""The directory that a process was started in: nothing of ours depends on where it is later."""

from __future__ import annotations

import contextlib
import os


def of_process() -> str:
    """Return where the process is, by the name it was given: a link to a release stays a link."""
    named = os.environ.get("PWD", "")
    try:
        if os.path.isabs(named) and os.path.samefile(named, os.curdir):
            return named
        return os.getcwd()
    except OSError:  # it was deleted
        return named or os.sep


def within(directory: str) -> contextlib.AbstractContextManager[None]:
    """Be in a directory for a block, if app or job went elsewhere; not, if there is none any more.

    All threads are there with this one, so keep the block short.
    """
    if of_process() == directory or not os.path.isdir(directory):
        return contextlib.nullcontext()
    return contextlib.chdir(directory)
