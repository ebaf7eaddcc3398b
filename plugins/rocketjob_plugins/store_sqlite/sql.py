"""Compile filters and sorts to SQL, as far as columns can answer them.

The SQL selects every document that matches. It is `exact` if it selects no others; if not,
`matcher.py` checks what it selects. Two rules keep it correct: a clause that no column can answer
is left out only where that widens the result, and a column that ever held an inexact value is not
used.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import product
from typing import Any, Final, NamedTuple

from bson.regex import Regex

from rocketjob.store import Filter, Sort
from rocketjob.store.documents.language import clauses, is_operators

from . import cells
from .cells import InexactError
from .table import INEXACT, NULLS, Column, Index, Table

MAX_PARAMETERS: Final = 20_000  # SQLite allows 32,766 for a statement
MAX_BRANCHES: Final = 16


Address = tuple[Any, ...]  # the keys and indexes that lead to a clause; () is the whole filter


class Part(NamedTuple):
    """A condition in SQL; if `sql` is None, there is no condition."""

    sql: str | None
    parameters: list[Any]
    exact: bool


class Plan(NamedTuple):
    """A SELECT of everything that a filter may match."""

    sql: str
    parameters: list[Any]
    exact: bool
    ordered: bool  # rows come in the requested order
    streams: bool  # rows come one by one: nothing has to be sorted first
    unproved: tuple[Address, ...]  # clauses that must be checked on what is selected


ANYTHING: Final = Part(None, [], False)
EVERYTHING: Final = Part(None, [], True)
NOTHING: Final = Part("FALSE", [], True)


class Compiler:
    """Compiles one filter for one table.

    Args:
        hidden: columns that SQLite must not look up in an index, because the plan has chosen one
            for them; a unary plus does that.
        hide_alternatives: hide every column inside `$or`, so that SQLite does not collect rows
            from several indexes, which would lose their order.
    """

    def __init__(
        self, table: Table, hidden: frozenset[str] = frozenset(), hide_alternatives: bool = False
    ) -> None:
        self._columns = table.columns
        self._hidden = hidden
        self._hide_alternatives = hide_alternatives
        self._hide_all = False

    def compile(self, filter: Filter) -> Part:
        """Return the condition of a filter."""
        return _join(" AND ", [self._clause(key, value) for key, value in filter.items()])

    def unproved(self, filter: Filter, above: Address = ()) -> Iterator[Address]:
        """Yield the clauses, with `$and` expanded, for which SQL selects too much."""
        for key, condition in filter.items():
            if key == "$and":
                for place, member in enumerate(condition):
                    yield from self.unproved(member, (*above, key, place))
            elif not self._clause(key, condition).exact:
                yield (*above, key)

    def _clause(self, key: str, condition: Any) -> Part:
        if key == "$comment":
            return EVERYTHING
        if key == "$and":
            members = _without_implied(clauses(key, condition))
            return _join(" AND ", [self.compile(member) for member in members])
        if key in ("$or", "$nor"):
            part = self._alternatives(clauses(key, condition))
            return self._from_place(condition, part) if key == "$or" else _negate(part)
        if key.startswith("$"):
            return ANYTHING
        column = self._columns.get(key)
        if column is None or column.flags & INEXACT:
            return self._inexact_id(column, condition)
        return self._field(column, condition)

    def _inexact_id(self, column: Column | None, condition: Any) -> Part:
        """Look up an `_id` by its key even if other ids in the column do not sort."""
        if column is None or column.path != "_id" or isinstance(condition, list | Regex):
            return ANYTHING
        if is_operators(condition):
            return ANYTHING
        return Part(f"{self._name(column)} = ?", [cells.key_column(condition)], False)

    def _alternatives(self, filters: Sequence[Filter]) -> Part:
        before = self._hide_all
        self._hide_all = before or self._hide_alternatives
        parts = [self.compile(member) for member in filters]
        self._hide_all = before
        if any(part.sql is None for part in parts):
            return Part(None, [], all(part.exact for part in parts))
        sql = " OR ".join(f"({part.sql})" for part in parts)
        return Part(f"({sql})", _parameters(parts), all(part.exact for part in parts))

    def _from_place(self, filters: Sequence[Filter], part: Part) -> Part:
        """Say once more what lies beyond a place in an order, so that SQLite can look it up.

        A queue is gone through in pages: each would begin at the first of its priority again.
        """
        place = _place_in_order(filters)
        if place is None or part.sql is None or self._hide_all:
            return part
        sign, *bounds = place
        columns = [self._columns.get(path) for path, _ in bounds]
        names = [self._name(each) for each in columns if each and not each.flags & INEXACT]
        values = [
            value for usable, value in (_column_value(value) for _, value in bounds) if usable
        ]
        if len(names) < 2 or len(values) < 2:
            return part
        condition = f"({', '.join(names)}) {sign} (?, ?) AND {part.sql}"
        return Part(condition, [*values, *part.parameters], part.exact)

    def _name(self, column: Column) -> str:
        hidden = self._hide_all or column.path in self._hidden
        return f"+{column.name}" if hidden else column.name

    def _field(self, column: Column, condition: Any) -> Part:
        if not is_operators(condition):
            return self._equal(column, condition)
        return _join(" AND ", [self._operator(column, *part) for part in condition.items()])

    def _operator(self, column: Column, name: str, operand: Any) -> Part:
        if name in ("$eq", "$ne"):
            part = self._equal(column, operand)
            return part if name == "$eq" else _negate(part)
        if name in ("$in", "$nin"):
            part = self._in(column, operand)
            return part if name == "$in" else _negate(part)
        if name in _COMPARISONS:
            return self._compare(column, name, operand)
        if name == "$exists":
            return self._exists(column, bool(operand))
        if name == "$not" and is_operators(operand):
            return _negate(self._field(column, operand))
        return ANYTHING

    def _equal(self, column: Column, operand: Any) -> Part:
        name = self._name(column)
        if operand is None and column.path != "_id":
            return Part(f"{name} IS NULL", [], True)
        usable, value = _column_value(operand)
        return Part(f"{name} = ?", [value], True) if usable else ANYTHING

    def _in(self, column: Column, operand: Any) -> Part:
        if not isinstance(operand, list) or len(operand) > MAX_PARAMETERS:
            return ANYTHING
        members = [_column_value(member) for member in operand if member is not None]
        if not all(usable for usable, _ in members) or (None in operand and column.path == "_id"):
            return ANYTHING
        name = self._name(column)
        sql = f"{name} IN ({', '.join('?' * len(members))})" if members else NOTHING.sql
        if None in operand:
            sql = f"({sql} OR {name} IS NULL)"
        return Part(sql, [value for _, value in members], True)

    def _compare(self, column: Column, operator: str, operand: Any) -> Part:
        usable, value = _column_value(operand)
        if not usable or operand is None:
            return ANYTHING
        name, sign = self._name(column), _COMPARISONS[operator]
        lowest, beyond = _bracket(value)
        sql = f"{name} {sign} ?"
        # only values of the same type compare, and NULL fails every comparison
        if sign in (">", ">=") and beyond is not None:
            return Part(f"({sql} AND {name} < {beyond})", [value], True)
        if sign in ("<", "<=") and lowest is not None:
            return Part(f"({sql} AND {name} >= {lowest})", [value], True)
        return Part(sql, [value], True)

    def _exists(self, column: Column, expected: bool) -> Part:
        if column.path == "_id":
            return EVERYTHING if expected else NOTHING
        exact = not column.flags & NULLS
        if expected:
            return Part(f"{self._name(column)} IS NOT NULL", [], True) if exact else ANYTHING
        return Part(f"{self._name(column)} IS NULL", [], exact)


def _place_in_order(
    filters: Sequence[Filter],
) -> tuple[str, tuple[str, Any], tuple[str, Any]] | None:
    """Recognise `a > x, or a = x and b > y`, or with `<`; return the sign, (a, x) and (b, y)."""
    if [len(each) for each in filters] != [1, 2]:
        return None
    ((first, beyond),) = filters[0].items()
    later = {path: condition for path, condition in filters[1].items() if path != first}
    for operator in ("$gt", "$lt"):
        bounds = [_only(operator, condition) for condition in (beyond, *later.values())]
        if len(bounds) == 2 and None not in bounds and [bounds[0]] == [filters[1][first]]:
            (second,) = later
            return _COMPARISONS[operator], (first, bounds[0]), (second, bounds[1])
    return None


def _without_implied(members: Sequence[Filter]) -> Sequence[Filter]:
    """Leave out `a >= x` beside `a > x, or a = x and b > y`: SQLite would look up that instead."""
    implied: list[Filter] = []
    for member in members:
        place = _place_in_order(clauses("$or", member["$or"])) if list(member) == ["$or"] else None
        if place is not None:
            sign, (path, value), _ = place
            implied.append({path: {"$gte" if sign == ">" else "$lte": value}})
    return [member for member in members if member not in implied] if implied else members


def _only(operator: str, condition: Any) -> Any:
    """Return the operand of a condition that has this operator alone; None if it has not."""
    if is_operators(condition) and list(condition) == [operator]:
        return condition[operator]
    return None


_COMPARISONS: Final = {"$gt": ">", "$gte": ">=", "$lt": "<", "$lte": "<="}


def _bracket(value: Any) -> tuple[str | None, str | None]:
    """Return the first value of a type's range in a column, and the first beyond it."""
    if isinstance(value, str):
        return "''", "x''"
    if isinstance(value, bytes):
        return f"x'{value[0]:02x}'", f"x'{value[0] + 1:02x}'"
    return None, "''"


def _column_value(operand: Any) -> tuple[bool, Any]:
    """Return whether a column can be compared with the operand, and with what."""
    if isinstance(operand, Regex):
        return False, None
    try:
        return True, cells.column(operand)
    except InexactError:
        return False, None


def _join(word: str, parts: list[Part]) -> Part:
    conditions = [part for part in parts if part.sql is not None]
    exact = all(part.exact for part in parts)
    if not conditions:
        return Part(None, [], exact)
    return Part(word.join(str(part.sql) for part in conditions), _parameters(conditions), exact)


def _parameters(parts: Sequence[Part]) -> list[Any]:
    return [value for part in parts for value in part.parameters]


def _negate(part: Part) -> Part:
    """Return the opposite of an exact condition; an inexact one has no usable opposite."""
    if not part.exact:
        return ANYTHING
    if part.sql is None:
        return NOTHING
    return Part(f"NOT ifnull(({part.sql}), 0)", part.parameters, True)


def where(table: Table, filter: Filter) -> Part:
    """Return the condition for a filter, for use where order does not matter."""
    return _where_and_unproved(_compiler(table, filter), filter)[0]


def _compiler(table: Table, filter: Filter) -> Compiler:
    """Return a compiler of conditions that leave it to SQLite which index to use.

    Where ids are named it is theirs: SQLite knows nothing of how many documents are queued, and
    would rather look at all of those.
    """
    if not _names_ids(filter):
        return Compiler(table)
    return Compiler(table, frozenset(path for path in table.columns if path != "_id"))


def _where_and_unproved(
    compiler: Compiler, filter: Filter, times: int = 1
) -> tuple[Part, tuple[Address, ...]]:
    part = compiler.compile(filter)
    if len(part.parameters) * times > MAX_PARAMETERS:
        return ANYTHING, ((),)
    return part, () if part.exact else tuple(compiler.unproved(filter))


def plan(table: Table, filter: Filter, sort: Sort, selected: str = "n, doc") -> Plan:
    """Return the SELECT for a filter and an order.

    If a declared index yields the order, the statement names it. If several values of its first
    columns are requested (two states, say), each is a scan in that order, and SQLite merges them
    row by row: in either case, no more rows are read than are taken.
    """
    columns = [table.columns.get(path) for path, _ in sort]
    ordered = not any(column is None or column.flags & INEXACT for column in columns)
    if sort and ordered and not (len(sort) > 1 and _names_ids(filter)):
        leading = _leading_index(table, filter, sort)
        if leading is not None:
            found = _ordered(table, filter, sort, selected, *leading[:3])
            if _selects_within(found, leading[3]):
                return found
    part, unproved = _where_and_unproved(_compiler(table, filter), filter)
    sql = f"SELECT {selected} FROM {table.name}{_where(part)}"
    if sort and ordered:
        order = ", ".join(_term(table.columns[path].name, way) for path, way in sort)
        sql = f"{sql} ORDER BY {order}"
    streams = not (sort and ordered)
    return Plan(sql, part.parameters, part.exact, ordered, streams, unproved)


def _names_ids(filter: Filter) -> bool:
    """Return whether a filter says which ids: to sort those few is less than to walk an order."""
    if (condition := filter.get("_id")) is not None:
        return not is_operators(condition) or "$in" in condition or "$eq" in condition
    return any(_names_ids(member) for member in filter.get("$and", ()))


def _term(name: str, way: int) -> str:
    return name if way > 0 else f"{name} DESC"


def _where(part: Part) -> str:
    return "" if part.sql is None else f" WHERE {part.sql}"


Choices = dict[str, list[Any]]


def _leading_index(
    table: Table, filter: Filter, sort: Sort
) -> tuple[str, list[tuple[Any, ...]], list[str], list[str]] | None:
    """Return the index that yields the order, the values of its first columns, and their paths.

    And for a partial index the names of the columns that are not null in it.
    """
    choices = _choices(table, filter)
    if list(sort) in ([("_id", 1)], [("_id", -1)]) and not choices:
        return f"{table.name}_id", [()], [], []
    for number, index in enumerate(table.indexes):
        if index.partial and not _has_all(table, index.partial, filter):
            continue
        length = _prefix_length(index, sort, choices)
        if length is not None:
            paths = [path for path, _ in index.keys[:length]]
            branches = list(product(*(choices[path] for path in paths)))
            if 0 < len(branches) <= MAX_BRANCHES:
                there = [table.columns[path].name for path in index.partial or ()]
                return f"{table.name}_{number}", branches, paths, there
    return None


def _selects_within(plan: Plan, names: Sequence[str]) -> bool:
    """Return whether SQLite will see that a partial index has all that a plan selects.

    It refuses the index where the condition was left out, or where nothing can match.
    """
    if not names:
        return True
    said = all(f"{name} IS NOT NULL" in plan.sql for name in names)
    return said and str(NOTHING.sql) not in plan.sql


def _has_all(table: Table, partial: Filter, filter: Filter) -> bool:
    """Return whether a partial index has every document that a filter matches.

    That is told where the filter says the same as the index, that fields exist, and columns know.
    """
    columns = [table.columns.get(path) for path in partial]
    known = all(column is not None and not column.flags & NULLS for column in columns)
    return known and all(
        condition == {"$exists": True} and _says(filter, path, condition)
        for path, condition in partial.items()
    )


def _says(filter: Filter, path: str, condition: Any) -> bool:
    """Return whether a clause is one of those that a filter joins by `and`."""
    if filter.get(path) == condition:
        return True
    return any(_says(member, path, condition) for member in filter.get("$and", ()))


def _prefix_length(index: Index, sort: Sort, choices: Choices) -> int | None:
    """Return after how many columns with known values the index continues in the sort order."""
    for length in range(len(index.keys)):
        keys = index.keys[length : length + len(sort)]
        if len(keys) == len(sort) and _same_order(keys, sort):
            return length
        if index.keys[length][0] not in choices:
            return None
    return None


def _same_order(keys: Sort, sort: Sort) -> bool:
    same_paths = all(key[0] == by[0] for key, by in zip(keys, sort, strict=True))
    return same_paths and len({key[1] * by[1] for key, by in zip(keys, sort, strict=True)}) == 1


def _choices(table: Table, filter: Filter) -> Choices:
    """Return the columns that can have only a few values if the filter matches."""
    choices: Choices = {}
    for key, condition in filter.items():
        if key == "$and":
            for member in condition:
                _narrow(choices, _choices(table, member))
        elif key == "$or":
            _narrow(choices, _common([_choices(table, member) for member in condition]))
        elif key in table.columns and not table.columns[key].flags & INEXACT:
            few = _few(condition)
            if few is not None:
                _narrow(choices, {key: few})
    return choices


def _few(condition: Any) -> list[Any] | None:
    if not is_operators(condition):
        members = [condition]
    elif "$eq" in condition:
        members = [condition["$eq"]]
    elif isinstance(condition.get("$in"), list) and len(condition["$in"]) <= MAX_BRANCHES:
        members = condition["$in"]
    else:
        return None
    column_values = [_column_value(member) for member in members]
    if not all(usable for usable, _ in column_values):
        return None
    return list(dict.fromkeys(value for _, value in column_values))


def _narrow(choices: Choices, more: Choices) -> None:
    for path, few in more.items():
        if path not in choices or len(few) < len(choices[path]):
            choices[path] = few


def _common(alternatives: list[Choices]) -> Choices:
    paths = set(alternatives[0]).intersection(*alternatives[1:])
    return {
        path: list(dict.fromkeys(value for choices in alternatives for value in choices[path]))
        for path in paths
    }


def _ordered(
    table: Table,
    filter: Filter,
    sort: Sort,
    selected: str,
    index: str,
    branches: list[tuple[Any, ...]],
    paths: list[str],
) -> Plan:
    compiler = Compiler(table, frozenset(paths), hide_alternatives=True)
    part, unproved = _where_and_unproved(compiler, filter, len(branches))
    names = [table.columns[path].name for path, _ in sort]
    selects, parameters = [], []
    for branch in branches:
        fixed = [
            f"{table.columns[path].name} {'IS NULL' if value is None else '= ?'}"
            for path, value in zip(paths, branch, strict=True)
        ]
        condition = " AND ".join([*fixed, *([part.sql] if part.sql else [])])
        parameters += [value for value in branch if value is not None] + part.parameters
        clause = f" WHERE {condition}" if condition else ""
        selects.append(
            f"SELECT {selected}, {', '.join(names)} FROM {table.name} INDEXED BY {index}{clause}"
        )
    first = selected.count(",") + 2  # a compound SELECT is ordered by the number of a column
    order = ", ".join(_term(str(first + i), way) for i, (_, way) in enumerate(sort))
    sql = f"{' UNION ALL '.join(selects)} ORDER BY {order}"
    return Plan(sql, parameters, part.exact, True, True, unproved)
