"""Envelopes and the keys that wrap keys."""

from __future__ import annotations

import base64
import secrets
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wayfare_engine.privacy import Erased, MasterKeyProblem, MasterKeys, NoMasterKey
from wayfare_engine.privacy.envelopes import (
    Envelope,
    EnvelopeDamaged,
    open_envelope,
    read_envelope,
    seal,
)

KID, KEY, NONCE = secrets.token_bytes(16), secrets.token_bytes(32), secrets.token_bytes(12)


def sealed(value: bytes = b'"Ghent"') -> Envelope:
    return seal(value, "a", "city", kid=KID, key=KEY, nonce=NONCE)


@given(st.binary(max_size=40), st.text(max_size=8), st.text(max_size=8))
def test_what_is_sealed_opens_again_also_after_json(value: bytes, who: str, field: str) -> None:
    envelope = seal(value, who, field, kid=KID, key=KEY, nonce=NONCE)
    read = read_envelope(msgspec.json.encode(envelope.as_json()))

    assert read == envelope
    assert open_envelope(read, who, field, {KID: KEY}.get) == value


@pytest.mark.parametrize(("who", "field"), [("b", "city"), ("a", "town"), ("a,city", "")])
def test_an_envelope_opens_for_its_customer_and_field_only(who: str, field: str) -> None:
    with pytest.raises(EnvelopeDamaged):
        open_envelope(sealed(), who, field, {KID: KEY}.get)


@pytest.mark.parametrize("place", range(len(sealed().ciphertext)))
def test_a_changed_byte_is_noticed(place: int) -> None:
    envelope = sealed()
    changed = bytearray(envelope.ciphertext)
    changed[place] ^= 1

    with pytest.raises(EnvelopeDamaged):
        open_envelope(envelope._replace(ciphertext=bytes(changed)), "a", "city", {KID: KEY}.get)


def test_without_its_key_it_is_erased() -> None:
    assert open_envelope(sealed(), "a", "city", lambda _: None) == Erased(KID.hex())


@pytest.mark.parametrize(
    "json",
    [b"1", b'"x"', b"{}", b'{"kid": 1}', b'{"kid": "a", "nonce": "b", "ciphertext": "c"}', b"{"],
)
def test_other_json_is_no_envelope(json: bytes) -> None:
    assert read_envelope(json) is None


def key_file(folder: Path, *keys: bytes) -> Path:
    path = folder / "master"
    path.write_text("".join(base64.b64encode(k).decode() + "\n" for k in keys))
    return path


def masters(folder: Path, *keys: bytes) -> MasterKeys:
    return MasterKeys.read(key_file(folder, *keys), random=secrets.token_bytes)


def test_a_rotated_master_key_still_unwraps_what_it_wrapped(tmp_path: Path) -> None:
    old, new = secrets.token_bytes(32), secrets.token_bytes(32)
    wrapped = masters(tmp_path, old).wrap(KID, KEY)
    rotated = masters(tmp_path, new, old)

    assert rotated.unwrap(KID, wrapped) == KEY
    again = rotated.wrap(KID, KEY)
    assert masters(tmp_path, new).unwrap(KID, again) == KEY
    with pytest.raises(NoMasterKey, match=masters(tmp_path, old).present):
        masters(tmp_path, new).unwrap(KID, wrapped)


def test_a_wrapped_key_under_another_id_does_not_unwrap(tmp_path: Path) -> None:
    keys = masters(tmp_path, secrets.token_bytes(32))

    with pytest.raises(NoMasterKey):
        keys.unwrap(bytes(16), keys.wrap(KID, KEY))


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "it is empty"),
        (b"\xff\xfe", "bytes that are no text"),
        (b"c2hvcnQ=\n", "key 1 has 5 bytes"),
        (base64.b64encode(bytes(32)) + b"\n???hidden???\n", "key 2 is not base64"),
    ],
)
def test_a_wrong_file_is_told_without_its_content(
    tmp_path: Path, content: bytes, said: str
) -> None:
    path = tmp_path / "master"
    path.write_bytes(content)

    with pytest.raises(MasterKeyProblem, match=said) as told:
        MasterKeys.read(path, random=secrets.token_bytes)

    assert str(path) in str(told.value)
    assert "hidden" not in str(told.value)
    assert "c2hvcnQ" not in str(told.value)


def test_a_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(MasterKeyProblem, match="No such file"):
        MasterKeys.read(tmp_path / "none", random=secrets.token_bytes)
