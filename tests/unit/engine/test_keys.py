"""API keys: form, hash, validity, scopes."""

from __future__ import annotations

import dataclasses
from datetime import UTC, datetime, timedelta

import pytest

from wayfare_engine.errors import Denied
from wayfare_engine.identity import Authenticator, KeyFormatError, NewKey, Scope, new_key, parse

NOW = datetime(2026, 11, 23, tzinfo=UTC)


def made(*scopes: Scope, expires_at: datetime | None = None) -> NewKey:
    return new_key(
        name="shop",
        scopes=scopes or (Scope.DECIDE,),
        now=NOW,
        expires_at=expires_at,
        random_id=lambda: "0123456789abcdef",
        random_secret=lambda: "s" * 43,
    )


def authenticator(*keys: NewKey, enabled: bool = True) -> Authenticator:
    checks = Authenticator(enabled=enabled, clock=lambda: NOW)
    checks.replace([k.key for k in keys])
    return checks


def status(checks: Authenticator, text: str | None, scope: Scope = Scope.DECIDE) -> int:
    try:
        checks.require(text, scope)
    except Denied as error:
        return error.status
    return 200


def test_the_text_holds_id_and_secret_and_the_stored_key_only_a_hash() -> None:
    key = made()

    assert parse(key.text) == ("0123456789abcdef", "s" * 43)
    assert b"sss" not in key.key.hash
    assert key.key.matches("s" * 43)
    assert not key.key.matches("s" * 42 + "t")


@pytest.mark.parametrize("text", ["", "wf_", "wf_0123456789abcdef_short", "xx_" + "0" * 60, "wf_é"])
def test_another_form_is_refused(text: str) -> None:
    with pytest.raises(KeyFormatError):
        parse(text)


def test_a_scope_allows_itself_and_admin_allows_all() -> None:
    key, admin = made(Scope.DECIDE), made(Scope.ADMIN)

    assert status(authenticator(key), key.text, Scope.DECISIONS_READ) == 403
    assert status(authenticator(admin), admin.text, Scope.DECISIONS_READ) == 200


def test_an_expired_key_is_refused() -> None:
    assert status(authenticator(key := made(expires_at=NOW)), key.text) == 401
    later = made(expires_at=NOW + timedelta(seconds=1))
    assert status(authenticator(later), later.text) == 200


def test_a_revoked_key_is_refused() -> None:
    key = made()
    revoked = dataclasses.replace(key, key=dataclasses.replace(key.key, revoked_at=NOW))
    assert status(authenticator(revoked), key.text) == 401


def test_without_authentication_nothing_is_asked_for() -> None:
    assert status(authenticator(enabled=False), None) == 200
