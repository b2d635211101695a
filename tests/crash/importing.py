"""Files of customers that are loaded, with blobs, blocks of ids and keys; and customers erased."""

from __future__ import annotations

import secrets
from functools import partial
from itertools import pairwise
from typing import Any, ClassVar

import psycopg

from tests.crash.scenario import Place, Scenario, chains_are_whole, equal_to_a_rebuild, seal
from tests.customers.loading import NOW, load_csv, values
from tests.journal.making import SITE, sealing
from tests.servers.customers import stored
from wayfare_engine.clock import new_id
from wayfare_engine.customers import applying
from wayfare_engine.customers.erasing import erase
from wayfare_engine.ledger import id_blocks
from wayfare_engine.objectstore import paths
from wayfare_engine.plan import AttributeType
from wayfare_engine.privacy import CustomerKeys, MasterKeys, batches
from wayfare_engine.store import blobs
from wayfare_engine.store.blob_cache import BlobCache

MASTER = bytes(range(32))
#: New customers in each file.
NEW = 4


class Importing(Scenario):
    """File after file, each with new customers and changes of old ones; after each file one
    customer is erased. Which file comes next follows from what was acknowledged."""

    points: ClassVar = {
        "blobs.upload": (1, 2, 3, 1),
        "blobs.uploaded": (1, 2, 3, 1),
        "blobs.part": (1, 2, 3, 5, 8),
        "blobs.whole": (1, 2, 3, 1),
        "customers.blob": (1, 2, 3, 1),
        "customers.committed": (1, 2, 3, 1),
        "ledger.id_block.allocating": (1, 2, 3, 1),
        "ledger.id_block.allocated": (1, 1, 2, 3),
        "ledger.id_block.in_store": (1, 1, 2, 3),
        "privacy.keys.make": (1, 2, 3, 1),
        "privacy.keys.stored": (1, 2, 3, 1),
        "privacy.keys.made": (1, 2, 3, 1),
        "customers.erased": (1, 2, 3, 1),
        "privacy.purge": (1, 2, 3, 1),
        "privacy.purged": (1, 2, 3, 1),
    }

    def run(self, rounds: int) -> None:
        id_blocks.SMALLEST = NEW
        blobs.PART = 1000
        applying.register()
        place = self.place
        with place.connect() as connection, sealing(place.live, place.store) as own:
            self._finish(connection)
            # One more: a file that a killed run began may have passed the point already.
            for _ in range(rounds + 1):
                file = len(self.said.all("loaded"))
                result = load_csv(
                    connection,
                    place.store,
                    content(file),
                    keys=keys_of(connection, place),
                    sensitive=frozenset({"home"}),
                    sealed=partial(_sealed, own, connection),
                )
                self.said("loaded", result.added, result.changed)
                self._erase(connection, file)
            while own.seal_once():
                pass

    def _finish(self, connection: psycopg.Connection[Any]) -> None:
        """What a person does after a command that was cut off: the same again."""
        loaded = len(self.said.all("loaded"))
        if loaded > len(self.said.all("erased")):
            self._erase(connection, loaded - 1)

    def _erase(self, connection: psycopg.Connection[Any], file: int) -> None:
        erase(
            connection,
            self.place.store,
            erased_after(file),
            reason="asked",
            site=SITE,
            row_id=new_id(),
            now=NOW,
        )
        self.said("erased", erased_after(file))

    def check(self) -> None:
        place = self.place
        files = len(self.said.all("loaded"))
        gone = set(map(erased_after, range(files)))
        applying.register()
        chains_are_whole(place)
        with place.connect() as connection:
            loads = connection.execute(
                "SELECT (body->>'customers_version')::int FROM wayfare.ledger "
                "WHERE kind = 'load' ORDER BY tx"
            ).fetchall()
            # A file that was loaded and not acknowledged is loaded again, and changes nothing.
            versions = [version for (version,) in loads]
            assert versions == sorted(versions)
            assert set(versions) == set(range(1, files + 1)), "a file counts once"
            erasures = connection.execute(
                "SELECT customer_id FROM wayfare.ledger WHERE kind = 'erasure' ORDER BY 1"
            ).fetchall()
            assert [customer for (customer,) in erasures] == sorted(gone), "erased once each"
            assert connection.execute("SELECT FROM wayfare.key_purges").rowcount == 0
            blocks = _blocks(connection)
            held = self._held(connection)
        assert held == expected(files, gone)
        for (first, size), (following, _) in pairwise(blocks):
            assert first + size <= following, "an id is in two blocks"
        dense = [number for number, _ in stored(place.live).values()]
        assert len(dense) == len(set(dense)) == files * NEW, "two customers have one dense id"
        for listed in place.store.list(paths.KEYS):
            kept = {key.customer_id for key in batches.decode(place.store.get(listed.path) or b"")}
            assert not kept & gone, "the store has the key of an erased customer"
        # The other site has the same from the chain, the blobs and the keys.
        equal_to_a_rebuild(place, but=["wayfare.id_blocks"])
        with psycopg.connect(place.dr, autocommit=True) as there:
            assert _blocks(there) == blocks
            batches.sync(there, place.store)
            blobs.fetch_missing(there, place.store)
            assert self._held(there) == held

    def _held(self, connection: psycopg.Connection[Any]) -> dict[str, dict[str, Any]]:
        keys = keys_of(connection, self.place)
        cache = BlobCache(self.place.folder / "cache")
        return {
            "age": values(connection, None, cache, "age", AttributeType.INT, keys),
            "home": values(connection, None, cache, "home", AttributeType.STRING, keys),
        }


def keys_of(connection: psycopg.Connection[Any], place: Place) -> CustomerKeys:
    """Under a master key that all processes have."""
    masters = MasterKeys([MASTER], random=secrets.token_bytes)
    return CustomerKeys(connection, place.store, masters, ids=new_id)


def customer(file: int, number: int) -> str:
    """The customer who comes with this file as this number."""
    return f"c{file:04d}-{number}"


def erased_after(file: int) -> str:
    """Who asks to be erased when this file was loaded."""
    return customer(file, 0)


def content(file: int) -> bytes:
    """File number `file`: new customers, and a change of one of the file before."""
    lines = [f"{customer(file, n)},{file * 10 + n},house {file}-{n}" for n in range(NEW)]
    if file:
        lines.append(f"{customer(file - 1, 1)},{1000 + file},moved {file}")
    return "\n".join(["id,age,home", *lines, ""]).encode()


def expected(files: int, gone: set[str]) -> dict[str, dict[str, Any]]:
    """What there is after so many files, each of them applied once."""
    ages: dict[str, Any] = {}
    homes: dict[str, Any] = {}
    for file in range(files):
        for line in content(file).decode().splitlines()[1:]:
            who, age, home = line.split(",")
            ages[who] = int(age)
            homes[who] = None if who in gone else home
    return {"age": ages, "home": homes}


def _blocks(connection: psycopg.Connection[Any]) -> list[tuple[int, int]]:
    """First id and size; how far a block was used only its own site knows."""
    found = connection.execute("SELECT first, size FROM wayfare.id_blocks ORDER BY first")
    return [(int(first), int(size)) for first, size in found.fetchall()]


def _sealed(own: Any, connection: psycopg.Connection[Any], tx: int) -> bool:
    seal(own, connection, tx)
    return True
