"""The plugin `smtp`: a real host before a real mail server, and before one that fails on demand."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.channels.settings_files import words
from tests.servers.channel_host import HostProcess, channel_host
from tests.servers.command import wayfare
from tests.servers.exim import PASSWORD, USER, Exim, running_exim
from tests.servers.mail import Mail, running_mail
from tests.servers.ports import free_port
from wayfare_engine.channels.conform import conform

SENDER = "news@bank.test"
ADDRESS = "customer-7@bank.test"
PRIVATE = "private words"
PAYLOAD = {"subject": "Your card", "text": f"Hello,\n.\n..\n{PRIVATE}\n"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("smtp")


@pytest.fixture(scope="module")
def exim() -> Iterator[Exim]:
    """A server that takes mail from who is known only, and three mails a connection."""
    with running_exim(login=True, most=3) as server:
        yield server


@pytest.fixture(scope="module")
def running(exim: Exim, folder: Path) -> Iterator[HostProcess]:
    config = {
        "host": "127.0.0.1",
        "port": exim.port,
        "from": SENDER,
        "ca_file": str(exim.authority),
        "connections": 2,
        "one_click": True,
    }
    given = words("smtp", folder / "exim", config, username=USER, password=PASSWORD)
    with channel_host(folder / "exim-host", *given, "--log-level", "debug") as host:
        yield host


@pytest.fixture(scope="module")
def faulty() -> Iterator[Mail]:
    with running_mail() as server:
        yield server


@pytest.fixture
def mail(faulty: Mail) -> Mail:
    faulty.let_go()
    faulty.well()
    return faulty


@pytest.fixture(scope="module")
def failing(faulty: Mail, folder: Path) -> Iterator[HostProcess]:
    config = {"host": "127.0.0.1", "port": faulty.port, "from": SENDER, "security": "none"}
    given = words("smtp", folder / "faulty", config)
    with channel_host(folder / "faulty-host", *given, "--log-level", "debug") as host:
        yield host


def sent(host: HostProcess, key: str, **changes: Any) -> tuple[int, str | None, str]:
    """The status, the result, and what was said of it."""
    answer = host.send(key, **{"address": ADDRESS, "payload": PAYLOAD} | changes)
    said = answer.json()
    assert ADDRESS not in answer.text
    assert PRIVATE not in answer.text
    return answer.status_code, said.get("result"), said.get("detail", "")


def test_a_mail_arrives_as_it_was_written(running: HostProcess, exim: Exim) -> None:
    written = "Hello,\n.\n.. two dots\nFrom here\n" + "long " * 400 + "\näöü"
    payload = {
        "subject": "Grüße, 您好",
        "text": written,
        "html": "<p>您好</p>\n.\n",
        "from_name": 'The "Bank", Müller & Co.',
        "reply_to": "help@bank.test",
        "list_unsubscribe": "https://bank.test/u?" + "t" * 500,
        "push": {"of": "another channel"},
    }
    before = len(exim.mails())
    answer = running.send("arrives-1", address="kunde@Bank.test", payload=payload, test=True)
    assert answer.json()["result"] == "Accepted"
    got = exim.delivered(before + 1)[-1]
    text, html = got.get_body(("plain",)), got.get_body(("html",))
    assert text is not None
    assert html is not None
    assert text.get_content().splitlines() == written.splitlines()
    assert html.get_content().splitlines() == ["<p>您好</p>", "."]
    assert got["Subject"] == payload["subject"]
    (sender,) = got["From"].addresses
    assert (sender.display_name, sender.addr_spec) == (payload["from_name"], SENDER)
    assert got["Reply-To"] == "help@bank.test"
    assert got["List-Unsubscribe"] == f"<{payload['list_unsubscribe']}>"
    assert got["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    assert got["Message-ID"] == f"<{answer.json()['provider_id']}>"
    assert (got["Return-path"], got["Envelope-to"]) == (f"<{SENDER}>", "kunde@Bank.test")
    assert got["X-Wayfare-Test"] == "true"
    assert "Push" not in got


def test_a_mail_s_name_is_the_key_s(running: HostProcess) -> None:
    def name(key: str) -> str:
        said: str = running.send(key, address=ADDRESS, payload=PAYLOAD).json()["provider_id"]
        return said

    assert name("name-1") == name("name-1") != name("name-2")
    assert name("a key\r\nX-Evil: 1").endswith("@bank.test")


def test_connections_stay_open_and_are_renewed_when_the_server_ends_them(
    running: HostProcess, exim: Exim
) -> None:
    """The server takes three mails a connection."""
    mails, connections = len(exim.mails()), exim.connections()
    for number in range(9):
        assert sent(running, f"row-{number}")[:2] == (200, "Accepted")
    exim.delivered(mails + 9)
    # One more when the first begins with what an earlier test left.
    assert exim.connections() - connections in (3, 4)


@pytest.mark.parametrize(
    ("address", "payload", "wanted", "said"),
    [
        ("unknown@bank.test", PAYLOAD, (422, "Rejected"), "refused the address: 550"),
        ("a@elsewhere.test", PAYLOAD, (422, "Rejected"), "refused the address: 550"),
        ("greylisted@bank.test", PAYLOAD, (503, "NotAccepted"), "refused the address: 451"),
        (ADDRESS, {"subject": "SPAM", "text": "x"}, (422, "Rejected"), "refused the mail: 550"),
        (ADDRESS, {"subject": "s", "text": "x y\n" * 90_000}, (422, "Rejected"), "mail: 552"),
    ],
)
def test_what_a_real_server_refuses(
    running: HostProcess,
    exim: Exim,
    address: str,
    payload: dict[str, str],
    wanted: tuple[int, str],
    said: str,
) -> None:
    before = len(exim.mails())
    answer = running.send("refused", address=address, payload=payload)
    assert (answer.status_code, answer.json()["result"]) == wanted
    assert said in answer.json()["detail"]
    assert address not in answer.text
    # The connection is as good as before.
    assert sent(running, "after")[:2] == (200, "Accepted")
    assert len(exim.delivered(before + 1)) == before + 1


@pytest.mark.parametrize(
    "address",
    [
        None,
        "",
        "nobody",
        "a@b@c",
        "a b@bank.test",
        "a@bank.test>\r\nRCPT TO:<evil@bank.test",
        "a@bank.test\n",
        "<a@bank.test>",
        '"quoted"@bank.test',
        "ä@bank.test",
        "a@-bank.test",
        "a@" + "b" * 300,
        "a,b@bank.test",
        "Name <a@bank.test>",
    ],
)
def test_an_address_that_is_none_is_refused(
    failing: HostProcess, mail: Mail, address: str | None
) -> None:
    answer = failing.send("address", address=address, payload=PAYLOAD)
    assert (answer.status_code, answer.json()["result"]) == (422, "Rejected")
    assert "the address is none" in answer.json()["detail"]
    assert not address or address not in answer.json()["detail"]
    assert mail.whole == []


@pytest.mark.parametrize(
    "changes",
    [
        {"subject": "a\r\nBcc: evil@bank.test"},
        {"subject": "a\nb"},
        {"subject": "a\u2028Bcc: evil@bank.test"},
        {"subject": "a\x00b"},
        {"subject": ""},
        {"subject": 7},
        {"subject": "x" * 2000},
        {"from_name": "a\r\nBcc: evil@bank.test"},
        {"reply_to": "evil@bank.test\r\nBcc: x@bank.test"},
        {"reply_to": "no address"},
        {"list_unsubscribe": "https://x>\r\nBcc: x@bank.test"},
        {"list_unsubscribe": "https://x>, <https://y"},
        {"list_unsubscribe": "javascript:alert(1)"},
        {"text": None},
        {"text": 7},
    ],
)
def test_a_payload_that_is_no_mail_is_refused(
    failing: HostProcess, mail: Mail, changes: dict[str, Any]
) -> None:
    answer = failing.send("payload", address=ADDRESS, payload=PAYLOAD | changes)
    assert (answer.status_code, answer.json()["result"]) == (422, "Rejected")
    assert "the payload is no mail" in answer.json()["detail"]
    assert "evil" not in answer.text
    assert mail.whole == []


@pytest.mark.parametrize(
    ("step", "reply", "wanted"),
    [
        ("MAIL", "451 4.3.0 later", (503, "NotAccepted")),
        ("MAIL", "550 5.7.1 we do not know this sender", (503, "NotAccepted")),
        ("MAIL", "421 too many", (503, "NotAccepted")),
        ("RCPT", "450 4.2.1 later", (503, "NotAccepted")),
        ("RCPT", "421 closing", (503, "NotAccepted")),
        ("RCPT", "550 5.1.1 no such user", (422, "Rejected")),
        ("RCPT", "530 5.7.0 authentication required", (503, "NotAccepted")),
        ("DATA", "452 4.3.1 no space", (503, "NotAccepted")),
        ("DATA", "554 5.6.0 no", (422, "Rejected")),
        ("END", "451 4.3.0 later", (503, "NotAccepted")),
        ("END", "421 4.3.0 closing", (503, "NotAccepted")),
        ("END", "554 5.7.1 spam", (422, "Rejected")),
        ("END", "251 will forward", (200, "Accepted")),
        ("END", "399 what", (500, None)),
        ("END", "nonsense", (500, None)),
    ],
)
def test_what_a_reply_at_each_step_means(
    failing: HostProcess, mail: Mail, step: str, reply: str, wanted: tuple[int, str | None]
) -> None:
    mail.replies[step] = reply
    status, result, said = sent(failing, f"{step}-{reply[:3]}")
    assert (status, result) == wanted
    if result in ("Rejected", "NotAccepted"):
        assert reply.split(" ")[0] in said
        assert "user" not in said
    mail.well()
    assert sent(failing, "after")[:2] == (200, "Accepted")
    assert len(mail.whole) == 1


@pytest.mark.parametrize(
    ("cut", "wanted"),
    [("MAIL", "NotAccepted"), ("RCPT", "NotAccepted"), ("END", None)],
)
def test_a_connection_that_ends_at_a_step(
    failing: HostProcess, mail: Mail, cut: str, wanted: str | None
) -> None:
    mail.cut = cut
    assert sent(failing, f"cut-{cut}")[1] == wanted
    assert len(mail.whole) == (cut == "END")


#: Three megabytes as a mail, which is more than the kernel takes from us for a server that does not
#: read: the lines before the umlauts have the library choose the encoding that is long for those.
_LONG = "a\n" * 20 + "ä" * 250_000
LONG = {"subject": "long", "text": _LONG, "html": _LONG}


@pytest.mark.parametrize("fault", ["cut", "silent"])
def test_a_content_that_did_not_leave_whole_is_not_accepted(
    failing: HostProcess, mail: Mail, fault: str
) -> None:
    setattr(mail, fault, "DATA")
    status, result, _ = sent(failing, f"content-{fault}", payload=LONG, remaining=1.0)
    assert (status, result) == (503, "NotAccepted")
    mail.let_go()
    mail.well()
    assert sent(failing, "after")[:2] == (200, "Accepted")
    assert len(mail.whole) == 1, "what was cut short is no mail"


def test_no_reply_to_the_whole_mail_is_in_doubt_and_the_connection_is_not_used_again(
    failing: HostProcess, mail: Mail
) -> None:
    mail.silent = "END"
    assert sent(failing, "silent", remaining=0.5)[1] is None
    connections = mail.connections
    mail.let_go()
    mail.well()
    assert sent(failing, "after")[:2] == (200, "Accepted")
    assert (mail.connections, len(mail.whole)) == (connections + 1, 1)


def test_a_kept_connection_that_the_server_ended_is_replaced(
    failing: HostProcess, mail: Mail
) -> None:
    assert sent(failing, "first")[:2] == (200, "Accepted")
    connections = mail.connections
    assert sent(failing, "second")[:2] == (200, "Accepted")
    assert mail.connections == connections
    mail.hang_up()
    assert sent(failing, "third")[:2] == (200, "Accepted")
    assert mail.connections == connections + 1
    assert len(mail.whole) == 3


def test_a_wait_for_a_connection_is_not_accepted(mail: Mail, tmp_path: Path) -> None:
    config = {"host": "127.0.0.1", "port": mail.port, "from": SENDER, "security": "none"}
    given = words("smtp", tmp_path, config | {"connections": 1})
    mail.silent = "MAIL"
    with channel_host(tmp_path / "host", *given) as host, ThreadPoolExecutor(1) as other:
        first = other.submit(sent, host, "holds", remaining=3.0)
        assert mail.begun.wait(10)
        assert sent(host, "waits", remaining=0.3)[:2] == (503, "NotAccepted")
        mail.let_go()
        assert first.result()[:2] == (200, "Accepted")
    assert len(mail.whole) == 1


def test_no_server_is_not_accepted(tmp_path: Path) -> None:
    config = {"host": "127.0.0.1", "port": free_port(), "from": SENDER, "security": "none"}
    with channel_host(tmp_path / "host", *words("smtp", tmp_path, config)) as host:
        assert sent(host, "nobody")[:2] == (503, "NotAccepted")
        check = host.client.post("/v1/check", json={}).json()
        assert check["ok"] is False
        assert "ConnectError" in check["problem"]


@pytest.mark.parametrize(
    ("changes", "secrets", "problem"),
    [
        ({}, {"username": USER, "password": PASSWORD}, None),
        ({"security": "tls"}, {"username": USER, "password": PASSWORD}, None),
        ({}, {"username": USER, "password": "wrong-hidden"}, "refused the login: 535"),
        ({"ca_file": None}, {"username": USER, "password": PASSWORD}, "certificate is not trusted"),
        ({"host": "127.0.0.2"}, {}, "ConnectError"),
    ],
)
def test_the_check_says_what_is_wrong(
    exim: Exim,
    tmp_path: Path,
    changes: dict[str, Any],
    secrets: dict[str, str],
    problem: str | None,
) -> None:
    port = exim.tls_port if changes.get("security") == "tls" else exim.port
    config = {"host": "127.0.0.1", "port": port, "from": SENDER, "ca_file": str(exim.authority)}
    given = words("smtp", tmp_path, config | changes, **secrets)
    with channel_host(tmp_path / "host", *given) as host:
        check = host.client.post("/v1/check", json={}).json()
        assert check["ok"] == (problem is None)
        assert (problem or "") in check.get("problem", "")
        result = sent(host, "checked")[1]
        assert result == ("Accepted" if problem is None else "NotAccepted")
        assert "hidden" not in json.dumps(check) + host.logged()


def test_a_server_without_tls_is_not_spoken_to(mail: Mail, tmp_path: Path) -> None:
    config = {"host": "127.0.0.1", "port": mail.port, "from": SENDER}
    with channel_host(tmp_path / "host", *words("smtp", tmp_path, config)) as host:
        status, result, said = sent(host, "no-tls")
        assert (status, result) == (503, "NotAccepted")
        assert "STARTTLS" in said
    assert mail.whole == []


def test_a_server_that_wants_a_login_takes_nothing(exim: Exim, tmp_path: Path) -> None:
    before = len(exim.mails())
    config = {"host": "127.0.0.1", "port": exim.port, "from": SENDER}
    given = words("smtp", tmp_path, config | {"ca_file": str(exim.authority)})
    with channel_host(tmp_path / "host", *given) as host:
        assert sent(host, "no-login")[:2] == (422, "Rejected")
    assert len(exim.mails()) == before


def test_a_preview_shows_the_parts(failing: HostProcess, mail: Mail) -> None:
    def parts(payload: dict[str, Any]) -> dict[str, str]:
        what = failing.hand_over("preview", payload=payload)
        found: dict[str, str] = failing.client.post("/v1/preview", json=what).json()["parts"]
        return found

    shown = parts(PAYLOAD | {"from_name": "Bank"})
    assert shown == PAYLOAD | {"from": f"Bank <{SENDER}>"}
    assert "no mail" in parts({"text": "x"})["problem"]
    assert mail.whole == []


async def test_it_keeps_the_contract(failing: HostProcess, mail: Mail) -> None:
    outcomes = await conform(
        failing.url, prefix="conform-s", payload=PAYLOAD, address=ADDRESS, seconds=10
    )
    assert [one for one in outcomes if one.state == "failed"] == []
    skipped = {one.name for one in outcomes if one.state == "skipped"}
    assert skipped == {"same-key", "query", "batch", "batch-too-long", "receipt"}
    assert len(mail.whole) > 20


def test_nothing_private_is_logged(running: HostProcess, failing: HostProcess) -> None:
    for host in (running, failing):
        logged = host.logged()
        assert logged
        for hidden in (PRIVATE, ADDRESS, PASSWORD, "customer-1"):
            assert hidden not in logged


@pytest.mark.parametrize(
    ("changes", "secrets", "said"),
    [
        ({"from": None}, {}, "from"),
        ({"from": "nobody"}, {}, "no @"),
        ({"from": "a@b\r\nhidden"}, {}, "from is no address"),
        ({"host": "mail.test:25"}, {}, "host must be"),
        ({"port": 0}, {}, "$.port"),
        ({"security": "ssl"}, {}, "$.security"),
        ({"colour": "hidden"}, {}, "colour"),
        ({"hello": "a b"}, {}, "hello"),
        ({"timeout": 0}, {}, "$.timeout"),
        ({"connections": 0}, {}, "$.connections"),
        ({"ca_file": "/dev/null"}, {}, "ca_file"),
        ({}, {"username": "hidden"}, "no secret 'password'"),
        ({}, {"password": "hidden"}, "no secret 'username'"),
        ({"security": "none"}, {"username": "hidden", "password": "hidden"}, "in the clear"),
    ],
)
def test_settings_that_cannot_be_used(
    tmp_path: Path, changes: dict[str, Any], secrets: dict[str, str], said: str
) -> None:
    config = {"host": "mail.test", "from": SENDER} | changes
    config = {name: value for name, value in config.items() if value is not None}
    done = wayfare("channel", "host", *words("smtp", tmp_path, config, **secrets))
    assert done.returncode == 2
    assert said in done.stderr
    assert "hidden" not in done.stderr
