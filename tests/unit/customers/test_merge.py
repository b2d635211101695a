"""Merging a load into the base, against a model of dictionaries."""

from __future__ import annotations

import secrets
from typing import Any

import numpy as np
import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from wayfare_engine.customers.changes import Changes
from wayfare_engine.customers.merge import merge, with_dense
from wayfare_engine.customers.sealing import Sealing
from wayfare_engine.customers.typing_columns import hold
from wayfare_engine.plan import AttributeType
from wayfare_engine.store import customer_base
from wayfare_engine.store.customers import Change, StoredColumn

KINDS = {"age": AttributeType.INT, "city": AttributeType.STRING}
IDS = st.sampled_from("abcdef")
CELLS = {"age": st.one_of(st.none(), st.integers(0, 3)), "city": st.sampled_from([None, "x", "y"])}


@st.composite
def steps(draw: st.DrawFn) -> list[Any]:
    """Loads (columns, rows) and single changes (customer, name, value), in turns."""
    found: list[Any] = []
    for _ in range(draw(st.integers(1, 6))):
        if draw(st.booleans()):
            names = draw(st.lists(st.sampled_from(list(KINDS)), unique=True))
            ids = draw(st.lists(IDS, unique=True, min_size=1))
            found.append((names, [(i, [draw(CELLS[n]) for n in names]) for i in ids]))
        else:
            name = draw(st.sampled_from(list(KINDS)))
            found.append((draw(IDS), name, draw(CELLS[name])))
    return found


class Unsealed(Sealing):
    """Nothing is sensitive here."""

    def __init__(self) -> None:
        pass


def opened(_: str, __: str, json: bytes) -> bytes:
    return json


@given(steps())
def test_customers_are_what_loads_and_changes_made_of_them_in_turn(steps: list[Any]) -> None:
    base = customer_base.empty()
    stored: tuple[StoredColumn, ...] = ()
    changes: dict[tuple[str, str], Change] = {}
    model: dict[str, dict[str, Any]] = {}
    early: dict[str, dict[str, Any]] = {}
    for step in steps:
        if len(step) == 3:
            customer, name, value = step
            version = changes[customer, name].version + 1 if (customer, name) in changes else 1
            text = "null" if value is None else f'"{value}"' if name == "city" else str(value)
            changes[customer, name] = Change(customer, name, text, version)
            # A change of somebody who is not there yet waits for them.
            model.get(customer, early.setdefault(customer, {}))[name] = value
            continue
        names, rows = step
        before = {i: dict(a) for i, a in model.items()}
        for customer, values in rows:
            model.setdefault(customer, early.pop(customer, {})).update(
                zip(names, values, strict=True)
            )
        loaded = pa.table(
            {
                "id": pa.array([i for i, _ in rows], pa.large_string()),
                **{
                    n: hold([values[k] for _, values in rows], KINDS[n])
                    for k, n in enumerate(names)
                },
            }
        )
        done = merge(
            base,
            loaded,
            [(n, KINDS[n]) for n in names],
            stored=stored,
            sensitive=frozenset(),
            changes=Changes(changes.values(), opened),
            sealing=Unsealed,
        )
        added = [i for i, _ in rows if i not in before]
        changed = [
            i
            for i, values in rows
            if i in before
            and any(before[i].get(n) != v for n, v in zip(names, values, strict=True))
        ]
        assert (done.added, done.changed) == (len(added), len(changed))
        if not (added or changed):
            assert done.differs == (tuple(stored) != done.columns)
        count = base.num_rows
        base = with_dense(done.table, count, np.arange(count, count + len(added), dtype=np.uint32))
        stored = done.columns
        assert base.column("dense").to_pylist() == list(range(base.num_rows))
        assert effective(base, changes, stored) == {
            i: {c.name: a.get(c.name) for c in stored} for i, a in model.items()
        }
        assert set(customer_base.attributes_of(base)) == {c.name for c in stored}
    assert effective(base, changes, stored) == {
        i: {c.name: a.get(c.name) for c in stored} for i, a in model.items()
    }


def effective(
    base: pa.Table, changes: dict[tuple[str, str], Change], stored: tuple[StoredColumn, ...]
) -> dict[str, dict[str, Any]]:
    """What readers see: the base with the changes that no load overtook."""
    over = Changes(changes.values(), opened)
    ids = base.column("id")
    columns = {
        c.name: over.over(
            base.column(customer_base.attribute(c.name)), ids, c.name, KINDS[c.name], base
        ).to_pylist()
        for c in stored
    }
    return {
        customer: {name: values[row] for name, values in columns.items()}
        for row, customer in enumerate(ids.to_pylist())
    }


def test_a_base_written_and_read_is_the_same(tmp_path: Any) -> None:
    table = pa.table(
        [
            pa.array([0, 7], pa.uint32()),
            pa.array(["a", "b"], pa.large_string()),
            pa.array([1, None], pa.int64()),
            pa.array(
                [{"kid": secrets.token_bytes(16), "nonce": bytes(12), "ciphertext": b"x"}, None],
                customer_base.ENVELOPE,
            ),
        ],
        schema=pa.schema(
            [
                pa.field("dense", pa.uint32()),
                pa.field("id", pa.large_string()),
                customer_base.field("age", AttributeType.INT),
                customer_base.field("income", AttributeType.DOUBLE, sensitive=True),
            ]
        ),
    )
    customer_base.write(table, tmp_path / "base")

    read = customer_base.read(tmp_path / "base")

    assert read.to_pydict() == table.to_pydict()
    fields = customer_base.attributes_of(read)
    assert {n: customer_base.kind_of(f) for n, f in fields.items()} == {
        "age": AttributeType.INT,
        "income": AttributeType.DOUBLE,
    }
    assert [customer_base.is_sensitive(f) for f in fields.values()] == [False, True]
