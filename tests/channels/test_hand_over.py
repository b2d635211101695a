"""What a host starts, for how long, and what it says of it."""

from __future__ import annotations

import signal
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from tests.channels.conftest import Running
from tests.channels.scripted import SECRET
from tests.servers import web
from tests.servers.channel_host import CLOCK
from tests.servers.wait import until


def result(answer: httpx.Response) -> tuple[int, str | None]:
    return answer.status_code, answer.json().get("result")


@pytest.mark.parametrize(
    ("do", "status", "said"),
    [
        ("accept", 200, "Accepted"),
        ("reject", 422, "Rejected"),
        ("refuse", 503, "NotAccepted"),
        ("doubt", 500, None),
        ("fail", 500, None),
        ("nonsense", 500, None),
    ],
)
def test_the_answer_of_each_end(scripted: Running, do: str, status: int, said: str | None) -> None:
    assert result(scripted.host.send(f"end-{do}", payload={"do": do})) == (status, said)


def test_what_is_said_of_an_end_is_the_plugin_s_text(scripted: Running) -> None:
    assert scripted.host.send("t-1", payload={"do": "reject"}).json()["detail"] == "no such number"
    assert scripted.host.send("t-2", payload={"do": "doubt"}).json()["detail"] == "they said maybe"


def test_an_unforeseen_exception_is_told_by_its_class_only(scripted: Running) -> None:
    given = {"do": "fail", "text": "private-words"}
    answer = scripted.host.send("fail-1", payload=given, address="+49-170-1")
    assert "RuntimeError" in answer.json()["detail"]
    until(lambda: "RuntimeError" in scripted.host.logged(), what="the log line")
    for told in (answer.text, scripted.host.logged()):
        for hidden in (SECRET, "private-words", "+49-170-1"):
            assert hidden not in told
    assert "scripted.py" in scripted.host.logged(), "where it came from is said"


def late(**changes: Any) -> dict[str, Any]:
    return changes


def test_a_reading_of_another_life_is_late(scripted: Running) -> None:
    boot, _, seconds = scripted.host.reading().partition(":")
    for clock in (f"{boot[::-1]}:{seconds}", "", "x", f":{seconds}", f"{boot}:nan", f"{boot}:-1.0"):
        assert result(scripted.host.send("late-life", clock=clock)) == (408, "Late"), clock
    assert scripted.effects.of("late-life") == []


def test_a_reading_of_the_future_is_late(scripted: Running) -> None:
    boot, _, seconds = scripted.host.reading().partition(":")
    clock = f"{boot}:{float(seconds) + 100:.6f}"
    assert result(scripted.host.send("late-future", clock=clock)) == (408, "Late")
    assert scripted.effects.of("late-future") == []


def test_a_reading_that_is_older_than_what_remains_is_late(scripted: Running) -> None:
    boot, _, seconds = scripted.host.reading().partition(":")
    clock = f"{boot}:{float(seconds) - 1:.6f}"
    assert result(scripted.host.send("late-old", clock=clock, remaining=0.9)) == (408, "Late")
    assert scripted.effects.of("late-old") == []


def test_what_remains_is_at_most_what_the_host_allows(scripted: Running) -> None:
    boot, _, seconds = scripted.host.reading().partition(":")
    old = f"{boot}:{float(seconds) - 2.1:.6f}"
    assert result(scripted.host.send("late-cap", clock=old, remaining=3600)) == (408, "Late")
    assert result(scripted.host.send("capped", remaining=3600)) == (200, "Accepted")
    assert scripted.effects.remaining("capped") <= 2.0


@pytest.mark.parametrize("remaining", [0, -1, -1e300])
def test_no_time_is_late(scripted: Running, remaining: float) -> None:
    assert result(scripted.host.send("late-zero", remaining=remaining)) == (408, "Late")
    assert scripted.effects.of("late-zero") == []


def test_a_send_is_ended_when_its_time_is_over(scripted: Running) -> None:
    answer = scripted.host.send("hang", remaining=0.2, payload={"do": "hang"})
    assert result(answer) == (504, None)
    assert scripted.effects.of("hang") == ["begun"]


def test_a_send_that_does_not_end_keeps_its_slot_and_is_answered_for(own: Running) -> None:
    let_go = own.folder / "let-go"
    payload = {"do": "stay", "until": str(let_go)}
    assert result(own.host.send("stay", remaining=0.2, payload=payload)) == (504, None)
    until(lambda: "told to end" in own.effects.of("stay"), what="it was told to end")
    let_go.touch()
    until(lambda: "effect" in own.effects.of("stay"), what="its end")


def test_more_sends_than_the_host_has_room_for_are_not_accepted(scripted: Running) -> None:
    host, let_go = scripted.host, scripted.folder / "let-go"
    payload = {"do": "stay", "until": str(let_go)}
    with ThreadPoolExecutor(4) as pool:
        keys = [f"room-{number}" for number in range(4)]
        waiting = [pool.submit(host.send, key, payload=payload) for key in keys]
        until(lambda: all(scripted.effects.of(key) for key in keys), what="four sends under way")
        answer = host.send("room-none")
        let_go.touch()
        assert {result(one.result()) for one in waiting} == {(200, "Accepted")}
    assert (result(answer), answer.json()["detail"]) == ((503, "NotAccepted"), "the host is full")
    assert scripted.effects.of("room-none") == []
    assert result(host.send("room-again")) == (200, "Accepted")


def test_a_host_that_was_stopped_starts_nothing_late(own: Running) -> None:
    what = own.host.hand_over("stopped", remaining=0.3)
    answers: list[httpx.Response] = []

    def send() -> None:
        answers.append(web.post(own.host.url + "/v1/send", json=what, timeout=20))

    own.host.signal(signal.SIGSTOP)
    until(own.host.stopped, what="the stop")
    boot, _, read = what["clock"].partition(":")
    thread = threading.Thread(target=send)
    thread.start()
    until(lambda: _boottime() > float(read) + 0.4, what="its time over", every=0.02)
    own.host.signal(signal.SIGCONT)
    thread.join()
    assert result(answers[0]) == (408, "Late")
    assert own.effects.of("stopped") == []
    assert answers[0].headers[CLOCK].startswith(boot)


def _boottime() -> float:
    import time

    return time.clock_gettime(time.CLOCK_BOOTTIME)


def test_on_sigterm_sends_under_way_end_and_no_new_one_starts(own: Running) -> None:
    host, let_go = own.host, own.folder / "let-go"
    payload = {"do": "stay", "until": str(let_go)}
    with ThreadPoolExecutor(1) as pool, httpx.Client(base_url=host.url) as other:
        before = host.hand_over("new", remaining=2)
        other.get("/livez")
        waiting = pool.submit(host.send, "under-way", payload=payload)
        until(lambda: own.effects.of("under-way"), what="a send under way")
        host.signal(signal.SIGTERM)
        until(lambda: other.get("/readyz").status_code == 503, what="readiness said no")
        answer = other.post("/v1/send", json=before)
        assert other.get("/livez").status_code == 200
        let_go.touch()
        assert result(waiting.result()) == (200, "Accepted")
    assert result(answer) == (503, "NotAccepted")
    assert own.effects.of("new") == []
    assert host.exit_code() == 0


def test_on_sigterm_a_send_that_hangs_has_its_remaining_time_only(own: Running) -> None:
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(own.host.send, "h", remaining=0.5, payload={"do": "hang"})
        until(lambda: own.effects.of("h"), what="a send under way")
        own.host.signal(signal.SIGTERM)
        assert result(waiting.result()) == (504, None)
    assert own.host.exit_code() == 0


def test_a_plugin_that_goes_on_after_its_time_ends_with_the_host(own: Running) -> None:
    payload = {"do": "stay", "until": str(own.folder / "never")}
    assert result(own.host.send("on", remaining=0.2, payload=payload)) == (504, None)
    until(lambda: "told to end" in own.effects.of("on"), what="it was told to end")
    own.host.signal(signal.SIGTERM)
    assert own.host.exit_code() == 1
    assert "channel.ended_under_way" in own.host.logged()
    assert "effect" not in own.effects.of("on")


def test_each_life_of_a_host_has_a_clock_of_its_own(scripted: Running, own: Running) -> None:
    assert result(own.host.send("other", clock=scripted.host.reading())) == (408, "Late")
    first, second = scripted.host.reading(), scripted.host.reading()
    assert first.partition(":")[0] == second.partition(":")[0]
    assert float(first.partition(":")[2]) < float(second.partition(":")[2])
