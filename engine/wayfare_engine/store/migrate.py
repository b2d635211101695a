"""Bringing the schema `wayfare` to the newest revision, and asking which one it has."""

from __future__ import annotations

from pathlib import Path

import psycopg

from wayfare_engine.store.postgresql import end_with_client

VERSION_TABLE = "schema_revision"
_FOLDER = Path(__file__).parent / "migrations"
_LOCK = 0x57415946  # "WAYF"


def newest_revision() -> str:
    """The revision that this code is written for."""
    return max(path.name[1:5] for path in (_FOLDER / "versions").glob("r????_*.py"))


def migrate(dsn: str) -> str:
    """Apply what is missing, one process at a time, and return the revision.

    Safe to run again and from several processes at once. Raises psycopg.Error.
    """
    # Imported here, because every other process of the engine does without them.
    from alembic import command
    from alembic.config import Config
    from sqlalchemy import create_engine
    from sqlalchemy.pool import NullPool

    with psycopg.connect(dsn, autocommit=True) as gate:
        end_with_client(gate)
        gate.execute("SELECT pg_advisory_lock(%s)", (_LOCK,))
        gate.execute("CREATE SCHEMA IF NOT EXISTS wayfare")
        config = Config()
        config.set_main_option("script_location", str(_FOLDER))
        engine = create_engine(
            "postgresql+psycopg://", creator=lambda: psycopg.connect(dsn), poolclass=NullPool
        )
        with engine.connect() as connection:
            config.attributes["connection"] = connection
            command.upgrade(config, "head")
            connection.commit()
    return newest_revision()
