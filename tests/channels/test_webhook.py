"""The plugin `webhook`: a real host, and a real receiver that checks what it gets."""

from __future__ import annotations

import base64
import json
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.servers.certificates import Authority
from tests.servers.channel_host import HostProcess, channel_host
from tests.servers.command import wayfare
from tests.servers.hook import Hook, running_hook
from tests.servers.ports import free_port
from wayfare_engine.channels.plugins.signing import secret, signatures

OLD = "whsec_" + base64.b64encode(b"old-key-of-the-receiver-32-bytes").decode()
NEW = "whsec_" + base64.b64encode(b"new-key-of-the-receiver-32-bytes").decode()
QUERY = "token=do-not-log-this"


def words(folder: Path, config: dict[str, Any], **secrets: str) -> list[str]:
    """The options of a host with this config and these secrets, mounted as Kubernetes does."""
    file, mount = folder / "hook.json", folder / "secrets"
    version = mount / "..2026_01_01"
    version.mkdir(parents=True)
    (mount / "..data").symlink_to(version.name)
    for name, value in secrets.items():
        (version / name).write_text(value + "\n")
        (mount / name).symlink_to(f"..data/{name}")
    file.write_text(json.dumps(config))
    return ["--plugin", "webhook", "--config", str(file), "--secrets-dir", str(mount)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("webhook")


@pytest.fixture(scope="module")
def receiver() -> Iterator[Hook]:
    with running_hook(OLD, NEW) as hook:
        yield hook


@pytest.fixture(scope="module")
def running(receiver: Hook, folder: Path) -> Iterator[HostProcess]:
    """One host for all; `debug`, so that whatever may be logged is."""
    config = {"url": f"{receiver.url}/in?{QUERY}", "headers": {"X-Tenant": "bank"}}
    given = words(folder, config, **{"signing-1": OLD, "signing-2": NEW})
    with channel_host(folder / "host", *given, "--log-level", "debug") as host:
        yield host


@pytest.fixture
def hook(receiver: Hook) -> Hook:
    """The receiver, as it was at first."""
    receiver.status, receiver.headers, receiver.body = 204, {}, b""
    receiver.received.clear()
    receiver.let_go.clear()
    return receiver


def result(host: HostProcess, key: str, **changes: Any) -> tuple[int, str | None]:
    answer = host.send(key, **changes)
    return answer.status_code, answer.json().get("result")


def test_the_signature_is_the_standard_s() -> None:
    # The example of the standard's own documents.
    key = secret("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    body = b'{"test": 2432232314}'
    made = signatures([key], "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, body)
    assert made == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_a_send_arrives_signed_with_each_secret(running: HostProcess, hook: Hook) -> None:
    assert result(running, "w-1", address="+49", test=True) == (200, "Accepted")
    (got,) = hook.received
    assert got.signed_by == [OLD, NEW]
    assert (got.path, got.headers["webhook-id"]) == (f"/in?{QUERY}", "w-1")
    assert got.headers["x-tenant"] == "bank"
    assert got.body["type"] == "wayfare.send"
    assert got.body["data"] == {
        "send_key": "w-1",
        "customer": "customer-1",
        "channel": "bank/sms",
        "site": "east",
        "epoch": 1,
        "attempt": 1,
        "payload": {"text": "hello"},
        "address": "+49",
        "test": True,
    }


def test_connections_stay_open(running: HostProcess, hook: Hook) -> None:
    for number in range(5):
        result(running, f"open-{number}")
    assert len({got.connection for got in hook.received}) == 1


@pytest.mark.parametrize(
    ("status", "wanted"),
    [
        (200, (200, "Accepted")),
        (299, (200, "Accepted")),
        *((status, (422, "Rejected")) for status in (400, 404, 410, 413, 422)),
        *((status, (503, "NotAccepted")) for status in (429, 503)),
        *((status, (500, None)) for status in (302, 401, 409, 500, 502, 504)),
    ],
)
def test_what_each_status_means(
    running: HostProcess, hook: Hook, status: int, wanted: tuple[int, str | None]
) -> None:
    hook.status, hook.headers = status, {"Location": hook.url + "/elsewhere"}
    answer = running.send(f"status-{status}")
    assert (answer.status_code, answer.json().get("result")) == wanted
    assert str(status) in answer.json()["detail"]
    assert [got.path for got in hook.received] == [f"/in?{QUERY}"], "a redirect is not followed"


def test_no_answer_in_time_is_in_doubt(running: HostProcess, hook: Hook) -> None:
    hook.status = 0
    status, said = result(running, "slow", remaining=0.3)
    # The plugin's own word, or, on a busy machine, the host's.
    assert (status in (500, 504), said) == (True, None)
    assert len(hook.received) == 1


def test_a_long_answer_is_not_read_to_its_end(running: HostProcess, hook: Hook) -> None:
    hook.status, hook.body = 200, b"x" * 10_000_000
    assert result(running, "long") == (200, "Accepted")


def test_a_key_that_would_change_what_is_signed_is_refused(
    running: HostProcess, hook: Hook
) -> None:
    for key in ("a.b", "a\r\nb: c", "ä"):
        assert result(running, key) == (422, "Rejected")
    assert hook.received == []


def test_nothing_secret_is_told(running: HostProcess, hook: Hook) -> None:
    for status in (200, 302, 404, 500):
        hook.status = status
        assert QUERY not in running.send(f"told-{status}", payload={"text": "private"}).text
    logged = running.logged()
    assert "channel.in_doubt" in logged
    for hidden in (QUERY, "private", "customer-1", OLD[6:], NEW[6:]):
        assert hidden not in logged


def test_before_anything_is_written_it_is_not_accepted(tmp_path: Path) -> None:
    url = f"http://127.0.0.1:{free_port()}/in?{QUERY}"
    given = words(tmp_path, {"url": url}, signing=NEW)
    with channel_host(tmp_path / "refused", *given) as host:
        answer = host.send("refused")
        assert (answer.status_code, answer.json()["result"]) == (503, "NotAccepted")
        assert QUERY not in answer.text
        check = host.client.post("/v1/check", json={}).json()
        assert check["ok"] is False
        assert QUERY not in check["problem"]


def test_a_name_that_is_not_known_is_not_accepted(tmp_path: Path) -> None:
    given = words(tmp_path, {"url": "http://nowhere.invalid/in", "unsigned": True})
    with channel_host(tmp_path / "unknown", *given) as host:
        assert result(host, "unknown") == (503, "NotAccepted")


def test_a_connection_that_is_never_taken_is_not_accepted(tmp_path: Path) -> None:
    with socket.socket() as full:
        # A listener whose queue is full does not answer a SYN: connecting hangs.
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        others = []
        for _ in range(4):
            other = socket.socket()
            other.setblocking(False)
            other.connect_ex(full.getsockname())
            others.append(other)
        config = {"url": f"https://127.0.0.1:{full.getsockname()[1]}/", "timeout": 0.3}
        given = words(tmp_path, config, signing=NEW)
        with channel_host(tmp_path / "hanging", *given) as host:
            assert result(host, "hanging") == (503, "NotAccepted")
        for other in others:
            other.close()


def test_tls_is_checked_against_the_given_authority(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    certificate = authority.issue("server", user="receiver", server=True)
    with running_hook(NEW, certificate=certificate) as hook:
        trusting, doubting = tmp_path / "trusting", tmp_path / "doubting"
        given = words(
            trusting, {"url": hook.url, "ca_file": str(authority.certificate)}, signing=NEW
        )
        with channel_host(trusting / "host", *given) as host:
            assert result(host, "tls") == (200, "Accepted")
            assert hook.received[0].signed_by == [NEW]
            assert host.client.post("/v1/check", json={}).json() == {"ok": True}
        given = words(doubting, {"url": hook.url}, signing=NEW)
        with channel_host(doubting / "host", *given) as host:
            assert result(host, "no-tls") == (503, "NotAccepted")
            check = host.client.post("/v1/check", json={}).json()
            assert "ca_file" in check["problem"]
        assert len(hook.received) == 1


@pytest.mark.parametrize(
    ("config", "secrets", "said"),
    [
        ({}, {}, "url"),
        ({"url": "ftp://h/"}, {}, "http://"),
        ({"url": "http://user:hidden@h/"}, {}, "user or password"),
        ({"url": "http://h:hidden/"}, {}, "no URL"),
        ({"url": "http://h/"}, {}, "signing"),
        ({"url": "http://h/"}, {"signing": "whsec_hidden!"}, "base64"),
        ({"url": "http://h/"}, {"signing": "hidden"}, "whsec_"),
        ({"url": "http://h/", "unsigned": True}, {"signing": NEW}, "unsigned"),
        ({"url": "http://h/", "timeout": 0}, {}, "$.timeout"),
        ({"url": "http://h/", "colour": "hidden"}, {}, "colour"),
        ({"url": "http://h/", "rejected": [429]}, {}, "429"),
        ({"url": "http://h/", "headers": {"Webhook-Id": "hidden"}}, {}, "Webhook-Id"),
        ({"url": "http://h/", "headers": {"X": "a\r\nhidden: b"}}, {}, "headers"),
        ({"url": "https://h/", "ca_file": "/dev/null"}, {"signing": NEW}, "ca_file"),
    ],
)
def test_settings_that_cannot_be_used(
    tmp_path: Path, config: dict[str, Any], secrets: dict[str, str], said: str
) -> None:
    done = wayfare("channel", "host", *words(tmp_path, config, **secrets))
    assert done.returncode == 2
    assert said in done.stderr
    assert "hidden" not in done.stderr
