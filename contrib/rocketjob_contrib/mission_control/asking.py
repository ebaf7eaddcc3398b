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
class Action:
    """One thing that can be done with what a page shows.

    Attributes:
        name: of an event, of an order, or `destroy`: it is in the path and in the permission.
        title: on the button.
        icon: a name of `icons.svg`.
        done: what the message afterwards says of what it was done to.
        does: what people must know before.
        is_dangerous: whether it cannot be undone, or ends work.
        word: that has to be typed, for what no slip of a finger may do.
    """

    name: str
    title: str
    icon: str
    done: str = ""
    does: str = ""
    is_dangerous: bool = False
    word: str | None = None


@attrs.frozen(kw_only=True)
class Input:
    """Something that is asked for beside whether an action is meant.

    Attributes:
        name: of the field in the form.
        label: of it.
        value: that it has at first.
        choices: one of which it is; none: anything may be typed.
        mode: of the keyboard of a telephone, such as `decimal`.
        hint: what else somebody must know.
    """

    name: str
    label: str
    value: str = ""
    choices: tuple[str, ...] = ()
    mode: str = "text"
    hint: str = ""


@attrs.frozen(kw_only=True)
class Question:
    """What is asked before an action.

    Attributes:
        action: that the answer is about.
        title: the question itself.
        path: where the answer is posted to.
        back: the path to which it leads afterwards, and if it is not done.
        subject: what it is done to.
        state: of the subject, for its badge.
        texts: what it does, and what else somebody must know.
        names: of all subjects, where there are many.
        hidden: what is posted along, such as the state that was shown.
        inputs: what is asked for besides.
    """

    action: Action
    title: str
    path: str
    back: str
    subject: str
    state: str | None = None
    texts: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    hidden: Mapping[str, str] = attrs.field(factory=dict)
    inputs: tuple[Input, ...] = ()


def ask(view: View, question: Question, problem: str | None = None) -> Response:
    """Return the page, or the dialog, that asks.

    Args:
        problem: what was wrong with the answer.
    """
    template = "asking_form.html" if view.is_fragment else "asking.html"
    status = 200 if problem is None else 422
    return view.render(template, status, question=question, problem=problem)


def typed_wrongly(view: View, action: Action) -> str | None:
    """Return why the answer is not enough, if a word had to be typed."""
    if action.word is None:
        return None
    typed = " ".join(view.form.get(TYPED, "").split())
    if typed.casefold() == action.word.casefold():
        return None
    said = f", not {typed[:50]}" if typed else ""
    return f"Nothing was done: type {action.word}{said}"


def back_after(view: View, page: str, gone: str | None = None) -> str:
    """Return where an action leads: to where it was asked, which by default is its subject's page.

    Args:
        page: the path of the subject's page.
        gone: the path to go to instead of that page, if the subject is not there any more.
    """
    back = view.back(page)
    return gone if gone is not None and back.partition("?")[0] == page else back
