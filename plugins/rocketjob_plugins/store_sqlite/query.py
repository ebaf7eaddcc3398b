"""A filter made ready: as BSON stores it, with its test, and with the SQL that selects for it.

Making SQL from a filter costs more than running it. The kernel asks the same questions over and
over with another time in them, so a finished plan is kept with the table under the filter's
*shape*: the filter with its times taken out. They are put back as parameters.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from bson.decimal128 import Decimal128
from bson.int64 import Int64
from bson.objectid import ObjectId

from rocketjob.base.errors import StoreError
from rocketjob.store import Filter, Sort, Stored

from . import sql, values
from .catalog import Table
from .matcher import Match, compile_filter

_SCALARS: Final = frozenset({str, int, bool, ObjectId, type(None)})
_CONTAINING: Final = frozenset({list, float, Int64, Decimal128})
_LONGEST_LIST: Final = 50  # a longer one is hardly ever asked for twice
_MOST_PLANS: Final = 200


class Query:
    """A filter, compiled as far as it has to be."""

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
        """The test whether a document matches."""
        if self._matches is None:
            self._matches = _equalities(self.filter) if self._guard else compile_filter(self.filter)
        return self._matches

    def check(self) -> None:
        """Raise what is wrong with the filter, where there is nothing to try it on."""
        compile_filter(self.filter)

    def where(self, table: Table) -> sql.Part:
        """Return the condition for this filter, for use where order does not matter."""
        part = sql.where(table, self.filter)
        if not part.exact:
            _ = self.matches  # raises what SQL has passed over
        return part

    def plan(self, table: Table, sort: Sort, wanted: str = "n, doc") -> sql.Plan:
        """Return the SELECT for this filter in an order."""
        shape = self._shape
        if shape is None:
            return sql.plan(table, self.filter, sort, wanted)
        key = (shape, tuple(sort), wanted)
        plan = table.plans.get(key)
        if plan is None:
            numbers = iter(range(len(self._times)))
            plan = sql.plan(table, _with_slots(self.filter, numbers), sort, wanted)
            if len(table.plans) >= _MOST_PLANS:
                table.plans.clear()
            table.plans[key] = plan
        return plan._replace(parameters=[self._value(one) for one in plan.parameters])

    def rest(self, plan: sql.Plan) -> Match | None:
        """Return the test of what a plan has not proved, None where that is nothing."""
        if plan.exact:
            return None
        if plan.unproved == ((),):
            return self.matches
        return compile_filter({"$and": [self._clause(address) for address in plan.unproved]})

    def _clause(self, address: sql.Address) -> Filter:
        node: Any = self.filter
        for step in address[:-1]:
            node = node[step]
        return {address[-1]: node[address[-1]]}

    def _value(self, parameter: Any) -> Any:
        if type(parameter) is values.SlotColumn:
            return values.column(self._times[parameter.number])
        return parameter


class _NotPlain(Exception):
    """The filter has values that BSON would store otherwise, or that are not worth keeping."""


def _is_guard(filter: Filter) -> bool:
    """Tell whether a filter is made of plain equalities, as a guarded write's is."""
    for key, value in filter.items():
        if type(value) not in _SCALARS or "." in key or key[:1] == "$":
            return False
    return bool(filter)


def _equalities(filter: Filter) -> Match:
    """Return the test of plain equalities, which is not worth compiling: it runs once."""

    def matches(document: Stored) -> bool:
        for key, wanted in filter.items():
            value = document.get(key)
            if type(value) is not type(wanted) or value != wanted:
                # equal all the same if it is another type of number, or contained in an array
                return type(value) in _CONTAINING and compile_filter(filter)(document)
        return True

    return matches


def _shape(value: Any, times: list[datetime]) -> Any:
    """Return what is the same for all filters that differ in times only; collect the times."""
    kind = type(value)
    if kind is str:
        return value
    if kind is dict:
        return (dict, *value, *[_shape(member, times) for member in value.values()])
    if kind is datetime:
        times.append(value)
        return datetime
    if kind is list and len(value) <= _LONGEST_LIST:
        members = [_shape(member, times) for member in value]
        if datetime in members:  # how many differ would matter
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
    if type(value) is not datetime:
        return value
    return values.slot(next(numbers))
