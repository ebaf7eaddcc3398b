"""From the tree of a search to its filter, and to the same in words."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any, TypeVar

import attrs

from rocketjob.base import clock
from rocketjob.jobs.search.grammar import All, Either, Node, Not, Term, tree_of
from rocketjob.jobs.search.keys import condition_of
from rocketjob.jobs.search.scope import Condition, Scope
from rocketjob.model.query import Query
from rocketjob.store import Filter

Q = TypeVar("Q", bound=Query[Any])
INDEXED = frozenset({"_id", "state", "priority", "run_at", "completed_at"})
"""Stored fields that an index of the kernel begins with, or has behind the state."""


@attrs.frozen
class Search:
    """A search, understood.

    Attributes:
        text: as it was typed.
        filter: of the jobs that it finds; times in it are fixed.
        words: the same for people, to be shown beside what was found.
        unindexed: the keys of the terms that no index helps with: in a store of very many jobs
            these take long.
        fields: the stored fields that decide.
    """

    text: str
    filter: Filter
    words: str
    unindexed: tuple[str, ...]
    fields: frozenset[str]

    def narrow(self, query: Q) -> Q:
        """Return a query of jobs, narrowed to what is searched for."""
        return attrs.evolve(query, filters=(*query.filters, self.filter))


def parse(text: str, model: Any, *, messages: bool = True, now: datetime | None = None) -> Search:
    """Return the meaning of a search.

    Args:
        model: the class whose jobs are searched, mostly `Job`.
        messages: whether what exceptions say may be searched: it may quote a record.
        now: from which ages are counted back; None: from now.

    Raises:
        SearchError: it cannot be understood; the error says where, and what would be right.
    """
    tree, scope = tree_of(text), Scope(model, text, now or clock.now(), messages)
    conditions = {id(term): condition_of(scope, term) for term in _terms(tree)}
    unindexed = [
        term.key or "text"
        for term in _terms(tree)
        if not _fields(conditions[id(term)].filter) <= INDEXED
    ]
    whole = _whole(tree, conditions)
    return Search(
        text, whole.filter, whole.words, tuple(dict.fromkeys(unindexed)), _fields(whole.filter)
    )


def _terms(node: Node) -> Iterator[Term]:
    if isinstance(node, Term):
        yield node
    elif isinstance(node, Not):
        yield from _terms(node.part)
    else:
        for part in node.parts:
            yield from _terms(part)


def _whole(node: Node, conditions: Mapping[int, Condition]) -> Condition:
    if isinstance(node, Term):
        return conditions[id(node)]
    if isinstance(node, Not):
        part = _whole(node.part, conditions)
        return Condition({"$nor": [part.filter]}, f"not ({part.words})")
    parts = [_whole(part, conditions) for part in node.parts]
    operator, word = ("$and", "and") if isinstance(node, All) else ("$or", "or")
    words = [
        f"({part.words})" if _has_several(each) else part.words
        for part, each in zip(parts, node.parts, strict=True)
    ]
    return Condition({operator: [part.filter for part in parts]}, f" {word} ".join(words))


def _has_several(node: Node) -> bool:
    return isinstance(node, All | Either) or (isinstance(node, Term) and len(node.values) > 1)


def _fields(filter: Any) -> frozenset[str]:
    """Return the stored fields that a filter looks at."""
    found: set[str] = set()
    for key, value in filter.items():
        if not key.startswith("$"):
            found.add(key.partition(".")[0])
        elif key in ("$and", "$or", "$nor"):
            found.update(*(_fields(clause) for clause in value))
    return frozenset(found)
