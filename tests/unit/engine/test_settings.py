"""Settings from the environment."""

from __future__ import annotations

import pytest
from psycopg.conninfo import conninfo_to_dict

from wayfare_engine.settings import MissingSetting, load_settings


def test_a_missing_variable_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WAYFARE_POSTGRESQL_DSN", raising=False)
    with pytest.raises(MissingSetting, match="WAYFARE_POSTGRESQL_DSN: is not set"):
        load_settings()


def test_a_password_that_comes_apart_joins_its_address() -> None:
    settings = load_settings(
        postgresql_dsn="postgresql://wayfare@db:5432/wayfare",
        postgresql_password="p@ss 'word",
        valkey_url="redis://cache:6379/0",
        valkey_password="a/b",
    )

    assert conninfo_to_dict(settings.dsn)["password"] == "p@ss 'word"
    assert settings.valkey == "redis://:a%2Fb@cache:6379/0"
    assert "word" not in repr(settings)


def test_the_direct_address_is_the_ordinary_one_unless_given() -> None:
    plain = load_settings(postgresql_dsn="host=pool")
    both = load_settings(postgresql_dsn="host=pool", postgresql_direct_dsn="host=db")

    assert plain.direct_dsn == plain.dsn
    assert conninfo_to_dict(both.direct_dsn)["host"] == "db"
