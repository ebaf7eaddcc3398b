"""The pytest plugin: the fixture `rocketjob`.

Nothing of the package is imported before the fixture is used, so that coverage sees it all.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from rocketjob.testing import Sandbox


@pytest.fixture
def rocketjob() -> Iterator[Sandbox]:
    """A private in-memory store, with `work_off` and `travel`; see `rocketjob.testing.Sandbox`."""
    from rocketjob.testing import sandbox  # for start-up time

    with sandbox() as app:
        yield app
