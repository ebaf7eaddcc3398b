"""Rows of relational queries as records: streamed, and in an order that is the same each time.

A callback that uploads can be run again from its beginning, and rejects name the number of their
record: the same row must have the same number. So rows that the query leaves in any order are put
in that of their primary key. Neither library is imported: whoever has a query has done so.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from rocketjob_plugins.batch.io.iterables import row_of

AT_ONCE = 1000  # rows in memory


def records_of(query: Any, session: Any) -> Iterator[Any]:
    """Yield the rows of a query of Django or SQLAlchemy.

    Raises:
        TypeError: it is neither, or one of SQLAlchemy without its session; models of several
            tables, which no record can be.
    """
    if hasattr(query, "iterator") and hasattr(query, "model"):
        return _of_query_set(query)
    if not hasattr(query, "execution_options"):
        raise TypeError(
            f"upload_query takes a QuerySet of Django or a select of SQLAlchemy, not {query!r}; "
            "other rows: upload(cursor) takes whatever can be iterated"
        )
    if session is None:
        raise TypeError("upload_query(select, session): a SQLAlchemy query needs its session")
    return _of_select(query, session)


# --- Django --------------------------------------------------------------------------------------


def _of_query_set(query: Any) -> Iterator[Any]:
    if query._iterable_class.__name__ == "ModelIterable":
        query = query.values_list("pk", flat=True)
    return (row_of(row) for row in _in_order_of_key(query).iterator(chunk_size=AT_ONCE))


def _in_order_of_key(query: Any) -> Any:
    """Return a query set whose rows have one order; its own comes first.

    Where a primary key would change what is selected, the order is left to whoever wrote it.
    """
    inner = query.query
    is_fixed = inner.is_sliced or inner.combinator or inner.distinct or inner.extra_order_by
    if is_fixed or inner.group_by is not None:
        return query
    own = inner.order_by or (inner.get_meta().ordering if inner.default_ordering else ())
    return query.order_by(*own, "pk")


# --- SQLAlchemy ----------------------------------------------------------------------------------


def _of_select(query: Any, session: Any) -> Iterator[Any]:
    query = _in_order(_without_models(query))
    result = session.execute(query.execution_options(yield_per=AT_ONCE))
    return (row_of(tuple(row)) for row in result)


def _without_models(query: Any) -> Any:
    """Return the query with the primary key in place of a model, as for Django."""
    described = getattr(query, "column_descriptions", ())
    models = [each["entity"] for each in described if _is_model(each)]
    if not models:
        return query
    if len(described) > 1:
        raise TypeError(
            f"upload_query cannot store a {models[0].__name__} beside other columns: select the "
            f"columns that are needed, as select({models[0].__name__}.id, ...)"
        )
    return query.with_only_columns(*models[0].__mapper__.primary_key)


def _is_model(described: Any) -> bool:
    entity = described.get("entity")
    return entity is not None and described["expr"] is entity and hasattr(entity, "__mapper__")


def _in_order(query: Any) -> Any:
    """Return a select whose rows have one order; its own comes first. Text is taken as it is."""
    if not hasattr(query, "order_by"):
        return query
    if not hasattr(query, "get_final_froms"):  # a union
        return query if query._order_by_clauses else query.order_by(*query.selected_columns)
    if query._distinct or query._group_by_clauses:  # rows that have no key of their own
        return query if query._order_by_clauses else query.order_by(*query.selected_columns)
    keys = [key for each in query.get_final_froms() for key in getattr(each, "primary_key", ())]
    return query.order_by(*(keys or query.selected_columns))
