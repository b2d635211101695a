"""What the demo asks, and how it counts the answers."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from aiohttp import web
from aiohttp.test_utils import TestServer

from demo.asking import Answers, Question, caller, percentile, questions
from demo.steps import StepFailed
from wayfare_engine.resources import Journey, parse

BANK = Path(__file__).resolve().parents[3] / "examples" / "bank"


@pytest.mark.parametrize(
    ("seconds", "percent", "expected"),
    [
        ([0.004], 50, 4.0),
        ([0.001, 0.002, 0.003, 0.004], 50, 2.0),
        ([0.001 * n for n in range(1, 101)], 99, 99.0),
        ([0.003, 0.001, 0.002], 99, 3.0),
    ],
)
def test_percentiles_are_by_nearest_rank(
    seconds: list[float], percent: float, expected: float
) -> None:
    assert percentile(seconds, percent) == expected


def test_nothing_has_no_percentile() -> None:
    assert percentile([], 50) is None


def test_each_question_is_about_another_customer() -> None:
    asked = questions(customers=45_211, count=5_000)
    assert len({question.customer for question in asked}) == 5_000
    assert all(1 <= int(question.customer) <= 45_211 for question in asked)


def test_a_small_bank_is_asked_about_once_each() -> None:
    assert len(questions(customers=7, count=5_000)) == 7


def test_the_slots_asked_for_are_those_of_the_example() -> None:
    manifests = [
        parse(document) for document in yaml.safe_load_all((BANK / "journeys.yaml").read_text())
    ]
    offered = {
        node.slot.name
        for journey in manifests
        if isinstance(journey, Journey)
        for node in journey.spec.nodes or ()
        if node.slot is not None
    }
    assert {question.slot for question in questions(100, 100)} == offered
    assert len(offered) == 3


async def test_answers_and_failures_are_counted_apart() -> None:
    async def decide(request: web.Request) -> web.Response:
        body = await request.json()
        assert request.headers["Authorization"] == "Bearer k"
        if body["customer"] == "13":
            return web.json_response({"title": "unknown customer"}, status=404)
        return web.json_response({"journey": None, "node": None, "plan": "p", "content": None})

    app = web.Application()
    app.add_routes([web.post("/v1/decisions", decide)])
    async with (
        TestServer(app) as server,
        caller(str(server.make_url("")).rstrip("/"), "Bearer k") as client,
    ):
        answers = await client.ask_all([Question(str(n), "s", {}) for n in range(10, 20)])
    assert answers.failures == {"404 unknown customer": 1}
    found = answers.summary()
    assert (found["requested"], found["served"], found["errors"]) == (10, 9, 1)
    assert answers.plans() == {"p"}
    assert answers.by_slot() == {"s": {"nothing": 9}}


async def test_waiting_is_over_only_when_every_connection_says_so() -> None:
    given = iter(["old", "new", "old", "new", "new", "new", "new"])
    seen: list[str] = []

    async def decide(request: web.Request) -> web.Response:
        seen.append(next(given))
        return web.json_response({"plan": seen[-1]})

    app = web.Application()
    app.add_routes([web.post("/v1/decisions", decide)])
    async with (
        TestServer(app) as server,
        caller(str(server.make_url("")).rstrip("/"), "Bearer k") as client,
    ):
        await client.until(
            Question("1", "s", {}),
            lambda status, answer: answer["plan"] == "new",
            what="new",
            seconds=10,
            in_a_row=3,
        )
    assert seen == ["old", "new", "old", "new", "new", "new"]


async def test_waiting_in_vain_says_for_what_and_what_was_seen() -> None:
    async with caller("http://127.0.0.1:1", "Bearer k") as client:
        with pytest.raises(StepFailed, match="the new title: not within 0 s"):
            await client.until(
                Question("1", "s", {}), lambda *_: True, what="the new title", seconds=0.2
            )


def test_no_answers_name_no_question() -> None:
    assert Answers().won_by("a", "b") is None
