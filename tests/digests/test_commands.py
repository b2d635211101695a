"""`wayfare ledger digest` and `wayfare ledger diff`, as people and scripts run them."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

from tests.catchup.databases import random_rows, write_and_seal
from tests.digests.taking import counters, sql
from tests.journal.making import PLAN
from tests.projections.drawing import ORDINARY
from tests.servers.command import wayfare
from wayfare_engine.journal.catch_up import catch_up
from wayfare_engine.objectstore import ObjectStore


def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """The command line in a process of its own."""
    return wayfare("ledger", *arguments, **environment)


def url(dsn: str) -> str:
    """An address as people write it, with its password."""
    from psycopg.conninfo import conninfo_to_dict

    facts = conninfo_to_dict(dsn)
    password = str(facts["password"]).replace("'", "%27").replace(" ", "%20")
    return f"postgresql://{facts['user']}:{password}@{facts['host']}:{facts['port']}/" + str(
        facts["dbname"]
    )


def test_equal_databases(a: str, b: str, store: ObjectStore) -> None:
    write_and_seal(a, store, random_rows(200, 1, kinds=ORDINARY))
    catch_up(b, store, plan=PLAN)
    done = run("diff", a, url(b), "--json")
    assert done.returncode == 0, done.stderr
    facts = json.loads(done.stdout)
    assert (facts["equal"], facts["samePoint"]) == (True, True)
    assert facts["a"]["watermark"] == {"east/1": 200}

    done = run("digest", WAYFARE_POSTGRESQL_DSN=b, WAYFARE_SITE="west")
    assert done.returncode == 0, done.stderr
    assert "east/1 at 200; taken" in done.stdout
    assert "at site west" in done.stdout


def test_two_databases_that_differ(a: str, b: str) -> None:
    counters(a, 300)
    counters(b, 300)
    sql(b, "UPDATE wayfare.counters SET shown = 0 WHERE customer_id = 'C7'")
    sql(b, "DELETE FROM wayfare.counters WHERE customer_id = 'C8'")
    done = run("diff", url(a), url(b))
    assert done.returncode == 1, done.stderr
    assert 'counters customer_id="C7" journey="journey" day="2026-11-23"' in done.stdout
    assert "  A  shown=7\n  B  shown=0" in done.stdout
    assert "  A  shown=8\n  B  no such row" in done.stdout
    assert "different;" in done.stdout
    assert "password" not in done.stdout


def test_a_dead_sites_last_digest_from_the_store(a: str, b: str, store: ObjectStore) -> None:
    counters(a, 300)
    counters(b, 300)
    sql(a, "DELETE FROM wayfare.counters WHERE customer_id IN ('C7', 'C9')")
    kept = run("digest", "--dsn", a, "--out", "digests/east", "--store", store.url, "--json")
    assert kept.returncode == 0, kept.stderr
    assert json.loads(kept.stdout)["tables"]["counters"]["rows"] == 298
    sql(b, "DELETE FROM wayfare.counters WHERE customer_id = 'C8'")

    done = run("diff", "digests/east", b, "--json", WAYFARE_OBJECT_STORE_URL=store.url)
    assert done.returncode == 1, done.stderr
    table = json.loads(done.stdout)["tables"]["counters"]
    found = {d["key"].get("customer_id"): d for d in table["differences"]}
    assert found["C7"]["in"] == found["C9"]["in"] == "b"
    assert found["C7"]["b"] == {"shown": 7}
    assert found[None]["a"] == "cannot be read", "the row is where nobody can read it"
    assert len(found[None]["key"]["hash"]) == 32

    again = run("diff", "digests/east", b, "--rows-a", a, "--json", "--store", store.url)
    table = json.loads(again.stdout)["tables"]["counters"]
    assert {d["key"].get("customer_id") for d in table["differences"]} == {"C7", "C8", "C9"}

    over = run("digest", "--dsn", a, "--out", "digests/east", "--store", store.url)
    assert over.returncode == 3
    assert "is there already" in over.stderr


def test_files(a: str, b: str, tmp_path: Path) -> None:
    counters(a, 40)
    paths = [str(tmp_path / name) for name in ("a.digest", "b.digest")]
    for dsn, path in zip((a, b), paths, strict=True):
        assert run("digest", "--dsn", dsn, "--out", path).returncode == 0
    done = run("diff", *paths, "--limit", "5", "--json")
    assert done.returncode == 1, done.stderr
    table = json.loads(done.stdout)["tables"]["counters"]
    assert (len(table["differences"]), table["more"]) == (5, True)
    assert run("digest", "--dsn", a, "--out", paths[0]).returncode == 1, "it is not replaced"


def test_what_cannot_be_compared_is_no_difference(a: str, tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"not a digest")
    for given in (
        str(tmp_path / "x"),
        str(tmp_path / "absent"),
        "postgresql://u:secret@localhost:1/x",
    ):
        done = run("diff", a, given)
        assert done.returncode == 3, done.stderr
        assert "Traceback" not in done.stderr
        assert "secret" not in done.stderr
