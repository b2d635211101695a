"""A Valkey for the folder's tests; those that kill it have one of their own."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.servers.valkey import PASSWORD, running_valkey
from wayfare_engine.store.embedded import EmbeddedValkey


def address(server: EmbeddedValkey) -> str:
    """Its URL with the password."""
    return server.url.replace("redis://", f"redis://:{PASSWORD}@")


@pytest.fixture(scope="module")
def valkey() -> Iterator[EmbeddedValkey]:
    with running_valkey() as server:
        yield server


@pytest.fixture
def url(valkey: EmbeddedValkey) -> str:
    return address(valkey)


@pytest.fixture
def mortal_valkey() -> Iterator[EmbeddedValkey]:
    with running_valkey() as server:
        yield server
