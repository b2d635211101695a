"""5,000 sends over two channels; half way one of them hangs, and later goes on.

What is told comes from three sides: the receiver's own record, the engine's ledger, and decisions
that are asked for all the while.
"""

from __future__ import annotations

import asyncio
import base64
import json
import secrets
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp

from demo import outside
from demo.asking import Answers, Caller, Question, percentile
from demo.cluster import ENGINE, NAMESPACE, Cluster
from demo.steps import StepFailed, Steps

HERE = Path(__file__).parent
SENDS = 5_000
SLOT = "push-box"
_BATCH = 500
_HANGS_SECONDS = 15.0
_ALL_SECONDS = 300.0
#: Decisions asked for at the same time, while the sends go out.
_ASKERS = 4


@dataclass
class Fault:
    """When the channel hung, and when decisions knew."""

    began: float
    known_after: float | None = None


def set_up(cluster: Cluster, image: str, steps: Steps, *, beside_lab: bool) -> None:
    """The receiver, and the channels that lead to it; returns when all are ready."""
    if beside_lab:
        outside.begin(steps)
        outside.declare(cluster, steps)
    else:
        outside.declare_pod(cluster, image)
    declare(cluster)
    cluster.wait_ready("channels.wayfare.dev", "journeys.wayfare.dev")


def declare(cluster: Cluster) -> None:
    """Apply the channels, with a key to sign with."""
    if not cluster.kubectl(
        *("get", "secret", "campaign", "-n", NAMESPACE, "--ignore-not-found", "-o", "name")
    ):
        key = "whsec_" + base64.b64encode(secrets.token_bytes(32)).decode()
        secret = {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": "campaign", "namespace": NAMESPACE},
            "stringData": {"signing": key},
        }
        cluster.kubectl("create", "-f", "-", stdin=json.dumps(secret), secret=True)
    cluster.kubectl("apply", "-f", str(HERE / "channels.yaml"))


async def run(
    cluster: Cluster,
    client: Caller,
    customers: int,
    steps: Steps,
    *,
    beside_lab: bool,
    sends: int = SENDS,
) -> dict[str, Any]:
    """Send, hang, go on, and count; what build/demo.json has as `channels`. Raises StepFailed."""
    with outside.url_of(cluster, beside_lab=beside_lab) as receiver:
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=10)) as session:
            campaign = Campaign(cluster, client, customers, steps, session, receiver, sends)
            return await campaign.run()


class Campaign:
    """One run."""

    def __init__(
        self,
        cluster: Cluster,
        client: Caller,
        customers: int,
        steps: Steps,
        session: aiohttp.ClientSession,
        receiver: str,
        sends: int,
    ) -> None:
        self._cluster = cluster
        self._client = client
        self._customers = customers
        self._steps = steps
        self._session = session
        self._receiver = receiver
        self._sends = sends
        self._entry = secrets.token_hex(4)

    async def run(self) -> dict[str, Any]:
        """All of it."""
        with self._steps.step("a campaign of sends") as note:
            await self._until_known(_all_closed, 60)
            earlier = await self._standings()
            idle = await self._decide_for(5.0)
            planned = await self._plan()
            before = await self._decide_until(lambda r: _taken(r) >= self._sends // 2)
            note.text = f"{planned:,} planned, half of them sent"
        with self._steps.step("one channel hangs") as note:
            # What opens from here on opens because of the fault.
            await self._until_known(_all_closed, 60)
            await self._mode("hang")
            fault = Fault(time.monotonic())
            during = await self._during(fault)
            await self._mode("serve")
            note.text = f"decisions knew after {fault.known_after or float('nan'):.1f} s"
        with self._steps.step("and goes on") as note:
            now = await self._ended()
            ends = {end: now.get(end, 0) - earlier.get(end, 0) for end in now}
            record = await self._record()
            note.text = f"{ends.get('accepted', 0):,} accepted, {ends.get('unknown', 0)} unknown"
        unique = record["push"]["effects"] + record["mail"]["effects"] - len(record["both"])
        through_mail = record["mail"]["effects"] - self._sends // 2
        calm = percentile([*idle.seconds, *before.seconds], 99)
        faulty = percentile(during.seconds, 99)
        result = {
            "sent": ends.get("accepted", 0),
            "unique_at_receiver": unique,
            "duplicates": len(record["both"]),
            "repeats_dropped_by_receiver": record["push"]["repeats"] + record["mail"]["repeats"],
            "unknown": ends.get("unknown", 0),
            "fallback_used": through_mail,
            "decisions_without_a_channel_before_fault": sum(
                not _all_closed(answer) for _, answer in before.given
            ),
            "breaker_opened_after_s": fault.known_after and round(fault.known_after, 2),
            "decision_p99_ratio_during_fault": round(faulty / calm, 2) if calm and faulty else None,
        }
        failed = idle.failures + before.failures + during.failures
        if failed:
            raise StepFailed(f"decisions failed during the campaign: {dict(failed)}")
        return result

    async def _plan(self) -> int:
        """Every other customer by push, the rest by mail; how many were planned."""
        planned = 0
        for start in range(0, self._sends, _BATCH):
            body = [
                {
                    "channel": f"{NAMESPACE}/{'push' if number % 2 else 'mail'}",
                    "customer_id": str(number % self._customers + 1),
                    "key": f"{self._entry}-{number}",
                    "content": {"text": f"An offer for you, number {number}"},
                }
                for number in range(start, min(start + _BATCH, self._sends))
            ]
            status, answer = await self._client.post("/v1/sends", body)
            if status != 200:
                raise StepFailed(f"planning sends: {status} {answer}")
            planned += len(answer["sends"])
        return planned

    async def _mode(self, mode: str) -> None:
        async with self._session.post(f"{self._receiver}/mode/push?{mode}") as response:
            if response.status != 200:
                raise StepFailed(f"the receiver: {response.status}")

    async def _record(self) -> dict[str, Any]:
        async with self._session.get(f"{self._receiver}/record") as response:
            record: dict[str, Any] = await response.json()
            return record

    async def _decide_for(self, seconds: float) -> Answers:
        end = time.monotonic() + seconds
        return await self._decide(lambda: time.monotonic() < end)

    async def _decide_until(self, fact: Any) -> Answers:
        going = True
        asked = asyncio.create_task(self._decide(lambda: going))
        deadline = time.monotonic() + _ALL_SECONDS
        try:
            while not fact(await self._record()):
                if time.monotonic() > deadline:
                    raise StepFailed(f"the sends stand still: {await self._record()}")
                await asyncio.sleep(0.2)
        finally:
            going = False
            answers = await asked
        return answers

    async def _during(self, fault: Fault) -> Answers:
        end = fault.began + _HANGS_SECONDS

        async def knows() -> None:
            while time.monotonic() < end:
                status, answer = await self._client.ask(self._question(0))
                if status == 200 and answer["open_channels"]:
                    fault.known_after = time.monotonic() - fault.began
                    return
                await asyncio.sleep(0.05)

        answers, _ = await asyncio.gather(self._decide(lambda: time.monotonic() < end), knows())
        return answers

    async def _decide(self, going: Any) -> Answers:
        """Ask steadily while `going()`."""
        answers = Answers()

        async def asker(first: int) -> None:
            number = first
            while going():
                some = await self._client.ask_all([self._question(number)], concurrency=1)
                answers.given.extend(some.given)
                answers.seconds.extend(some.seconds)
                answers.failures.update(some.failures)
                number += _ASKERS
                await asyncio.sleep(0.01)

        await asyncio.gather(*(asker(first) for first in range(_ASKERS)))
        return answers

    def _question(self, number: int) -> Question:
        return Question(str(number % self._customers + 1), SLOT, {})

    async def _until_known(self, fact: Any, seconds: float) -> None:
        deadline = time.monotonic() + seconds
        while True:
            status, answer = await self._client.ask(self._question(0))
            if status == 200 and fact(answer):
                return
            if time.monotonic() > deadline:
                raise StepFailed(f"decisions for {SLOT}: {status} {answer}")
            await asyncio.sleep(0.2)

    async def _ended(self) -> dict[str, int]:
        """Wait until every send has ended; how many of all there ever were ended how."""
        deadline = time.monotonic() + _ALL_SECONDS
        while True:
            found = await self._standings()
            if not found.get("planned") and not found.get("in_doubt"):
                return found
            if time.monotonic() > deadline:
                raise StepFailed(f"sends did not end within {_ALL_SECONDS:.0f} s: {found}")
            await asyncio.sleep(1.0)

    async def _standings(self) -> dict[str, int]:
        """As the engine's ledger has them."""
        found: dict[str, int] = json.loads(
            await asyncio.to_thread(
                self._cluster.kubectl,
                *("-n", NAMESPACE, "exec", f"deploy/{ENGINE}-worker", "-c", "worker", "--"),
                *("wayfare", "sends", "status", "--json"),
            )
        )
        return found


def _all_closed(answer: dict[str, Any]) -> bool:
    return not answer["open_channels"]


def _taken(record: dict[str, Any]) -> int:
    return int(record["push"]["effects"]) + int(record["mail"]["effects"])
