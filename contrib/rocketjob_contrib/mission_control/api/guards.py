"""If-Match: a change is made only of what was seen."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from rocketjob.store import packing
from rocketjob_contrib.mission_control.api.problems import Problem

if TYPE_CHECKING:
    from rocketjob_contrib.mission_control.api.view import ApiView


def version(stored: Mapping[str, Any], keys: Iterable[str]) -> str:
    """Return what tells whether these keys of a document are still as they were seen."""
    seen = {key: stored.get(key) for key in keys}
    return hashlib.sha256(packing.pack(seen)).hexdigest()[:32]


def asked_for(view: ApiView) -> list[str]:
    """Return the versions that If-Match names; none where it is not given, or any will do.

    Raises:
        Problem: it is given, and names nothing.
    """
    text = view.request.headers.get("if-match", "*").strip()
    if not text:
        raise Problem(400, "If-Match is empty: it must have an ETag, or be left out")
    return [] if text == "*" else [part.strip() for part in text.split(",")]


def must_match(view: ApiView, version: str, what: str) -> bool:
    """Return whether If-Match was given and names this version.

    Raises:
        Problem: it names others.
    """
    wanted = asked_for(view)
    if wanted and f'"{version}"' not in wanted:
        raise Problem(412, f"{what} is not as If-Match says: read it again, and decide again")
    return bool(wanted)


def must_be_given(view: ApiView) -> None:
    """Refuse a change of which it is not said what was seen.

    Raises:
        Problem: there is no If-Match, or it names nothing.
    """
    if not asked_for(view):
        raise Problem(428, "If-Match must have the ETag of what is to be changed")
