"""The thread that keeps breakers and Valkey together."""

from __future__ import annotations

import time

import pytest

from tests.guards.conftest import address
from tests.servers.ports import free_port
from tests.servers.wait import until
from wayfare_engine.guards import BadLimit, BreakerLimits, Permit, Sharing, State, bounded_client
from wayfare_engine.store.embedded import EmbeddedValkey

LIMITS = BreakerLimits(minimum_calls=5)


def test_one_that_finds_valkey_away_speaks_for_all(mortal_valkey: EmbeddedValkey) -> None:
    sharing = Sharing(bounded_client(address(mortal_valkey)), clock=time.monotonic)
    breakers = [sharing.breaker(name, LIMITS) for name in ("sms", "push", "mail")]
    assert sharing.sync()
    assert [breaker.shared for breaker in breakers] == [True] * 3
    mortal_valkey.kill()
    assert not sharing.sync()
    assert [breaker.shared for breaker in breakers] == [False] * 3


def test_calls_that_would_open_it_are_not_left_until_the_next_round(url: str) -> None:
    sharing = Sharing(bounded_client(url, seconds=5.0), clock=time.monotonic, every=60.0)
    breaker = sharing.breaker("hurried", LIMITS)
    sharing.start()
    try:
        until(lambda: breaker.shared, what="the first round", every=0.01)
        for _ in range(5):
            permit = breaker.allow()
            assert isinstance(permit, Permit)
            breaker.failed(permit)
        until(lambda: breaker.state is State.OPEN, what="open", every=0.01)
    finally:
        sharing.stop()


def test_without_any_valkey_a_breaker_works_from_the_start() -> None:
    nobody = bounded_client(f"redis://127.0.0.1:{free_port()}/0")
    breaker = Sharing(nobody, clock=time.monotonic).breaker("sms", LIMITS)
    for _ in range(5):
        permit = breaker.allow()
        assert isinstance(permit, Permit)
        breaker.failed(permit)
    assert breaker.state is State.OPEN


def test_nonsense_is_refused(url: str) -> None:
    with pytest.raises(BadLimit, match="every is -1"):
        Sharing(bounded_client(url), clock=time.monotonic, every=-1)
