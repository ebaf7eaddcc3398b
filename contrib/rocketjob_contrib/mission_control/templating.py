"""Templates: where they are, and the words that they have besides those of Jinja."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol
from zoneinfo import ZoneInfo

import jinja2
from markupsafe import Markup, escape

from rocketjob.base.text import relative, span
from rocketjob.jobs.present import duration_text
from rocketjob.jobs.shown import class_name
from rocketjob_contrib.mission_control import links, looks, tree

if TYPE_CHECKING:
    from rocketjob_contrib.mission_control.sections import Section

_ID = re.compile(r"\b([0-9a-f]{24})\b")
FOLDER = Path(__file__).parent / "templates"


class Zoned(Protocol):
    """What of a `View` is asked for here."""

    @property
    def zone(self) -> ZoneInfo: ...


class Linking(Protocol):
    """The same, for links."""

    def url(self, path: str, **query: Any) -> str: ...


class Templates:
    """The templates of Mission Control, and those of sections under the section's name."""

    def __init__(self, sections: Iterable[Section] = ()) -> None:
        own = {
            section.name: jinja2.FileSystemLoader(section.templates)
            for section in sections
            if section.templates is not None
        }
        self._environment = jinja2.Environment(
            loader=jinja2.ChoiceLoader([jinja2.PrefixLoader(own), jinja2.FileSystemLoader(FOLDER)]),
            autoescape=True,
            undefined=jinja2.StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._environment.filters |= {
            "brief_duration": brief_duration,
            "duration": duration_text,
            "breakable": breakable,
            "marked": marked,
            "with_jobs": with_jobs,
            "shortened": shortened,
            "span": span,
            "tree": tree.tree,
            "linked": links.linked,
        }
        self._environment.globals |= {
            "moment": moment,
            "class_name": class_name,
            "clock_time": clock_time,
            "look": looks.look,
            "symbol": looks.symbol,
        }

    def render(self, name: str, values: Mapping[str, Any]) -> str:
        """Return the text of a template.

        Raises:
            jinja2.TemplateError: there is none, or it is wrong.
        """
        return self._environment.get_template(name).render(values)


def shortened(text: str | None, length: int = 50) -> str:
    """Return a text cut to a length, with an ellipsis where something is missing."""
    text = " ".join((text or "").split())
    return text if len(text) <= length else text[: length - 1].rstrip() + "…"


def brief_duration(seconds: float) -> str:
    """Return a duration to the second, or to the millisecond where it is less than one."""
    return span(seconds, 2) if seconds >= 1 else f"{1000 * seconds:.0f}ms"


def breakable(name: str | None) -> Markup:
    """Return the name of a class; where it is long, a line may be broken before its capitals."""
    parts = (
        re.split(r"(?<=[a-z0-9_.])(?=[A-Z])", name or "") if len(name or "") > 20 else [name or ""]
    )
    return Markup("<wbr>").join(parts)


def code(value: Any) -> Markup:
    """Return a value, such as an id, in the font of code."""
    return Markup("<code>{}</code>").format(value)


def marked(text: str) -> Markup:
    """Return a text in which what stands between backticks, such as a command, is code."""
    parts = [
        code(part) if number % 2 else escape(part) for number, part in enumerate(text.split("`"))
    ]
    return Markup("").join(parts)


def with_jobs(text: Markup, view: Linking) -> Markup:
    """Return a text in which the ids of jobs lead to their pages."""
    parts = _ID.split(text)
    return Markup("").join(
        Markup('<a class="mono" href="{}">{}</a>').format(view.url(f"/jobs/{part}"), part)
        if number % 2
        else Markup(part)
        for number, part in enumerate(parts)
    )


def clock_time(view: Zoned, at: datetime | None) -> str:
    """Return a time in the viewer's zone, to the second."""
    return "" if at is None else f"{at.astimezone(view.zone):%Y-%m-%d %H:%M:%S %Z}"


def moment(view: Zoned, at: datetime | None) -> Markup:
    """Return how long ago a time was, with the time itself for whoever points at it."""
    if at is None:
        return Markup("")
    return Markup('<time datetime="{}" title="{}">{}</time>').format(
        at.isoformat(timespec="seconds"), clock_time(view, at), relative(at)
    )
