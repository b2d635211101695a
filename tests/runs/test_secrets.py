"""Secrets are compared by keyed digests, and nothing of them leaves a site."""

from __future__ import annotations

from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from tests.runs.making import AT, KEYS, PLAN
from wayfare_engine import runs
from wayfare_engine.cli import recovery_secrets
from wayfare_engine.objectstore import ObjectStore, open_store, paths
from wayfare_engine.runs import secrets
from wayfare_engine.runs.secrets import SecretsSeen, key_for, keyed, same
from wayfare_engine.settings import MissingSetting

KEY = key_for(KEYS, PLAN)


def mount(folder: Path, name: str, **content: str) -> None:
    """A Secret as the kubelet mounts it: links into a folder that it swaps."""
    place = folder / name
    (place / "..2026_03_01").mkdir(parents=True)
    (place / "..data").symlink_to("..2026_03_01")
    for entry, text in content.items():
        (place / "..2026_03_01" / entry).write_text(text)
        (place / entry).symlink_to(f"..data/{entry}")


def test_equal_secrets_have_equal_digests_and_others_have_not() -> None:
    content = {"user": b"bank", "password": b"p"}
    digest = keyed(KEY, "sms", content)
    assert keyed(KEY, "sms", dict(reversed(content.items()))) == digest
    others = [
        keyed(KEY, "mail", content),
        keyed(KEY, "sms", content | {"password": b"q"}),
        keyed(KEY, "sms", content | {"more": b""}),
        keyed(KEY, "sms", {"user": b"bankpassword", "": b"p"}),
        keyed(KEY, "sms", {"userbank": b"", "password": b"p"}),
    ]
    assert len({digest, *others}) == 6
    assert [same(digest, other) for other in others] == [False] * 5
    assert same(digest, digest) is True


def test_what_cannot_be_told_is_unknown_and_not_different() -> None:
    here = keyed(KEY, "sms", {"a": b"1"})
    there = keyed(key_for(runs.Keys.of("n" * 32), PLAN), "sms", {"a": b"1"})
    assert same(here, None) is same(None, here) is same(None, None) is None
    assert same(here, there) is None, "the key was changed at one site"


def test_each_plan_has_a_key_of_its_own_and_it_is_not_the_operators() -> None:
    assert key_for(KEYS, "bank.other") != KEY
    assert KEYS.accepted[0].decode() not in KEY


def test_mounted_secrets_are_looked_at(tmp_path: Path) -> None:
    mount(tmp_path, "sms", user="bank", password="p")
    mount(tmp_path, "tls", key="k")
    mount(tmp_path, "missing")
    (tmp_path / "note.txt").write_text("no Secret")
    assert secrets.look(tmp_path, KEY, present=["tls", "missing"]) == {
        "missing": None,
        "sms": keyed(KEY, "sms", {"user": b"bank", "password": b"p"}),
        "tls": secrets.PRESENT,
    }


def test_what_a_site_tells_is_found_and_holds_no_content(
    direct: ObjectStore, tmp_path: Path
) -> None:
    mount(tmp_path, "sms", password="open-sesame")
    assert secrets.newest(direct, PLAN, "west") is None
    told = SecretsSeen(site="west", at=AT, digests=secrets.look(tmp_path, KEY))
    secrets.write(direct, PLAN, told)
    secrets.write(direct, PLAN, told)
    assert secrets.newest(direct, PLAN, "west") == told
    assert b"sesame" not in (direct.get(paths.secrets_seen(PLAN, "west")) or b"")


def test_what_another_site_told_is_not_taken_for_this_ones(direct: ObjectStore) -> None:
    secrets.write(direct, PLAN, SecretsSeen(site="west", at=AT, digests={}))
    body = direct.get(paths.secrets_seen(PLAN, "west")) or b""
    direct.put(paths.secrets_seen(PLAN, "east"), body)
    with pytest.raises(runs.RecordDamaged, match=r"digests/secrets/.*speaks of site west"):
        secrets.newest(direct, PLAN, "east")


def test_the_command_tells_them_and_prints_no_content(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mount(tmp_path / "mounted", "sms", password="open-sesame")
    mount(tmp_path / "mounted", "mail")
    app = typer.Typer()
    app.command()(recovery_secrets.secrets)
    url = f"file://{tmp_path}/store"
    call = [str(tmp_path / "mounted"), "--store", url, "--plan", PLAN, "--site", "west"]
    monkeypatch.delenv(recovery_secrets.KEY, raising=False)
    refused = CliRunner().invoke(app, call)
    assert isinstance(refused.exception, MissingSetting)
    monkeypatch.setenv(recovery_secrets.KEY, KEY)
    done = CliRunner().invoke(app, call)
    digest = keyed(KEY, "sms", {"password": b"open-sesame"})
    assert done.output == f"mail: not there\nsms: {digest}\n"
    told = secrets.newest(open_store(url), PLAN, "west")
    assert told is not None
    assert told.digests == {"mail": None, "sms": digest}
