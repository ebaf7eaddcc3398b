"""A prepared filter: as BSON stores it, with its test, and the SQL that selects for it.

Compiling a filter to SQL costs more than running it. The kernel makes the same queries over and
over with different times in them, so a finished plan is cached with the table under the filter's
*shape*: the filter without its times, which are put back as parameters.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final, TypeVar

from bson.decimal128 import Decimal128
from bson.int64 import Int64
from bson.objectid import ObjectId

from rocketjob.base.errors import StoreError
from rocketjob.store import Filter, Sort, Stored
from rocketjob.store.documents import values
from rocketjob.store.documents.leaves import Match
from rocketjob.store.documents.matcher import compile_match

from . import cells, sql
from .table import INEXACT, Table

Made = TypeVar("Made")
_SCALARS: Final = frozenset({str, int, bool, ObjectId, type(None)})
_CONTAINING: Final = frozenset({list, float, Int64, Decimal128})
_LONGEST_LIST: Final = 50  # a longer one hardly ever occurs twice
_MOST_PLANS: Final = 200


class Query:
    """A filter, compiled as far as needed."""

    __slots__ = ("_guard", "_matches", "_shape", "_times", "filter")

    def __init__(self, filter: Filter | None) -> None:
        self._matches: Match | None = None
        self._times: list[datetime] = []
        self.filter: Filter = filter or {}
        if not isinstance(self.filter, Mapping):
            raise StoreError(f"A filter is a mapping of field to condition, not {filter!r}")
        self._guard = _is_guard(self.filter)
        self._shape: Any = None
        if self._guard:
            return
        try:
            self._shape = _shape(self.filter, self._times)
        except _NotPlain:
            self.filter = values.normalise(self.filter)

    @property
    def matches(self) -> Match:
        """The test for whether a document matches."""
        if self._matches is None:
            self._matches = _equalities(self.filter) if self._guard else compile_match(self.filter)
        return self._matches

    def check(self) -> None:
        """Raise if the filter is wrong, when there is nothing to try it on."""
        compile_match(self.filter)

    def where(self, table: Table) -> sql.Part:
        """Return the condition for this filter, for use where order does not matter."""
        part = sql.where(table, self.filter)
        if not part.exact:
            _ = self.matches  # raises errors in what SQL left out
        return part

    def equal_columns(self, table: Table) -> tuple[str, list[Any]] | None:
        """Return the condition of a guard that columns answer alone, and its parameters."""
        if not self._guard or None in self.filter.values():
            return None
        key = (Query, *self.filter)
        condition = table.plans.get(key)
        if condition is None:
            columns = [table.columns.get(path) for path in self.filter]
            serve = all(column is not None and not column.flags & INEXACT for column in columns)
            condition = " AND ".join(f"{column.name} = ?" for column in columns if column)
            condition = _kept(table, key, condition if serve else "")
        try:
            return (condition, list(map(cells.column, self.filter.values()))) if condition else None
        except cells.InexactError:
            return None

    def plan(self, table: Table, sort: Sort, selected: str = "n, doc") -> sql.Plan:
        """Return the SELECT for this filter and an order."""
        shape = self._shape
        if shape is None:
            return sql.plan(table, self.filter, sort, selected)
        key = (shape, tuple(sort), selected)
        plan: sql.Plan | None = table.plans.get(key)
        if plan is None:
            numbers = iter(range(len(self._times)))
            with_slots = _with_slots(self.filter, numbers)
            plan = _kept(table, key, sql.plan(table, with_slots, sort, selected))
        return plan._replace(parameters=[self._value(parameter) for parameter in plan.parameters])

    def rest(self, plan: sql.Plan) -> Match | None:
        """Return the test for what a plan has not proved; None if it has proved everything."""
        if plan.exact:
            return None
        if plan.unproved == ((),):
            return self.matches
        return compile_match({"$and": [self._clause(address) for address in plan.unproved]})

    def _clause(self, address: sql.Address) -> Filter:
        node: Any = self.filter
        for step in address[:-1]:
            node = node[step]
        return {address[-1]: node[address[-1]]}

    def _value(self, parameter: Any) -> Any:
        if type(parameter) is cells.SlotColumn:
            return cells.column(self._times[parameter.number])
        return parameter


def _kept(table: Table, key: Any, plan: Made) -> Made:
    """Keep a plan with its table, for the next query of the same shape."""
    if len(table.plans) >= _MOST_PLANS:
        table.plans.clear()
    table.plans[key] = plan
    return plan


class _NotPlain(Exception):
    """The filter has values that BSON stores in another form, or that are not worth caching."""


def _is_guard(filter: Filter) -> bool:
    """Return whether a filter consists of plain equalities, as that of a guarded write does."""
    for key, value in filter.items():
        if type(value) not in _SCALARS or "." in key or key[:1] == "$":
            return False
    return bool(filter)


def _equalities(filter: Filter) -> Match:
    """Return a test for plain equalities, which are not worth compiling for a single use."""

    def matches(document: Stored) -> bool:
        for key, expected in filter.items():
            value = document.get(key)
            if type(value) is not type(expected) or value != expected:
                # still equal if it is another type of number, or contained in an array
                return type(value) in _CONTAINING and compile_match(filter)(document)
        return True

    return matches


def _shape(value: Any, times: list[datetime]) -> Any:
    """Return what filters that differ only in their times have in common; collect the times."""
    kind = type(value)
    if kind is str:
        return value
    if kind is dict:
        return (dict, *value, *[_shape(member, times) for member in value.values()])
    if isinstance(value, datetime):  # the clock's are of a type of their own
        times.append(value)
        return datetime
    if kind is list and len(value) <= _LONGEST_LIST:
        members = [_shape(member, times) for member in value]
        if datetime in members:  # equal times could change the number of parameters
            raise _NotPlain
        return (list, *members)
    if kind in _SCALARS:
        return (kind, value)
    raise _NotPlain


def _with_slots(value: Any, numbers: Any) -> Any:
    if type(value) is dict:
        return {key: _with_slots(member, numbers) for key, member in value.items()}
    if type(value) is list:
        return [_with_slots(member, numbers) for member in value]
    return cells.slot(next(numbers)) if isinstance(value, datetime) else value
