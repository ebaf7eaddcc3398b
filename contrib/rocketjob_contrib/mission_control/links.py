"""Links in plain text."""

from __future__ import annotations

import re

from markupsafe import Markup, escape

_URL = re.compile(r"\bhttps?://[^\s<>\"'\\^`{|}]+[^\s<>\"'\\^`{|}.,;:!?)\]]")


def linked(text: str) -> Markup:
    """Return a text in which web addresses are links; everything else is escaped."""
    parts, end = [], 0
    for found in _URL.finditer(text):
        url = found.group()
        link = Markup('<a href="{0}" rel="noreferrer noopener">{0}</a>').format(url)
        parts += [escape(text[end : found.start()]), link]
        end = found.end()
    return Markup("").join([*parts, escape(text[end:])])
