"""`wayfare journal`, as people and scripts run it."""

from __future__ import annotations

import json
import subprocess

from psycopg.conninfo import make_conninfo

from tests.journal.making import PLAN, SITE, put_chain, rows, seal_all, transaction, write
from tests.journal.superuser import OperatedPostgresql
from tests.servers.command import wayfare
from tests.servers.wait import until
from wayfare_engine.clock import now
from wayfare_engine.journal.closing import close_chain
from wayfare_engine.objectstore import ObjectStore
from wayfare_engine.objectstore.marker import claim


def run(*words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """`wayfare journal WORDS`."""
    return wayfare("journal", *words, **environment)


def test_status_of_a_site(dsn: str, store: ObjectStore) -> None:
    write(dsn, rows(4))
    seal_all(dsn, store)
    write(dsn, rows(2))

    done = run("status", "--json", WAYFARE_POSTGRESQL_DSN=dsn, WAYFARE_SITE=SITE)
    assert done.returncode == 0, done.stderr
    facts = json.loads(done.stdout)
    assert (facts["sealed"]["seq"], facts["lag"]["rows"], facts["problem"]) == (4, 2, None)

    done = run("status", "--dsn", dsn, "--site", SITE)
    assert "sealed   4 rows" in done.stdout
    assert "waiting  2 rows" in done.stdout
    assert "nobody seals" in done.stdout


def test_status_names_the_transaction_that_holds_sealing_back(
    operated: OperatedPostgresql, store: ObjectStore
) -> None:
    dsn = operated.server.database()
    other = make_conninfo(dsn, dbname="postgres")
    with transaction(other) as forgotten:
        forgotten.execute("SELECT 'something long'")
        write(dsn, rows(4))
        assert seal_all(dsn, store) == 0
        done = until(
            lambda: (
                found if (found := run("status", "--dsn", dsn, "--site", SITE)).returncode else None
            ),
            seconds=60,
            what="the transaction is old enough to be told of",
        )
        assert done.returncode == 1
        assert "waiting  4 rows" in done.stdout
        assert "SealingStalled (LongTransaction)" in done.stdout
        for word in (f"process {forgotten.info.backend_pid}", "postgres", "'something long'"):
            assert word in done.stdout, done.stdout
        facts = json.loads(run("status", "--json", "--dsn", dsn, "--site", SITE).stdout)
        assert facts["horizonAge"] > 10
        assert facts["horizonHolder"]["pid"] == forgotten.info.backend_pid
    assert seal_all(dsn, store) == 4
    assert run("status", "--dsn", dsn, "--site", SITE).returncode == 0


def test_verify_names_what_is_wrong_and_fails(store: ObjectStore) -> None:
    claim(store, PLAN)
    paths = put_chain(store, [3, 4, 5])
    done = run("verify", "--store", store.url, "--plan", PLAN, "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["chains"][0]["rows"] == 12

    store.put(paths[1], b"nothing")
    done = run("verify", WAYFARE_OBJECT_STORE_URL=store.url, WAYFARE_RECOVERY_PLAN=PLAN)
    assert done.returncode == 1
    assert f"{paths[1]}: damaged" in done.stdout

    done = run("verify", "--store", store.url, "--plan", "another")
    assert done.returncode == 3
    assert "belongs to plan" in done.stderr
    assert "Traceback" not in done.stderr


def test_tail_shows_the_last_rows_and_the_end(store: ObjectStore) -> None:
    claim(store, PLAN)
    put_chain(store, [30])
    done = run("tail", "--store", store.url, "--plan", PLAN, "-n", "3", "--json")
    assert done.returncode == 0, done.stderr
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert [line["seq"] for line in lines] == [28, 29, 30]
    assert lines[-1]["body"] == {"name": "n29"}

    close_chain(store, SITE, 1, plan=PLAN, by=2, clock=now)
    done = run("tail", "--store", store.url, "--plan", PLAN, "-n", "1")
    assert "closed by epoch 2" in done.stdout


def test_without_a_store_it_says_what_to_set() -> None:
    done = run("verify")
    assert done.returncode == 3
    assert "WAYFARE_OBJECT_STORE_URL" in done.stderr
