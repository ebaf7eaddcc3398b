"""`State`: a state that a plugin adds to those that every job has.

    @hookimpl
    def register_states():
        return [
            State(
                "approval",
                "it waits for approval: approve it, or abort it",
                color="yellow",
                commands=(EventCommand("approve", "Let jobs run that wait.", "approved"),),
            )
        ]

The events that lead to it and from it are methods of a mixin, as those of `Job` are.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

import attrs

from rocketjob.states.transitions import KERNEL_STATES

COLORS = ("black", "red", "green", "yellow", "blue", "magenta", "cyan", "white")
NAME = re.compile("[a-z][a-z0-9_]*")


@attrs.frozen
class EventCommand:
    """A command `rocketjob jobs NAME`, which makes an event of some jobs, or of all that match.

    Attributes:
        event: the method's name; that of the command has hyphens in place of underscores.
        summary: a sentence for the help, such as `Let jobs run that wait for approval.`
        done: what became of the jobs, such as `approved`, for the last line: `2 approved`.
        takes_reason: whether the event takes a `reason`, for which the command has an option.
    """

    event: str
    summary: str
    done: str
    takes_reason: bool = False

    @property
    def name(self) -> str:
        return self.event.replace("_", "-")


def _as_tuple(commands: Iterable[EventCommand]) -> tuple[EventCommand, ...]:
    return tuple(commands)


@attrs.frozen
class State:
    """A state in which a job waits for something that only its plugin knows.

    No worker claims a job in it. It can be aborted, failed and destroyed like any that has not
    ended, also where its plugin is not installed any more.

    Attributes:
        name: lower case, such as `approval`.
        text: what the job waits for and what can be done, for `explain`; it follows the job's name.
        color: on a terminal: one of `black red green yellow blue magenta cyan white`.
        commands: for the events that lead to it or from it.
    """

    name: str
    text: str
    color: str = "white"
    commands: tuple[EventCommand, ...] = attrs.field(default=(), converter=_as_tuple)


def fault_of(state: State, taken: Iterable[str]) -> str | None:
    """Say why a plugin's state cannot be taken, or return None.

    Args:
        taken: names that mean something else of a job or a query.
    """
    name = state.name
    if not isinstance(name, str) or not NAME.fullmatch(name):
        return f"has a state {name!r}: a name has lower-case letters, digits and underscores"
    if name in KERNEL_STATES:
        return f"has a state {name}, which is one of the kernel's: give it another name"
    if name in taken or f"is_{name}" in taken:
        return f"has a state {name}, which means something else of a job: give it another name"
    if state.color not in COLORS:
        return f"has a state {name} of the color {state.color!r}; colors are {' '.join(COLORS)}"
    wrong = [each for each in state.commands if not isinstance(each, EventCommand)]
    return f"has a state {name} with {wrong[0]!r} for an EventCommand" if wrong else None


def text_of(name: str, known: Mapping[str, State]) -> str:
    """Say what a job in a state that is not the kernel's waits for."""
    if name in known:
        return known[name].text
    return (
        f"it is {name}, a state of no plugin that is loaded here, so nobody knows what it waits "
        "for: install or enable the plugin again, or abort or fail the job"
    )
