"""The table of intents to seal: what the sealer said before it wrote to the store."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from psycopg import Connection

from wayfare_engine.store import channels


@dataclass(frozen=True)
class Intent:
    """A segment that is to be put, or was: its range, its transactions, its rows' digest, and the
    digest of the object before it. `object_digest` is set once it is in the store."""

    site: str
    epoch: int
    first: int
    last: int
    from_tx: int
    to_tx: int
    rows_digest: str
    previous: str
    object_digest: str | None = None


@dataclass(frozen=True)
class Position:
    """Where a chain ends, as this database knows: all rows of transactions up to `tx` are in it,
    `seq` is its last position, `digest` that of its last object, which begins at `first`."""

    seq: int = 0
    tx: int = 0
    digest: str = ""
    first: int = 0


_COLUMNS = (
    "site, epoch, first, last, from_tx::text, to_tx::text, rows_digest, previous, object_digest"
)


def position(connection: Connection[Any], site: str, epoch: int) -> Position:
    """The end of what is sealed."""
    row = connection.execute(
        "SELECT last, to_tx::text, object_digest, first FROM wayfare.seal_intents "
        "WHERE site = %s AND epoch = %s AND sealed_at IS NOT NULL ORDER BY first DESC LIMIT 1",
        (site, epoch),
    ).fetchone()
    return Position() if row is None else Position(int(row[0]), int(row[1]), row[2], int(row[3]))


def pending(connection: Connection[Any], site: str, epoch: int) -> Intent | None:
    """The intent whose object is not known to be in the store."""
    row = connection.execute(
        f"SELECT {_COLUMNS} FROM wayfare.seal_intents "  # noqa: S608 - constants
        "WHERE site = %s AND epoch = %s AND sealed_at IS NULL",
        (site, epoch),
    ).fetchone()
    if row is None:
        return None
    where, epoch, first, last, from_tx, to_tx, digest, previous, put = row
    return Intent(where, epoch, first, last, int(from_tx), int(to_tx), digest, previous, put)


def write(connection: Connection[Any], intent: Intent) -> None:
    """Say what will be put, for whoever holds the lock next."""
    connection.execute(
        "INSERT INTO wayfare.seal_intents "
        "(site, epoch, first, last, from_tx, to_tx, rows_digest, previous) "
        "VALUES (%s, %s, %s, %s, %s::text::xid8, %s::text::xid8, %s, %s)",
        (
            intent.site,
            intent.epoch,
            intent.first,
            intent.last,
            str(intent.from_tx),
            str(intent.to_tx),
            intent.rows_digest,
            intent.previous,
        ),
    )


def sealed(
    connection: Connection[Any], intent: Intent, object_digest: str, blocks: list[int]
) -> None:
    """Say that the object is in the store: the intent, this chain's watermark (its rows were
    applied when they were written), id blocks that may now be used, and everyone who waits."""
    with connection.transaction():
        connection.execute(
            "UPDATE wayfare.seal_intents SET sealed_at = now(), object_digest = %s "
            "WHERE site = %s AND epoch = %s AND first = %s",
            (object_digest, intent.site, intent.epoch, intent.first),
        )
        watermark(connection, intent.site, intent.epoch, intent.last, object_digest)
        if blocks:
            connection.execute(
                "UPDATE wayfare.id_blocks SET sealed = true "
                "WHERE site = %s AND epoch = %s AND first = ANY(%s)",
                (intent.site, intent.epoch, blocks),
            )
        connection.execute(
            "SELECT pg_notify(%s, %s)",
            (
                channels.SEALED,
                f"{intent.site}/{intent.epoch}/{intent.last}/{intent.to_tx}",
            ),
        )


def watermark(
    connection: Connection[Any], site: str, epoch: int, seq: int, object_digest: str
) -> None:
    """This database has what its own chain holds up to `seq`."""
    connection.execute(
        "INSERT INTO wayfare.chain_positions (site, epoch, seq, segment) VALUES (%s, %s, %s, %s) "
        "ON CONFLICT (site, epoch) DO UPDATE SET seq = excluded.seq, segment = excluded.segment "
        "WHERE chain_positions.seq < excluded.seq",
        (site, epoch, seq, object_digest),
    )


def over(connection: Connection[Any], site: str, epoch: int, *, by: int | None) -> None:
    """Nothing more is sealed in this chain: it was closed by the taker of epoch `by`, or all that
    there is of an epoch that is over is sealed. What was to be put last is forgotten."""
    with connection.transaction():
        connection.execute(
            "DELETE FROM wayfare.seal_intents WHERE site = %s AND epoch = %s AND sealed_at IS NULL",
            (site, epoch),
        )
        connection.execute(
            "UPDATE wayfare.sealed_epochs SET over = true, closed_by = %s "
            "WHERE site = %s AND epoch = %s",
            (by, site, epoch),
        )


def resume_at(connection: Connection[Any], site: str, epoch: int, at: Position) -> None:
    """Replace what is known of a chain by its end as read from the store."""
    connection.execute(
        "DELETE FROM wayfare.seal_intents WHERE site = %s AND epoch = %s", (site, epoch)
    )
    if at.seq:
        connection.execute(
            "INSERT INTO wayfare.seal_intents (site, epoch, first, last, from_tx, to_tx, "
            "rows_digest, previous, object_digest, sealed_at) "
            "VALUES (%s, %s, %s, %s, '0', %s::text::xid8, '', '', %s, now())",
            (site, epoch, at.first, at.seq, str(at.tx), at.digest),
        )


def forget_old(connection: Connection[Any], site: str, epoch: int, *, keep: int) -> int:
    """Remove all but the newest `keep` intents of a chain; the store has what they said."""
    return connection.execute(
        "DELETE FROM wayfare.seal_intents WHERE site = %(site)s AND epoch = %(epoch)s "
        "AND sealed_at IS NOT NULL AND first < (SELECT min(first) FROM (SELECT first "
        "FROM wayfare.seal_intents WHERE site = %(site)s AND epoch = %(epoch)s "
        "ORDER BY first DESC LIMIT %(keep)s) newest)",
        {"site": site, "epoch": epoch, "keep": keep},
    ).rowcount
