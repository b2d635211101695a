"""Stores that fail, as people meet them: each command says what is wrong and what to do, once."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from tests.journal.making import PLAN, put_format, reframed, rows, seal_all, write
from tests.servers.command import wayfare
from tests.servers.faultstore import Answer, FaultStore, running_faults
from tests.servers.objects import ObjectServer
from tests.servers.postgresql import PostgresqlServer
from tests.servers.postgresql import rows as ask
from wayfare_engine.objectstore import ObjectStore, open_store, paths
from wayfare_engine.objectstore.marker import FORMAT

STATED = ("--statement", "the power is off, I stand in the room", "--yes")
#: Those that read the store, and those that write there too.
READING = (
    ("journal", "verify"),
    ("journal", "tail"),
    ("journal", "snapshot", "list"),
    ("journal", "catch-up"),
    ("lease", "show"),
    ("lease", "history"),
)
WRITING = (("journal", "snapshot", "take"), ("lease", "take", *STATED))
EVERY = (*READING, *WRITING)


@dataclass
class Place:
    """A chain in a store behind a proxy, an empty database, and what the commands are given."""

    store: ObjectStore
    dsn: str
    faults: FaultStore
    environment: dict[str, str]

    def run(self, *words: str, **more: str) -> subprocess.CompletedProcess[str]:
        """`wayfare WORDS`."""
        return wayfare(*words, **(self.environment | more))

    def refused(self, *words: str, **more: str) -> str:
        """What it said; it failed as a store that cannot be used makes it fail, in one sentence."""
        done = self.run(*words, **more)
        said = done.stdout + done.stderr
        assert done.returncode == 3, said
        assert said.count("object store s3://") == 1, said
        return said


@pytest.fixture
def place(objects: ObjectServer, server: PostgresqlServer) -> Iterator[Place]:
    url = objects.url()
    store = open_store(url, options=objects.options)
    dsn = server.database()
    write(dsn, rows(3), rows(2))
    seal_all(dsn, store)
    dsn = server.database()  # another site's, which is empty
    with running_faults(objects) as faults:
        environment = {
            **faults.options("a"),
            "WAYFARE_OBJECT_STORE_URL": url,
            "WAYFARE_OBJECT_STORE_TIMEOUT_SECONDS": "1.5",
            "WAYFARE_RECOVERY_PLAN": PLAN,
            "WAYFARE_POSTGRESQL_DSN": dsn,
            "WAYFARE_SITE": "west",
            "WAYFARE_LEASE_TTL_SECONDS": "0.2",
            "WAYFARE_HAND_OVER_SECONDS": "0.1",
        }
        yield Place(store, dsn, faults, environment)


def applied(place: Place) -> int:
    """Rows of the journal that reached the database."""
    return int(ask(place.dsn, "SELECT coalesce(sum(seq), 0) FROM wayfare.chain_positions")[0][0])


def words(command: tuple[str, ...]) -> str:
    return "-".join(word for word in command if word.isalpha() or word == "catch-up")


@pytest.mark.parametrize("command", EVERY, ids=words)
def test_a_store_that_cannot_be_reached(place: Place, command: tuple[str, ...]) -> None:
    said = place.refused(*command, AWS_ENDPOINT_URL="http://127.0.0.1:1")
    assert "nothing listens at http://127.0.0.1:1" in said
    assert "check that it runs and the network to it" in said


@pytest.mark.parametrize("command", EVERY, ids=words)
def test_a_line_that_is_cut_silently(place: Place, command: tuple[str, ...]) -> None:
    place.faults.partition("a")
    assert "did not answer in time" in place.refused(*command)
    place.faults.heal()
    place.run("journal", "catch-up")
    assert place.run(*command).returncode == 0


@pytest.mark.parametrize("command", EVERY, ids=words)
def test_wrong_credentials(place: Place, command: tuple[str, ...]) -> None:
    said = place.refused(*command, AWS_SECRET_ACCESS_KEY="wrong")
    assert "check AWS_SECRET_ACCESS_KEY" in said
    assert "does not know this access key" in place.refused(*command, AWS_ACCESS_KEY_ID="nobody")


@pytest.mark.parametrize("command", EVERY, ids=words)
def test_another_region_somebody_elses_bucket_and_none(
    place: Place, command: tuple[str, ...]
) -> None:
    text = (
        "The authorization header is malformed; the region 'us-east-1' is wrong; "
        "expecting 'eu-central-1'"
    )
    place.faults.rule("a", Answer(400, "AuthorizationHeaderMalformed", text))
    assert "set AWS_REGION=eu-central-1" in place.refused(*command)
    place.faults.heal()
    place.faults.rule("a", Answer(403, "AccessDenied"))
    assert "these credentials need the rights to read, write and list" in place.refused(*command)
    place.faults.heal()
    url = "s3://no-such-bucket/x"
    said = place.refused(*command, WAYFARE_OBJECT_STORE_URL=url)
    assert "there is no such bucket" in said


@pytest.mark.parametrize("command", EVERY, ids=words)
def test_another_plans_store_and_a_newer_one(place: Place, command: tuple[str, ...]) -> None:
    said = place.refused(*command, WAYFARE_RECOVERY_PLAN="wholesale")
    assert f"belongs to plan '{PLAN}', and this site is of plan 'wholesale'" in said
    place.store.put(paths.MARKER, b'{"plan":"%s","format":%d}' % (PLAN.encode(), FORMAT + 1))
    assert "upgrade this site first; nothing was read or written" in place.refused(*command)
    assert applied(place) == 0


@pytest.mark.parametrize("command", READING, ids=words)
def test_who_only_reads_needs_no_right_to_write(place: Place, command: tuple[str, ...]) -> None:
    done = place.run(*command, AWS_ACCESS_KEY_ID="reader")
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("command", WRITING, ids=words)
def test_a_store_that_may_only_be_read_and_a_full_one(
    place: Place, command: tuple[str, ...]
) -> None:
    assert place.run("journal", "catch-up").returncode == 0
    said = place.refused(*command, AWS_ACCESS_KEY_ID="reader")
    assert "was refused (AccessDenied)" in said
    place.faults.rule("a", Answer(507, "XMinioStorageFull"), methods="PUT")
    said = place.refused(*command)
    assert "the store is full" in said
    assert "make room or raise its quota" in said
    place.faults.heal()
    assert place.run(*command).returncode == 0


@pytest.mark.parametrize(
    "command", [("journal", "catch-up"), ("lease", "take", *STATED)], ids=words
)
def test_a_journal_of_a_newer_version_is_refused_before_anything_is_applied(
    place: Place, command: tuple[str, ...]
) -> None:
    newest = paths.segment("east", 1, 6)
    place.store.put(newest, reframed(put_format(2)))
    done = place.run(*command)
    assert done.returncode == 3, done.stderr
    assert "upgrade this site first, nothing was applied" in done.stderr
    assert applied(place) == 0
