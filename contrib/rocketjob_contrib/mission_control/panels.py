"""Panels: the parts of a job's page."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import attrs


@attrs.frozen(kw_only=True)
class Panel:
    """One part of the page of a job.

    Attributes:
        title: its heading.
        template: that shows it, such as `weather/job_panel.html`; it has `job`, `view` and:
        values: what the template is given besides.
        order: on the page, ascending; those of Mission Control are from 10 to 90.
        wide: whether it needs the whole width.
    """

    title: str
    template: str
    values: Mapping[str, Any] = attrs.field(factory=dict)
    order: int = 50
    wide: bool = False
