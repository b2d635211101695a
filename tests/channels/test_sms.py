"""The plugin `sms`: a real host before a message centre that is not ours (jSMPP)."""

from __future__ import annotations

import base64
import json
import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from tests.channels.settings_files import words
from tests.servers.certificates import Authority
from tests.servers.channel_host import HostProcess, channel_host
from tests.servers.command import wayfare
from tests.servers.hook import Hook, running_hook
from tests.servers.ports import free_port
from tests.servers.smsc import PASSWORD, SYSTEM_ID, Smsc, running_smsc
from tests.servers.tlsfront import tls_front
from tests.servers.wait import until
from wayfare_engine.api.receipts import decode
from wayfare_engine.channels.conform import conform

NUMBER = "+4915112345678"
PRIVATE = "private words"
SECRET = "whsec_" + base64.b64encode(b"key-of-the-receipts-of-the-bank!").decode()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("sms")


@pytest.fixture(scope="module")
def peer() -> Iterator[Smsc]:
    with running_smsc() as server:
        yield server


@pytest.fixture(scope="module")
def engine() -> Iterator[Hook]:
    """What takes receipts, and checks their signatures."""
    with running_hook(SECRET) as hook:
        yield hook


def config(port: int, **changes: Any) -> dict[str, Any]:
    given = {"host": "127.0.0.1", "port": port, "system_id": SYSTEM_ID, "sender": "My Bank"}
    return given | {"security": "none"} | changes


@pytest.fixture(scope="module")
def running(peer: Smsc, engine: Hook, folder: Path) -> Iterator[HostProcess]:
    given = config(peer.port, receipts_url=f"{engine.url}/v1/receipts/bank/sms")
    options = words("sms", folder / "given", given, password=PASSWORD, receipts=SECRET)
    with channel_host(folder / "host", *options, "--log-level", "debug") as host:
        yield host


@pytest.fixture
def host(running: HostProcess) -> HostProcess:
    """The host, bound."""
    until(lambda: running.client.post("/v1/check", json={}).json()["ok"], what="a bind")
    return running


@pytest.fixture
def smsc(peer: Smsc, engine: Hook, host: HostProcess) -> Smsc:
    """The message centre and the engine, as at first."""
    peer.well()
    engine.status = 204
    engine.received.clear()
    return peer


def sent(host: HostProcess, key: str, **changes: Any) -> tuple[str | None, str]:
    """The result, None when it is in doubt, and what was said of it."""
    answer = host.send(key, **({"address": NUMBER, "payload": {"text": PRIVATE}} | changes))
    assert PRIVATE not in answer.text
    assert NUMBER[1:] not in answer.text
    said = answer.json()
    return said.get("result"), said.get("detail", "")


def test_a_text_arrives(host: HostProcess, smsc: Smsc) -> None:
    answer = host.send("a-1", address=NUMBER, payload={"text": "Grüße {€}\n@"}).json()
    (got,) = smsc.submits()
    assert (answer["result"], answer["provider_id"]) == ("Accepted", got.id)
    assert (got.source, got.to) == ("My_Bank/5/0", f"{NUMBER[1:]}/1/1")
    assert (got.esm, got.coding, got.receipt) == (0, 0, 1)
    # 3GPP TS 23.038: ü 0x7E, ß 0x1E, { 0x1B28, € 0x1B65, } 0x1B29, @ 0x00.
    assert got.short == b"Gr\x7e\x1ee \x1b\x28\x1b\x65\x1b\x29\n\x00"


@pytest.mark.parametrize("text", ["您好", "Zażółć", "smile 😀", "`"])
def test_what_the_gsm_alphabet_lacks_is_ucs_2(host: HostProcess, smsc: Smsc, text: str) -> None:
    assert sent(host, "ucs", payload={"text": text})[0] == "Accepted"
    (got,) = smsc.submits()
    assert (got.coding, got.short.decode("utf-16-be")) == (8, text)


@pytest.mark.parametrize(
    ("text", "lengths"),
    [
        ("x" * 160, [160]),
        ("x" * 161, [153, 8]),
        ("€" * 80, [160]),
        # An escape and what follows it stay together: 152 of 153 are used.
        ("€" * 81, [152, 10]),
        ("您" * 70, [140]),
        ("您" * 71, [134, 8]),
        # So do the two halves of a pair.
        ("😀" * 36, [132, 12]),
        ("x" * 153 * 6, [153] * 6),
    ],
)
def test_a_long_text_goes_out_in_parts(
    host: HostProcess, smsc: Smsc, text: str, lengths: list[int]
) -> None:
    answer = host.send("long", address=NUMBER, payload={"text": text}).json()
    assert answer["result"] == "Accepted"
    got = smsc.submits()
    assert answer["provider_id"] == got[-1].id
    assert [one.receipt for one in got] == [0] * (len(got) - 1) + [1], "the last one's counts"
    if len(lengths) == 1:
        assert [(one.esm, len(one.short)) for one in got] == [(0, lengths[0])]
        return
    assert [len(one.short) - 6 for one in got] == lengths
    assert {one.esm for one in got} == {0x40}
    reference = got[0].short[3]
    for number, one in enumerate(got, 1):
        assert one.short[:6] == bytes([5, 0, 3, reference, len(got), number])
    whole = b"".join(one.short[6:] for one in got)
    if got[0].coding == 8:
        assert whole.decode("utf-16-be") == text
    else:
        assert whole == text.replace("€", "\x1b\x65").encode("ascii")


def test_texts_in_parts_are_told_apart(host: HostProcess, smsc: Smsc) -> None:
    for number in range(3):
        assert sent(host, f"reference-{number}", payload={"text": "x" * 200})[0] == "Accepted"
    assert len({one.short[3] for one in smsc.submits()}) == 3


def test_a_long_text_as_message_payload(smsc: Smsc, tmp_path: Path) -> None:
    given = config(smsc.port, long="payload")
    with channel_host(tmp_path / "host", *words("sms", tmp_path, given, password=PASSWORD)) as host:
        assert sent(host, "payload", payload={"text": "x" * 400})[0] == "Accepted"
        assert sent(host, "short")[0] == "Accepted"
    first, second = smsc.submits()
    assert (first.esm, first.short, first.payload) == (0, b"", b"x" * 400)
    assert (second.short, second.payload) == (PRIVATE.encode(), b"")
    assert (first.receipt, second.receipt) == (0, 0), "nobody is there to be told"


@pytest.mark.parametrize(
    ("sender", "source"),
    [("+4930123456", "4930123456/1/1"), ("32100", "32100/3/0"), ("Bank & Co", "Bank_&_Co/5/0")],
)
def test_who_sends(smsc: Smsc, tmp_path: Path, sender: str, source: str) -> None:
    given = config(smsc.port, sender=sender)
    with channel_host(tmp_path / "host", *words("sms", tmp_path, given, password=PASSWORD)) as host:
        assert sent(host, "from")[0] == "Accepted"
    assert [one.source for one in smsc.submits()] == [source]


@pytest.mark.parametrize(
    "address",
    [
        None,
        "",
        "015112345678",
        "+0151",
        "+49 151 1",
        "+4915112345678901",
        "+49151x",
        "+4915112345\n",
    ],
)
def test_a_number_that_is_none_is_refused(
    host: HostProcess, smsc: Smsc, address: str | None
) -> None:
    result, said = sent(host, "number", address=address)
    assert (result, "the number is none" in said) == ("Rejected", True)
    assert not address or address not in said
    assert smsc.submits() == []


@pytest.mark.parametrize("payload", [{}, {"text": ""}, {"text": 7}, {"text": "x" * 153 * 7}])
def test_a_payload_that_is_no_text_is_refused(
    host: HostProcess, smsc: Smsc, payload: dict[str, Any]
) -> None:
    result, said = sent(host, "payload", payload=payload)
    assert (result, "the payload is no text" in said) == ("Rejected", True)
    assert smsc.submits() == []


@pytest.mark.parametrize(
    ("status", "wanted"),
    [
        (0x58, "NotAccepted"),  # throttled
        (0x14, "NotAccepted"),  # queue full
        (0x64, "NotAccepted"),  # temporary
        (0x45, "NotAccepted"),  # submit failed
        (0x0A, "NotAccepted"),  # our own address
        (0x0B, "Rejected"),  # the destination
        (0x01, "Rejected"),  # the length
        (0x66, "Rejected"),  # refused by the application
        (0x08, None),  # system error
        (0xFF, None),  # unknown
    ],
)
def test_what_each_status_means(
    host: HostProcess, smsc: Smsc, status: int, wanted: str | None
) -> None:
    smsc.tell("status", status)
    result, said = sent(host, f"status-{status}")
    assert result == wanted
    assert f"0x{status:08X}" in said
    assert len(smsc.submits()) == 1


def test_statuses_of_the_provider_s_own(smsc: Smsc, tmp_path: Path) -> None:
    given = config(smsc.port, rejected=[0x401], not_accepted=[0x0B])
    with channel_host(tmp_path / "host", *words("sms", tmp_path, given, password=PASSWORD)) as host:
        for status, wanted in ((0x401, "Rejected"), (0x0B, "NotAccepted")):
            smsc.tell("status", status)
            assert sent(host, f"own-{status}")[0] == wanted


def test_a_text_of_which_a_part_was_accepted_is_in_doubt(host: HostProcess, smsc: Smsc) -> None:
    smsc.tell("after", 2)
    smsc.tell("status", 0x0B)
    result, said = sent(host, "parts", payload={"text": "x" * 400})
    assert result is None
    assert "2 of its 3 parts" in said
    smsc.well()
    smsc.tell("status", 0x58)
    assert sent(host, "none-of-it", payload={"text": "x" * 400})[0] == "NotAccepted"
    assert len(smsc.submits()) == 1, "after a refusal no other part is sent"


def test_no_response_in_time_is_in_doubt(host: HostProcess, smsc: Smsc) -> None:
    smsc.tell("hold")
    assert sent(host, "silent", remaining=0.5)[0] is None
    assert len(smsc.submits()) == 1
    smsc.tell("release")
    # The response that came too late is nobody else's.
    answer = host.send("after", address=NUMBER, payload={"text": "after"}).json()
    assert answer["provider_id"] == smsc.submits()[1].id


def test_no_place_in_the_window_is_not_accepted(smsc: Smsc, tmp_path: Path) -> None:
    given = config(smsc.port, window=2)
    options = words("sms", tmp_path, given, password=PASSWORD)
    with channel_host(tmp_path / "host", *options) as host, ThreadPoolExecutor(2) as others:
        smsc.tell("hold")
        first = [others.submit(sent, host, f"first-{n}", remaining=4.0) for n in range(2)]
        until(lambda: len(smsc.submits()) == 2, what="a full window")
        assert sent(host, "third", remaining=0.5)[0] == "NotAccepted"
        smsc.tell("release")
        assert [one.result()[0] for one in first] == ["Accepted"] * 2
    assert len(smsc.submits()) == 2


def test_a_connection_that_ends_leaves_what_was_sent_in_doubt_and_is_made_again(
    host: HostProcess, smsc: Smsc
) -> None:
    smsc.tell("hold")
    with ThreadPoolExecutor(1) as others:
        under_way = others.submit(sent, host, "cut", remaining=4.0)
        until(lambda: len(smsc.submits()) == 1, what="a submit")
        smsc.tell("drop")
        assert under_way.result()[0] is None
    smsc.tell("release")
    until(lambda: sent(host, "again")[0] == "Accepted", what="a new bind")
    assert len(smsc.submits()) >= 2


def test_a_message_centre_that_is_killed_and_comes_back(folder: Path, tmp_path: Path) -> None:
    with running_smsc() as smsc:
        given = config(smsc.port, enquire=0.2)
        options = words("sms", tmp_path, given, password=PASSWORD)
        with channel_host(tmp_path / "host", *options) as host:
            until(lambda: sent(host, "before")[0] == "Accepted", what="a bind")
            until(lambda: smsc.said.count("enquired") >= 2, what="enquiries")
            smsc.kill()
            until(lambda: not host.client.post("/v1/check", json={}).json()["ok"], what="the end")
            result, said = sent(host, "away")
            assert result == "NotAccepted"
            assert "no bind" in said
            smsc.submitted.clear()
            smsc.start()
            until(lambda: sent(host, "back")[0] == "Accepted", what="a new bind")
        assert len(smsc.submits()) == 1


def test_a_message_centre_that_hangs_is_left(tmp_path: Path) -> None:
    """The process is stopped: its connection stays, and no enquiry is answered."""
    with running_smsc() as smsc:
        given = config(smsc.port, enquire=0.2, timeout=0.5)
        options = words("sms", tmp_path, given, password=PASSWORD)
        with channel_host(tmp_path / "host", *options) as host:
            until(lambda: sent(host, "before")[0] == "Accepted", what="a bind")
            assert smsc._process is not None
            smsc._process.send_signal(signal.SIGSTOP)
            try:
                until(lambda: sent(host, "hangs")[0] == "NotAccepted", what="the end of the bind")
            finally:
                smsc._process.send_signal(signal.SIGCONT)
            until(lambda: sent(host, "back")[0] == "Accepted", what="a new bind")


@pytest.mark.parametrize(
    ("password", "refusal", "said"),
    [("wrong", 0, "0x0000000E"), (PASSWORD, 0x0D, "0x0000000D")],
)
def test_a_bind_that_is_refused_is_not_accepted(
    smsc: Smsc, tmp_path: Path, password: str, refusal: int, said: str
) -> None:
    smsc.tell("bind", refusal)
    options = words("sms", tmp_path, config(smsc.port), password=password)
    with channel_host(tmp_path / "host", *options) as host:
        result, detail = sent(host, "refused")
        assert (result, said in detail) == ("NotAccepted", True)
        check = host.client.post("/v1/check", json={}).json()
        assert check["ok"] is False
        assert "the bind was refused" in check["problem"]
        assert "wrong" not in host.logged() + detail
    assert smsc.submits() == []


def test_nobody_there_is_not_accepted(tmp_path: Path) -> None:
    options = words("sms", tmp_path, config(free_port()), password=PASSWORD)
    with channel_host(tmp_path / "host", *options) as host:
        assert sent(host, "nobody")[0] == "NotAccepted"


def test_tls_is_checked_against_the_given_authority(smsc: Smsc, tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    certificate = authority.issue("server", user="smsc", server=True)
    with tls_front(smsc.port, certificate) as port:
        for name, ca_file, wanted in (
            ("trusting", str(authority.certificate), "Accepted"),
            ("doubting", None, "NotAccepted"),
        ):
            given = config(port, security="tls") | ({"ca_file": ca_file} if ca_file else {})
            options = words("sms", tmp_path / name, given, password=PASSWORD)
            with channel_host(tmp_path / name / "host", *options) as host:
                result, said = sent(host, name)
                assert result == wanted
                assert ca_file or "not trusted" in said
    assert len(smsc.submits()) == 1


@pytest.mark.parametrize(
    ("line", "state", "detail"),
    [
        ("receipt {} sub:001 dlvrd:001 stat:DELIVRD err:000 text:hello", "delivered", None),
        ("receipt {} stat:EXPIRED err:000", "expired", None),
        ("receipt {} stat:UNDELIV err:04f", "failed", "err:04f"),
        ("receipt {} stat:REJECTD err:0", "failed", None),
        ("receipt {} stat:ACCEPTD", "accepted", None),
        ("typed {} 2", "delivered", None),
        ("typed {} 3", "expired", None),
    ],
)
def test_a_receipt_is_told_to_the_engine_signed(
    host: HostProcess, smsc: Smsc, engine: Hook, line: str, state: str, detail: str | None
) -> None:
    name = host.send("told", address=NUMBER, payload={"text": "x"}).json()["provider_id"]
    smsc.tell(line.format(name))
    assert smsc.answered(1) == ["0"]
    (call,) = engine.received
    assert (call.path, call.signed_by) == ("/v1/receipts/bank/sms", [SECRET])
    (receipt,) = decode(json.dumps(call.body).encode(), "bank/sms", datetime.now(UTC))
    assert (receipt.provider_id, receipt.state) == (name, state)
    assert receipt.detail == (detail or "")


def test_a_receipt_that_the_engine_does_not_take_stays_with_the_message_centre(
    host: HostProcess, smsc: Smsc, engine: Hook
) -> None:
    engine.status = 503
    smsc.tell("receipt m-7 stat:DELIVRD err:000")
    assert smsc.answered(1) == [str(0x64)], "deliver it again later"
    assert len(engine.received) > 1, "it was tried more than once"
    engine.status = 204
    smsc.tell("receipt m-7 stat:DELIVRD err:000")
    assert smsc.answered(2)[1] == "0"


def test_many_receipts_are_told_in_few_calls(host: HostProcess, smsc: Smsc, engine: Hook) -> None:
    engine.status = 503
    for number in range(50):
        smsc.tell(f"receipt many-{number} stat:DELIVRD err:000")
    until(lambda: engine.received, what="a first try")
    engine.received.clear()
    engine.status = 204
    assert set(smsc.answered(50)) == {"0"}
    calls = [
        decode(json.dumps(c.body).encode(), "bank/sms", datetime.now(UTC)) for c in engine.received
    ]
    told = [one.provider_id for call in calls for one in call]
    assert {f"many-{number}" for number in range(50)} <= set(told)
    assert len(engine.received) < 25


def test_what_is_no_receipt_is_taken_and_told_to_nobody(
    host: HostProcess, smsc: Smsc, engine: Hook
) -> None:
    smsc.tell("text STOP")
    smsc.tell("receipt m-8 stat:UNKNOWN err:000")
    smsc.tell("receipt m-9 nonsense")
    assert smsc.answered(3) == ["0", "0", "0"]
    assert engine.received == []


def test_the_bind_is_there_before_the_first_send(smsc: Smsc, tmp_path: Path) -> None:
    """What was delivered while no host was there comes when one is, and not when one sends."""
    options = words("sms", tmp_path, config(smsc.port), password=PASSWORD)
    with channel_host(tmp_path / "host", *options):
        until(lambda: "bound BIND_TRX" in smsc.said, what="a bind")
    assert smsc.submits() == []


def test_a_preview_says_how_many_messages_it_is(host: HostProcess, smsc: Smsc) -> None:
    def parts(**payload: Any) -> dict[str, str]:
        what = host.hand_over("preview", payload=payload)
        found: dict[str, str] = host.client.post("/v1/preview", json=what).json()["parts"]
        return found

    assert parts(text="x" * 161) == {"text": "x" * 161, "alphabet": "GSM", "messages": "2"}
    assert parts(text="您") == {"text": "您", "alphabet": "UCS-2", "messages": "1"}
    assert "no part text" in parts()["problem"]
    assert smsc.submits() == []


async def test_it_keeps_the_contract(host: HostProcess, smsc: Smsc) -> None:
    outcomes = await conform(
        host.url, prefix="conform-m", payload={"text": "x"}, address=NUMBER, seconds=10
    )
    assert [one for one in outcomes if one.state == "failed"] == []
    skipped = {one.name for one in outcomes if one.state == "skipped"}
    assert skipped == {"same-key", "query", "batch", "batch-too-long"}
    assert len(smsc.submits()) > 20


def test_nothing_private_is_logged(host: HostProcess, smsc: Smsc) -> None:
    logged = host.logged()
    assert "smpp.bound" in logged
    for hidden in (PRIVATE, NUMBER[1:], PASSWORD, SECRET[6:], "customer-1"):
        assert hidden not in logged


@pytest.mark.parametrize(
    ("changes", "secrets", "said"),
    [
        ({}, {}, "'password'"),
        ({}, {"password": "hidden words"}, "the secret password"),
        ({"sender": "a name that is hidden"}, {"password": "x"}, "sender"),
        ({"host": "smsc:2775"}, {"password": "x"}, "host must be"),
        ({"system_id": "a b"}, {"password": "x"}, "system_id"),
        ({"colour": "hidden"}, {"password": "x"}, "colour"),
        ({"long": "sar"}, {"password": "x"}, "$.long"),
        ({"parts": 256}, {"password": "x"}, "$.parts"),
        ({"rejected": [88], "not_accepted": [88]}, {"password": "x"}, "status 88"),
        ({"receipts_url": "ftp://hidden"}, {"password": "x", "receipts": SECRET}, "receipts_url"),
        ({"receipts_url": "http://engine/"}, {"password": "x"}, "'receipts'"),
        ({"receipts_url": "http://e/"}, {"password": "x", "receipts": "hidden"}, "whsec_"),
        ({}, {"password": "x", "receipts": "hidden"}, "no receipts_url"),
        ({"ca_file": "/dev/null", "security": "tls"}, {"password": "x"}, "ca_file"),
    ],
)
def test_settings_that_cannot_be_used(
    tmp_path: Path, changes: dict[str, Any], secrets: dict[str, str], said: str
) -> None:
    given = config(2775) | changes
    done = wayfare("channel", "host", *words("sms", tmp_path, given, **secrets))
    assert done.returncode == 2
    assert said in done.stderr
    assert "hidden" not in done.stderr
