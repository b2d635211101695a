"""What is sensitive is sealed everywhere, and gone everywhere when its key is destroyed."""

from __future__ import annotations

import base64
import io
import re
import secrets
from pathlib import Path
from typing import Any

import msgspec
import psycopg
import pyarrow.parquet as pq
import pytest

from tests.customers.loading import NOW, blob_rows, load_csv, values
from tests.servers.customers import stored
from wayfare_engine.clock import new_id, now
from wayfare_engine.customers import applying
from wayfare_engine.customers.erasing import erase
from wayfare_engine.journal import chain
from wayfare_engine.journal.sealer import Sealer
from wayfare_engine.ledger import Kind, LedgerRow, append_rows, bodies
from wayfare_engine.objectstore import ObjectStore, paths
from wayfare_engine.plan import AttributeType
from wayfare_engine.privacy import CustomerKeys, MasterKeys, NoMasterKey, batches, open_envelope
from wayfare_engine.privacy.envelopes import Envelope, Erased, seal
from wayfare_engine.projections import apply_rows
from wayfare_engine.store.blob_cache import BlobCache

Connection = psycopg.Connection[Any]
SECRET = "Wilhelmina-of-the-canal-house"
CSV = f"id,age,home\na,1,{SECRET}\nb,2,{SECRET}-too\nc,3,\n".encode()
HOME = frozenset({"home"})


@pytest.fixture
def masters(tmp_path: Path) -> MasterKeys:
    path = tmp_path / "master"
    path.write_text(base64.b64encode(secrets.token_bytes(32)).decode())
    return MasterKeys.read(path, random=secrets.token_bytes)


@pytest.fixture
def cache(tmp_path: Path) -> BlobCache:
    return BlobCache(tmp_path / "cache")


def keys_of(connection: Connection, store: ObjectStore | None, masters: MasterKeys) -> CustomerKeys:
    return CustomerKeys(connection, store, masters, ids=new_id)


def load(
    connection: Connection, store: ObjectStore | None, masters: MasterKeys, content: bytes = CSV
) -> Any:
    keys = keys_of(connection, store, masters)
    return load_csv(connection, store, content, keys=keys, sensitive=HOME)


def homes(
    connection: Connection, store: ObjectStore | None, masters: MasterKeys, cache: BlobCache
) -> dict[str, Any]:
    keys = keys_of(connection, store, masters)
    return values(connection, store, cache, "home", AttributeType.STRING, keys)


def dump(connection: Connection) -> bytes:
    """Every table of the schema, as COPY writes it; binary columns also as their bytes."""
    found = io.BytesIO()
    tables = connection.execute(
        "SELECT format('%I.%I', schemaname, tablename) FROM pg_tables WHERE schemaname = 'wayfare'"
    ).fetchall()
    for (table,) in tables:
        for form in ("TEXT", "BINARY"):
            statement = f"COPY (SELECT * FROM {table}) TO STDOUT (FORMAT {form})"
            with connection.cursor().copy(statement.encode()) as copy:
                for piece in copy:
                    found.write(piece)
    return found.getvalue()


def objects_of(store: ObjectStore) -> dict[str, bytes]:
    """Every object, with Parquet ones opened as well."""
    found: dict[str, bytes] = {}
    for prefix in (paths.BLOBS, paths.JOURNAL, paths.KEYS):
        for listed in store.list(prefix):
            body = store.get(listed.path)
            assert body is not None
            if body[:4] == b"PAR1":
                body += repr(pq.read_table(io.BytesIO(body)).to_pylist()).encode()
            found[listed.path] = body
    return found


def opened_parquet(connection: Connection) -> bytes:
    return repr(stored(f"{connection.info.dsn} password='{_password(connection)}'")).encode()


def _password(connection: Connection) -> str:
    return connection.info.password.replace("\\", "\\\\").replace("'", "\\'")


def test_a_sealed_column_is_nowhere_in_the_clear_and_rules_see_it(
    here: Connection, store: ObjectStore, masters: MasterKeys, cache: BlobCache
) -> None:
    load(here, store, masters)
    sealer_for(here, store).seal_once()

    held = {**objects_of(store), "the database": dump(here), "the blob": opened_parquet(here)}
    assert len(held) >= 5, "a blob, keys, a segment, and what PostgreSQL has"
    assert [name for name, content in held.items() if SECRET.encode() in content] == []
    assert homes(here, store, masters, cache) == {"a": SECRET, "b": f"{SECRET}-too", "c": None}


def sealer_for(connection: Connection, store: ObjectStore) -> Sealer:
    dsn = f"{connection.info.dsn} password='{_password(connection)}'"
    return Sealer(dsn, store, plan="default", site="east", epoch=1, clock=now)


def test_the_scan_would_find_what_is_not_sealed(here: Connection, store: ObjectStore) -> None:
    load_csv(here, store, CSV)

    assert SECRET.encode() in opened_parquet(here)
    assert any(SECRET.encode() in content for content in objects_of(store).values())


def test_erasing_takes_the_keys_at_both_sites_and_the_chain_still_verifies(
    here: Connection, there: Connection, s3: ObjectStore, masters: MasterKeys, cache: BlobCache
) -> None:
    load(here, s3, masters)
    sealer = sealer_for(here, s3)
    sealer.seal_once()
    batches.sync(there, s3)
    for row in blob_rows(here):
        applying.apply_load(there, row)
    assert homes(there, s3, masters, cache)["a"] == SECRET

    done = erase(
        here, s3, "a", reason="asked on 24 November", site="east", row_id=new_id(), now=NOW
    )
    sealer.seal_once()

    assert (done.keys, done.again) == (1, False)
    assert homes(here, s3, masters, cache) == {"a": None, "b": f"{SECRET}-too", "c": None}
    objects = objects_of(s3)
    assert all(b'"a"' not in body for path, body in objects.items() if path.startswith(paths.KEYS))
    batches.sync(there, s3)
    assert homes(there, s3, masters, cache) == {"a": None, "b": f"{SECRET}-too", "c": None}
    segments = list(chain.read(s3, "east", 1))
    assert len(segments) == 2, "hashes and links of both segments hold"
    [erasure] = erasures(here)
    assert (erasure.customer, erasure.reason, len(erasure.kids)) == ("a", "asked on 24 November", 1)


def erasures(connection: Connection) -> list[bodies.Erasure]:
    found = connection.execute(
        "SELECT body::text FROM wayfare.ledger WHERE kind = 'erasure' ORDER BY id"
    ).fetchall()
    return [bodies.decode(Kind.ERASURE, body) for (body,) in found]


def test_the_other_site_destroys_the_key_when_it_meets_the_row(
    here: Connection, there: Connection, store: ObjectStore, masters: MasterKeys
) -> None:
    load(here, store, masters)
    batches.sync(there, store)
    erase(here, store, "a", reason="", site="east", row_id=new_id(), now=NOW)
    body = erasures(here)[0]
    row = LedgerRow(new_id(), "east", 1, Kind.ERASURE, None, None, "a", NOW, bodies.encode(body))

    applying.register()
    with there.transaction():
        apply_rows(there, [row])

    found = there.execute("SELECT customer_id FROM wayfare.customer_keys ORDER BY 1").fetchall()
    assert found == [("b",)]


def test_an_erasure_that_was_interrupted_before_the_store_is_finished_by_the_next(
    here: Connection, store: ObjectStore, masters: MasterKeys
) -> None:
    load(here, store, masters)
    erase(here, None, "a", reason="", site="east", row_id=new_id(), now=NOW)
    before = objects_of(store)
    assert any(b'"a"' in body for path, body in before.items() if path.startswith(paths.KEYS))

    again = erase(here, store, "a", reason="", site="east", row_id=new_id(), now=NOW)

    assert (again.keys, again.again) == (0, True)
    assert len(erasures(here)) == 1
    after = objects_of(store)
    assert all(b'"a"' not in body for path, body in after.items() if path.startswith(paths.KEYS))
    assert here.execute("SELECT count(*) FROM wayfare.key_purges").fetchall() == [(0,)]


def test_keys_do_not_come_back_with_an_object_that_still_has_them(
    here: Connection, store: ObjectStore, masters: MasterKeys
) -> None:
    load(here, store, masters)
    held = {listed.path: store.get(listed.path) for listed in store.list(paths.KEYS)}
    erase(here, store, "a", reason="", site="east", row_id=new_id(), now=NOW)
    for path, body in held.items():
        assert body is not None
        store.put(path, body)

    batches.sync(here, store)

    found = here.execute("SELECT customer_id FROM wayfare.customer_keys").fetchall()
    assert found == [("b",)]
    assert batches.purge(here, store) == 1, "what came back goes again"
    assert all(b'"a"' not in (store.get(path) or b"") for path in held)


def test_the_same_file_after_an_erasure_brings_nothing_back(
    here: Connection, store: ObjectStore, masters: MasterKeys, cache: BlobCache
) -> None:
    load(here, store, masters)
    erase(here, store, "a", reason="", site="east", row_id=new_id(), now=NOW)

    again = load(here, store, masters)

    assert (again.added, again.changed) == (0, 0)
    assert homes(here, store, masters, cache)["a"] is None
    held = objects_of(store)
    assert all(b'"a"' not in body for path, body in held.items() if path.startswith(paths.KEYS))


def test_running_a_sealed_file_again_changes_nothing(
    here: Connection, store: ObjectStore, masters: MasterKeys
) -> None:
    first = load(here, store, masters)

    again = load_csv(here, store, CSV, keys=keys_of(here, store, masters))

    assert (again.added, again.changed, again.unchanged) == (0, 0, 3)
    assert again.blob == first.blob


def test_a_changed_value_is_sealed_anew_and_the_others_keep_their_envelopes(
    here: Connection, store: ObjectStore, masters: MasterKeys, cache: BlobCache
) -> None:
    load(here, store, masters)
    before = sealed_homes(here)

    changed = load(here, store, masters, CSV.replace(b"-too", b"-moved"))

    after = sealed_homes(here)
    assert changed.changed == 1
    assert before["a"] == after["a"]
    assert before["b"]["ciphertext"] != after["b"]["ciphertext"]
    assert before["b"]["kid"] == after["b"]["kid"]
    assert homes(here, store, masters, cache)["b"] == f"{SECRET}-moved"


def sealed_homes(connection: Connection) -> dict[str, Any]:
    found = stored(f"{connection.info.dsn} password='{_password(connection)}'")
    return {customer: attributes["home"] for customer, (_, attributes) in found.items()}


def test_a_column_that_is_marked_later_is_sealed_for_all_from_then_on(
    here: Connection, masters: MasterKeys, cache: BlobCache
) -> None:
    load_csv(here, None, CSV)
    keys = keys_of(here, None, masters)

    load_csv(here, None, b"id,home\nd,new\n", keys=keys, sensitive=HOME)

    assert SECRET.encode() not in opened_parquet(here)
    assert homes(here, None, masters, cache) == {
        "a": SECRET, "b": f"{SECRET}-too", "c": None, "d": "new",
    }  # fmt: skip


def test_without_a_master_key_nothing_sensitive_is_loaded(here: Connection) -> None:
    with pytest.raises(NoMasterKey, match="WAYFARE_MASTER_KEY_FILE"):
        load_csv(here, None, CSV, sensitive=HOME)

    assert blob_rows(here) == []


def test_without_a_master_key_rules_do_not_know_what_is_sealed(
    here: Connection, masters: MasterKeys, cache: BlobCache
) -> None:
    load(here, None, masters)

    found = values(here, None, cache, "home", AttributeType.STRING)

    assert found == {"a": None, "b": None, "c": None}


def test_a_sealed_single_change_is_seen_by_rules_and_erased_with_the_rest(
    here: Connection, masters: MasterKeys, cache: BlobCache
) -> None:
    load(here, None, masters)
    keys = keys_of(here, None, masters)
    [(kid, key)] = keys.for_sealing(["a"]).values()
    envelope = seal(b'"a boat"', "a", "home", kid=kid, key=key, nonce=keys.nonce())
    value = msgspec.Raw(msgspec.json.encode(envelope.as_json()))
    body = bodies.AttributeChange(customer="a", name="home", value=value)
    row = LedgerRow(new_id(), "east", 1, Kind.ATTRIBUTE, "a/home", 1, "a", NOW, bodies.encode(body))
    with here.transaction():
        append_rows(here, [row])
        apply_rows(here, [row])
    assert homes(here, None, masters, cache)["a"] == "a boat"
    assert b"a boat" not in dump(here)

    erase(here, None, "a", reason="", site="east", row_id=new_id(), now=NOW)

    assert homes(here, None, masters, cache)["a"] is None
    found = open_envelope(Envelope(*envelope), "a", "home", keys_of(here, None, masters).key_of)
    assert found == Erased(kid.hex())


def test_keys_are_in_the_store_before_postgresql_has_a_row_that_needs_them(
    here: Connection, store: ObjectStore, masters: MasterKeys
) -> None:
    load(here, store, masters)

    held = [
        k
        for listed in store.list(paths.KEYS)
        for k in batches.decode(store.get(listed.path) or b"")
    ]
    found = here.execute("SELECT kid, customer_id, wrapped FROM wayfare.customer_keys ORDER BY 2")
    assert sorted(held, key=lambda k: k.customer_id) == [
        (bytes(kid), customer, bytes(wrapped)) for kid, customer, wrapped in found.fetchall()
    ]
    assert [k.customer_id for k in held] == ["a", "b"], "none for whom there is nothing to seal"
    assert not re.search(
        rb"[\x00-\x08]",
        b"".join(objects_of(store)[p] for p in objects_of(store) if p.startswith(paths.KEYS)),
    )
