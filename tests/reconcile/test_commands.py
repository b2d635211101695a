"""`wayfare reconcile`, as people and scripts run it, each time in a process of its own."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from tests.catchup.databases import random_rows
from tests.crash.scenario import Place
from tests.journal.making import PLAN, SITE
from tests.reconcile.lost import WEST, lose_east
from tests.servers.command import wayfare


def run(place: Place, site: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return wayfare(
        "reconcile",
        *arguments,
        WAYFARE_POSTGRESQL_DSN=place.live if site == SITE else place.dr,
        WAYFARE_SITE=site,
        WAYFARE_OBJECT_STORE_URL=place.store_url,
        WAYFARE_RECOVERY_PLAN=PLAN,
    )


def test_recovered_merged_and_accounted_for(place: Place, tmp_path: Path) -> None:
    lose_east(place, sealed=random_rows(10, 1), stranded=random_rows(50, 2))
    done = run(place, WEST, "merge")
    assert (done.returncode, done.stdout) == (0, "no tail was recovered: nothing to merge\n")

    done = run(place, SITE, "recover", "--json")
    assert done.returncode == 0, done.stderr
    [tail] = json.loads(done.stdout)
    assert (tail["site"], tail["epoch"], tail["rows"], tail["closedBy"]) == (SITE, 1, 50, 2)

    short = tail["tail"][:8]
    done = run(place, WEST, "show", short)
    assert done.returncode == 1
    assert "50 of 50 rows have no decision yet: run `wayfare reconcile merge`" in done.stdout

    done = run(place, WEST, "merge")
    assert done.returncode == 0, done.stderr
    assert "50 rows decided now" in done.stdout
    assert "every one of 50 rows is accounted for" in done.stdout

    done = run(place, WEST, "list", "--json")
    assert [one["mergedIn"] for one in json.loads(done.stdout)] == [2]

    done = run(place, WEST, "merge", short, "--json")
    [again] = json.loads(done.stdout)
    assert (again["decidedNow"], again["decidedBefore"], again["again"]) == (0, 50, True)

    file = tmp_path / "accounted.jsonl"
    done = run(place, WEST, "show", short, "--rows", str(file), "--json")
    assert done.returncode == 0
    told = [json.loads(line) for line in file.read_text().splitlines()]
    assert len({one["id"] for one in told}) == 50
    assert all(one["resolution"] and one["rule"] for one in told)


@pytest.mark.parametrize(
    ("site", "arguments", "code", "said"),
    [
        (WEST, ("show", "5f3a9c"), 1, "there is no stranded tail '5f3a9c'"),
        (WEST, ("merge", "5f3"), 1, "there is no stranded tail '5f3'"),
        (SITE, ("merge",), 1, "`wayfare ledger rebuild` first"),
        (SITE, ("recover", "--plan", "another"), 3, "belongs to plan"),
        (SITE, ("recover", "--store", "file:///nowhere/at/all"), 3, "object store"),
    ],
)
def test_what_cannot_be_done_is_said_in_a_sentence(
    place: Place, site: str, arguments: tuple[str, ...], code: int, said: str
) -> None:
    lose_east(place, stranded=random_rows(3, 2))
    assert run(place, SITE, "recover").returncode == 0
    done = run(place, site, *arguments)
    assert said in done.stderr
    assert done.returncode == code
    assert "Traceback" not in done.stderr
