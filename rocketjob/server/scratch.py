"""A place for tests beside a store, which `rocketjob doctor --deep` uses and removes."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import attrs

from rocketjob.server.checks import Finding
from rocketjob.store import Store


@attrs.frozen
class Scratch:
    """A place that nothing else uses, on the same server or file system as a store.

    Attributes:
        place: what it is, such as `database rocketjob_scratch_4f1c`.
        engine: what keeps the documents, with its version, as it says itself.
        new: returns the store there, empty; whoever asked for it closes it before the next.
        remove: removes the place with all that is in it.
        findings: what was found when it was made.
    """

    place: str
    engine: str
    new: Callable[[], Store]
    remove: Callable[[], None]
    findings: Sequence[Finding] = ()
