"""What a search is made for, and what each of its terms becomes."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import attrs

from rocketjob.base.errors import SearchError
from rocketjob.jobs.search.grammar import Term, Value
from rocketjob.store import Filter


@attrs.frozen
class Condition:
    """A condition on jobs, and the same in words."""

    filter: Filter
    words: str


@attrs.frozen
class Scope:
    """What a search is made for.

    Attributes:
        model: the class below which all jobs are.
        now: from which ages are counted back.
        messages: whether what exceptions say may be searched: it may quote a record.
    """

    model: Any
    text: str
    now: datetime
    messages: bool = True

    def error(self, at: Term | Value, problem: str) -> SearchError:
        """Return the error of a part of the search."""
        return SearchError(problem, self.text, at.start, at.end)

    def error_of_key(self, term: Term, problem: str) -> SearchError:
        """Return the error of what stands before the colon."""
        return SearchError(problem, self.text, term.start, term.start + len(term.key or ""))

    def plain_only(self, term: Term) -> None:
        """Refuse an operator where there is no more and no less.

        Raises:
            SearchError: there is one.
        """
        if term.operator not in ("", "="):
            problem = f"{term.key} has no order: write {term.key}: without {term.operator}"
            raise self.error(term, problem)
