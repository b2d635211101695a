"""Asking an engine for decisions, over HTTP, as a channel would."""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import aiohttp

from demo.steps import StepFailed

CONCURRENCY = 16
PAGES = ("accounts", "overview", "cards")
COUNTRIES = ("PT", "PT", "PT", "ES", "BR")


@dataclass(frozen=True)
class Question:
    """One decision to ask for."""

    customer: str
    slot: str
    context: dict[str, Any]

    def body(self) -> dict[str, Any]:
        """The request's JSON."""
        return {"customer": self.customer, "slot": self.slot, "context": self.context}


@dataclass
class Answers:
    """What came back: answers with their questions, failures, seconds of each answer."""

    given: list[tuple[Question, dict[str, Any]]] = field(default_factory=list)
    failures: Counter[str] = field(default_factory=Counter)
    seconds: list[float] = field(default_factory=list)

    @property
    def requested(self) -> int:
        """How many were asked."""
        return len(self.given) + self.failures.total()

    def summary(self) -> dict[str, Any]:
        """Counts and percentiles, as build/demo.json has them."""
        return {
            "requested": self.requested,
            "served": len(self.given),
            "errors": self.failures.total(),
            "p50_ms": percentile(self.seconds, 50),
            "p99_ms": percentile(self.seconds, 99),
        }

    def plans(self) -> set[str]:
        """The plans that made the answers."""
        return {answer["plan"] for _, answer in self.given}

    def by_slot(self) -> dict[str, Counter[str]]:
        """For each slot, how often each journey won ("nothing" when none did)."""
        counted: dict[str, Counter[str]] = {}
        for question, answer in self.given:
            counted.setdefault(question.slot, Counter())[answer["journey"] or "nothing"] += 1
        return counted

    def won_by(self, journey: str, node: str) -> Question | None:
        """A question that this node of this journey answered."""
        return next((question for question, _ in self._won(journey, node)), None)

    def decision_won_by(self, journey: str, node: str) -> str | None:
        """The id of a decision that this node of this journey won."""
        return next((str(answer["decision_id"]) for _, answer in self._won(journey, node)), None)

    def _won(self, journey: str, node: str) -> Iterator[tuple[Question, dict[str, Any]]]:
        return (
            pair for pair in self.given if (pair[1]["journey"], pair[1]["node"]) == (journey, node)
        )


def percentile(seconds: Sequence[float], percent: float) -> float | None:
    """A percentile in milliseconds, by nearest rank; None of nothing."""
    if not seconds:
        return None
    ordered = sorted(seconds)
    rank = max(1, -(-len(ordered) * percent // 100))
    return round(ordered[int(rank) - 1] * 1000, 2)


def questions(customers: int, count: int, *, seed: int = 5) -> list[Question]:
    """One question for each of `count` different customers (row numbers), over three slots."""
    draw = random.Random(seed)  # noqa: S311 - which customers, not a secret
    chosen = draw.sample(range(1, customers + 1), min(count, customers))
    asked = []
    for place, customer in enumerate(chosen):
        slot = ("home-banner", "counter-screen", "app-inbox")[place % 3]
        contexts: dict[str, dict[str, Any]] = {
            "home-banner": {"page": draw.choice(PAGES)},
            "counter-screen": {"branch": draw.randint(1, 40)},
            "app-inbox": {
                "channel": "app",
                "country": draw.choice(COUNTRIES),
                "unread": draw.randint(0, 3),
            },
        }
        context = contexts[slot]
        asked.append(Question(str(customer), slot, context))
    return asked


class Caller:
    """A client of one engine."""

    def __init__(self, url: str, session: aiohttp.ClientSession) -> None:
        self._url = url
        self._session = session

    async def ask(self, question: Question) -> tuple[int, dict[str, Any]]:
        """Status and JSON of one decision request."""
        async with self._session.post(
            f"{self._url}/v1/decisions", json=question.body()
        ) as response:
            return response.status, await response.json(content_type=None)

    async def post(self, path: str, body: object) -> tuple[int, dict[str, Any]]:
        """Status and JSON of any request."""
        async with self._session.post(f"{self._url}{path}", json=body) as response:
            return response.status, await response.json(content_type=None)

    async def ask_all(
        self, asked: Iterable[Question], *, concurrency: int = CONCURRENCY
    ) -> Answers:
        """Ask them all, at most `concurrency` at a time."""
        answers = Answers()
        waiting = iter(asked)

        async def one_by_one() -> None:
            for question in waiting:
                began = time.perf_counter()
                try:
                    status, answer = await self.ask(question)
                except (aiohttp.ClientError, TimeoutError, ValueError) as error:
                    answers.failures[type(error).__name__] += 1
                    continue
                if status == 200:
                    answers.seconds.append(time.perf_counter() - began)
                    answers.given.append((question, answer))
                else:
                    answers.failures[f"{status} {answer.get('title', '')}".strip()] += 1

        await asyncio.gather(*(one_by_one() for _ in range(concurrency)))
        return answers

    async def explain(self, decision_id: str) -> dict[str, Any]:
        """The whole record of a decision."""
        async with self._session.get(f"{self._url}/v1/decisions/{decision_id}") as response:
            record: dict[str, Any] = await response.json(content_type=None)
            if response.status != 200:
                raise StepFailed(f"explaining {decision_id}: {response.status} {record}")
            return record

    async def until(
        self,
        question: Question,
        fact: Callable[[int, dict[str, Any]], bool],
        *,
        what: str,
        seconds: float,
        in_a_row: int = 24,
    ) -> float:
        """Ask until `fact` holds of `in_a_row` answers, each on a connection of its own.

        A Service spreads connections over its pods, so this means that all of them answer so.
        Returns the moment (time.monotonic) of the first of these answers. Raises StepFailed.
        """
        deadline = time.monotonic() + seconds
        held, since = 0, 0.0
        seen: object = None
        while held < in_a_row:
            moment = time.monotonic()
            if moment > deadline:
                raise StepFailed(f"{what}: not within {seconds:.0f} s; last answer: {seen}")
            try:
                async with caller(self._url, self._session.headers["Authorization"]) as fresh:
                    status, answer = await fresh.ask(question)
            except (aiohttp.ClientError, TimeoutError, ValueError) as error:
                held, seen = 0, repr(error)
                await asyncio.sleep(0.1)
                continue
            seen = (status, answer)
            if fact(status, answer):
                since = since if held else time.monotonic()
                held += 1
            else:
                held = 0
                await asyncio.sleep(0.02)
        return since


@asynccontextmanager
async def caller(url: str, authorization: str) -> AsyncIterator[Caller]:
    """A client with this Authorization header; at most CONCURRENCY connections, kept open."""
    async with aiohttp.ClientSession(
        headers={"Authorization": authorization},
        timeout=aiohttp.ClientTimeout(total=10),
        connector=aiohttp.TCPConnector(limit=CONCURRENCY),
    ) as session:
        yield Caller(url, session)
