"""Asking whether an action is meant, in proportion to what it does, before it is done.

The same question is a page of its own, or, where scripts are on, a dialog on the page at hand.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import attrs
from starlette.responses import Response

if TYPE_CHECKING:
    from rocketjob_contrib.mission_control.view import View

TYPED = "typed"  # the name of the field that a word is typed into


@attrs.frozen(kw_only=True)
class Question:
    """What is asked before an action.

    Attributes:
        title: the question itself.
        path: where the answer is posted to.
        button: the text of the button that does it.
        icon: a name of `icons.svg`.
        subject: what it is done to.
        state: of the subject, for its badge.
        texts: what it does, and what else somebody must know.
        names: of all subjects, where there are many.
        hidden: what is posted along, such as the state that was shown.
        back: the path to which it leads afterwards, and if it is not done.
        is_dangerous: whether it cannot be undone, or ends work.
        word: that has to be typed, for what no slip of a finger may do.
    """

    title: str
    path: str
    button: str
    icon: str
    back: str
    subject: str = ""
    state: str | None = None
    texts: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    hidden: Mapping[str, str] = attrs.field(factory=dict)
    is_dangerous: bool = False
    word: str | None = None


def ask(view: View, question: Question, problem: str | None = None) -> Response:
    """Return the page, or the dialog, that asks.

    Args:
        problem: what was wrong with the answer.
    """
    template = "asking_form.html" if view.is_fragment else "asking.html"
    status = 200 if problem is None else 422
    return view.render(template, status, question=question, problem=problem)


def typed_wrongly(view: View, question: Question) -> str | None:
    """Return why the answer is not enough, if a word had to be typed."""
    if question.word is None:
        return None
    typed = " ".join(view.form.get(TYPED, "").split())
    if typed.casefold() == question.word.casefold():
        return None
    said = f", not {typed[:50]}" if typed else ""
    return f"Nothing was done: type {question.word}{said}"
