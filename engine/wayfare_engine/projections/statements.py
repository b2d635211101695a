"""SQL that follows from the declarations: how a fold of rows joins what a table has."""

from __future__ import annotations

from functools import cache

from wayfare_engine.projections.declared import BY_NAME, Part, Projection, Rule

#: Taken shared by whoever applies rows, exclusively by an erasure or a retention: what they remove
#: must not come back from a transaction that looked before they committed.
LOCK = 0x57465052  # "WFPR"
SHARED = f"SELECT pg_advisory_xact_lock_shared({LOCK})"
EXCLUSIVE = f"SELECT pg_advisory_xact_lock({LOCK})"

#: Erased customers (with NULL), and cutoffs of projections in µs since 1970.
ALL_LIMITS = """
SELECT customer_id, NULL::bigint FROM wayfare.erased
UNION ALL SELECT projection, (extract(epoch FROM before) * 1000000)::bigint
FROM wayfare.retention_cutoffs"""
#: The same, with only those of the given customers that are erased.
LIMITS_OF = """
SELECT customer_id, NULL::bigint FROM wayfare.erased WHERE customer_id = ANY(%s)
UNION ALL SELECT projection, (extract(epoch FROM before) * 1000000)::bigint
FROM wayfare.retention_cutoffs"""

#: Senders' ids of events that came by a chain, so that a repeat is known here too. Not a
#: projection: what is older than a day is left out, and forgotten later.
NOW = "SELECT (extract(epoch FROM now()) * 1000)::bigint"
REPEATS_MILLISECONDS = 86_400_000
NOTE_REPEATS = (
    "INSERT INTO wayfare.event_repeats (client_id, row_id, at) "
    "SELECT client_id, row_id, now() FROM unnest(%s::text[], %s::uuid[]) AS given "
    '(client_id, row_id) ORDER BY client_id COLLATE "C", row_id ON CONFLICT (client_id) DO NOTHING'
)

_KEPT = "NOT EXISTS (SELECT FROM wayfare.erased e WHERE e.customer_id = s.customer_id)"


def staging(name: str) -> str:
    """The temporary table that a projection's batches are copied into."""
    return f"pg_temp.staged_{name}"


@cache
def create_staging(name: str) -> str:
    """Once a session."""
    projection = BY_NAME[name]
    return f"CREATE TEMPORARY TABLE IF NOT EXISTS staged_{name} (LIKE {projection.table})"


@cache
def copy_staging(name: str) -> str:
    """Into the staging table, in the declared order of columns."""
    return f"COPY {staging(name)} ({_names(BY_NAME[name])}) FROM STDIN (FORMAT BINARY)"


@cache
def upsert_staged(name: str, *, erased: bool = False, cutoff: bool = False) -> str:
    """Join the staged rows with the table's; they are in the order of their keys.

    With `erased`, without those of erased customers; with `cutoff`, only those whose retained
    column is above the statement's one parameter.
    """
    projection = BY_NAME[name]
    conditions = [_KEPT] if erased and projection.customer else []
    if cutoff and projection.retained_by is not None:
        conditions.append(f"s.{_quoted(projection.retained_by)} > %s")
    chosen = f"SELECT {_names(projection)} FROM {staging(name)} s"  # noqa: S608
    if conditions:
        key = ", ".join(_quoted(column.name) for column in projection.key)
        chosen += f" WHERE {' AND '.join(conditions)} ORDER BY {key}"
    return _upsert(projection, chosen)


@cache
def count_expired(name: str) -> str:
    """How many staged rows are at or below a cutoff."""
    column = BY_NAME[name].retained_by
    assert column is not None
    return f"SELECT count(*) FROM {staging(name)} s WHERE s.{_quoted(column)} <= %s"  # noqa: S608


@cache
def upsert_given(name: str) -> str:
    """Join rows that are given as one array a column, in the order of their keys."""
    projection = BY_NAME[name]
    arrays = ", ".join(
        f"%s::{'text' if column.type == 'json' else column.type}[]" for column in projection.columns
    )
    taken = ", ".join(
        f"given.{_quoted(column.name)}" + ("::json" if column.type == "json" else "")
        for column in projection.columns
    )
    return _upsert(
        projection,
        f"SELECT {taken} FROM unnest({arrays}) AS given ({_names(projection)})",  # noqa: S608
    )


@cache
def delete_customers(name: str) -> str:
    """The rows of some customers."""
    projection = BY_NAME[name]
    assert projection.customer is not None
    return f"DELETE FROM {projection.table} WHERE {projection.customer} = ANY(%s)"  # noqa: S608


@cache
def delete_until(name: str) -> str:
    """The rows at or before a limit of the retained column."""
    projection = BY_NAME[name]
    assert projection.retained_by is not None
    return f"DELETE FROM {projection.table} WHERE {projection.retained_by} <= %s"  # noqa: S608


def _upsert(projection: Projection, source: str) -> str:
    key = ", ".join(_quoted(column.name) for column in projection.key)
    changes, condition = _join(projection)
    action = f"UPDATE SET {', '.join(changes)}{condition}" if changes else "NOTHING"
    returning = " RETURNING t.origin_id, t.xmax = 0" if projection.name == "merged_rows" else ""
    return (
        f"INSERT INTO {projection.table} AS t ({_names(projection)}) {source} "
        f"ON CONFLICT ({key}) DO {action}{returning}"
    )


def _join(projection: Projection) -> tuple[list[str], str]:
    if len(projection.parts) == 1 and projection.parts[0].rule is not Rule.SUM:
        part = projection.parts[0]
        names = [_quoted(column.name) for column in part.columns]
        return [f"{name} = excluded.{name}" for name in names], f" WHERE {_wins(part)}"
    changes: list[str] = []
    for part in projection.parts:
        for column in part.columns:
            name = _quoted(column.name)
            changes.append(f"{name} = {_settled(part, name)}")
    return changes, ""


def _settled(part: Part, name: str) -> str:
    if part.rule is Rule.SUM:
        return f"t.{name} + excluded.{name}"
    if len(part.columns) == 1:
        return f"{'greatest' if part.rule is Rule.HIGHEST else 'least'}(t.{name}, excluded.{name})"
    return f"CASE WHEN {_wins(part)} THEN excluded.{name} ELSE t.{name} END"


def _wins(part: Part) -> str:
    names = [_quoted(column.name) for column in part.columns[: part.order]]
    sign = ">" if part.rule is Rule.HIGHEST else "<"
    new = ", ".join(f"excluded.{name}" for name in names)
    old = ", ".join(f"t.{name}" for name in names)
    return f"({new}) {sign} ({old})"


def _names(projection: Projection) -> str:
    return ", ".join(_quoted(column.name) for column in projection.columns)


def _quoted(name: str) -> str:
    return f'"{name}"'
