"""What plugins let a server take: the hook `claim_clauses`, which is asked now and then."""

from __future__ import annotations

from collections.abc import Iterator
from math import inf

import attrs

from rocketjob.base import clock
from rocketjob.base.config import Config
from rocketjob.base.errors import HookFailed
from rocketjob.base.log import Logger
from rocketjob.jobs.claims import COLLECTION
from rocketjob.jobs.holds import Clause
from rocketjob.store import Filter, Store
from rocketjob.store.context import Plugins, unless_transient
from rocketjob.store.written import written

log = Logger("rocketjob.queue")
NOTHING: Filter = {"_id": {"$in": []}}


@attrs.define(eq=False)
class Narrowing:
    """What the plugins of this process let it take now.

    A plugin that fails has not said yes: then nothing is taken, and its clause says why.

    Attributes:
        clauses: what they said last.
    """

    store: Store
    plugins: Plugins
    config: Config
    clauses: list[Clause] = attrs.field(factory=list, init=False)
    _until: float = -inf  # a test may set the clock back
    _logged: set[str] = attrs.field(factory=set, init=False)

    def look(self) -> list[Clause]:
        """Return what holds now; plugins are asked again after `re_check_seconds`."""
        if not self.plugins.listens("claim_clauses"):
            return []
        if clock.elapsed() >= self._until:
            self.clauses = list(self._asked())
            self._until = clock.elapsed() + self.config.re_check_seconds
        return self.clauses

    def _asked(self) -> Iterator[Clause]:
        failures: list[HookFailed] = []
        failed = unless_transient(self.store, failures.append)
        for answer in self.plugins.answers("claim_clauses", failed, config=self.config):
            for clause in answer.value:
                problem = self._problem(clause)
                yield clause if problem is None else self._nothing(answer.plugin, problem)
        for error in failures:
            yield self._nothing(error.plugin, str(error))

    def _problem(self, clause: Clause) -> str | None:
        """Return what is wrong with a filter, which becomes part of every claim's."""
        try:
            written(clause.filter)
            self.store.collection(COLLECTION).find_one({"$and": [NOTHING, clause.filter]})
        except Exception as error:
            if self.store.is_transient(error):
                raise
            return f"the filter {clause.filter!r} of {clause.name} cannot be used: {error}"
        return None

    def _nothing(self, plugin: str, problem: str) -> Clause:
        if problem not in self._logged:
            self._logged.add(problem)
            log.error("nothing is taken: claim_clauses failed", plugin=plugin, error=problem)
        return Clause(plugin, f"nothing is taken: {problem}", NOTHING)
