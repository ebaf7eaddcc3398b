"""The search box of the lists of jobs: what was typed, understood, or why it was not."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from rocketjob import Job, SearchError
from rocketjob.jobs.search import Key, Search, known_keys, parse

if TYPE_CHECKING:
    from rocketjob_contrib.mission_control.view import View


@attrs.frozen
class Box:
    """What is in the box.

    Attributes:
        search: None: nothing was typed, or it was not understood.
        problem: why not.
    """

    search: Search | None = None
    problem: SearchError | None = None

    @property
    def keys(self) -> list[Key]:
        """What can be searched by."""
        return known_keys()

    def pieces(self) -> tuple[str, str, str]:
        """Return the text of a problem: before what is wrong, that, and what is after it."""
        assert self.problem is not None
        text, start, end = self.problem.text, self.problem.start, self.problem.end
        begin = max(0, start - 60)
        return (
            ("…" if begin else "") + text[begin:start],
            text[start : min(end, start + 80)],
            text[end : end + 60],
        )


def box_of(view: View, text: str) -> Box:
    """Return what was typed, understood as far as whoever looks may search."""
    return view.once(f"search {text}", lambda: _understood(view, text))


def _understood(view: View, text: str) -> Box:
    if not text:
        return Box()
    try:
        return Box(parse(text, Job, messages=view.may_quote()))
    except SearchError as problem:
        return Box(problem=problem)
