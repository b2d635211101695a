"""The engine's real processes over real stores, with channels whose hosts are under test."""

from __future__ import annotations

import json
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Literal

import httpx
import psycopg

from tests.channels.conftest import install
from tests.engine.plans import CUSTOMERS, SCHEMA, journey, resource, segment, write_customers
from tests.misbehaving import raw
from tests.misbehaving.keeper import Kept, on_cores
from tests.misbehaving.plugins import ENTRIES
from tests.misbehaving.records import Folder
from tests.servers import web
from tests.servers.command import clean_environment
from tests.servers.engine import EngineProcess, EngineProcesses
from tests.servers.ports import free_port
from tests.servers.postgresql import running_postgresql
from tests.servers.valkey import PASSWORD, running_valkey
from tests.servers.wait import until
from wayfare_engine.cli import application
from wayfare_engine.clock import new_id
from wayfare_engine.outbox import Origin, PlannedSend, plan_send
from wayfare_engine.plan import Plan, PlanChannel, compile_plan
from wayfare_engine.resources import spec_digest

#: H of all processes here: short, because what is in doubt is waited for.
HAND_OVER_SECONDS = 1.5
BREAKER: dict[str, Any] = {
    "window": "10s",
    "minimumCalls": 5,
    "openFor": "1s",
    "longestOpen": "2s",
    "trialCalls": 1,
}
#: Refusals never end a send here: what is asked is whether it gets there.
RETRY = {"initialDelay": "200ms", "maxDelay": "1s", "attempts": 20, "giveUpAfter": "1h"}
_MEMORY = 400 * 1024**2

Program = Literal["plugin", "raw", "sink"]


@dataclass
class Bad:
    """A channel and its host: a plugin in `wayfare channel host`, or the raw program."""

    name: str
    program: Program
    dedupe: Literal["Key", "None"]
    port: int
    folder: Folder
    kept: Kept
    log: Path

    @property
    def channel(self) -> str:
        """Its name in the plan."""
        return f"default/{self.name}"

    @property
    def url(self) -> str:
        """Where its host is."""
        return f"http://127.0.0.1:{self.port}"


class Processes(EngineProcesses):
    """Engine processes on cores of their own: `serve` on the one, the others on the other."""

    def __init__(
        self, dsn: str, folder: Path, *, valkey: str, environment: Mapping[str, str], pinned: bool
    ) -> None:
        super().__init__(dsn, folder, valkey=valkey, valkey_password=PASSWORD)
        self._environment |= environment
        self._pinned = pinned

    def start(self, command: str, **environment: str) -> EngineProcess:
        """See `EngineProcesses.start`."""
        serving, others = cores() if self._pinned else (None, None)
        with on_cores(serving if command == "serve" else others):
            return super().start(command, **environment)


def cores() -> tuple[set[int], set[int]]:
    """That of `serve`, and all others; the same one where there is one only."""
    first, *others = sorted(os.sched_getaffinity(0))
    return {first}, set(others) or {first}


@dataclass
class Stage:
    """What runs. `secrets` is a folder that every plugin's host is given."""

    dsn: str
    folder: Path
    processes: Processes
    others: set[int] | None
    packages: Path
    secrets: Path
    workers: list[EngineProcess] = field(default_factory=list)
    serve: EngineProcess | None = None
    client: httpx.Client = field(default_factory=httpx.Client)
    channels: dict[str, Bad] = field(default_factory=dict)
    _open: ExitStack = field(default_factory=ExitStack)

    def host(
        self, name: str, program: Program, dedupe: Literal["Key", "None"] = "None", seed: int = 1
    ) -> Bad:
        """Start a host, kept running; `seed` is the raw program's."""
        folder = Folder(self.folder / name)
        folder.switch("")
        port, log = free_port(), self.folder / f"host-{name}.log"
        config = self.folder / f"{name}.json"
        target: Callable[..., None]
        given: tuple[Any, ...]
        if program == "raw":
            target, given = raw.serve, (port, folder.path, dedupe, seed)
        else:
            plugin = "sink" if program == "sink" else f"misbehaving-{dedupe.lower()}"
            at = {"file": str(folder.path / "effects")} if program == "sink" else {}
            config.write_text(json.dumps(at or {"folder": str(folder.path)}))
            words = (
                *("channel", "host", "--plugin", plugin, "--config", str(config)),
                *("--port", str(port), "--secrets-dir", str(self.secrets)),
                *("--hand-over-seconds", str(HAND_OVER_SECONDS)),
            )
            target, given = _host, (words, str(self.packages))
        kept = Kept(target, *given, log=log, memory=_MEMORY, cores=self.others)
        self._open.callback(kept.stop)
        bad = Bad(name, program, dedupe, port, folder, kept, log)
        self.channels[bad.channel] = bad
        return bad

    def start(self, *, workers: int = 1, serve: bool = True) -> None:
        """Start the engine, over three customers where somebody decides about them."""
        if serve:
            file = write_customers(self.folder / "customers.csv", CUSTOMERS)
            done = self.processes.run(
                "import", "customers", str(file), "--id", "id", "--type", "balance=double"
            )
            assert done.returncode == 0, done.stderr.decode()
        self.workers = [self.processes.start("worker") for _ in range(workers)]
        self.serve = self.processes.start("serve") if serve else None
        for worker in self.workers:
            worker.wait_ready()

    def publish(self, *channels: tuple[str, PlanChannel]) -> Plan:
        """A plan with these channels; waits until it is served and every channel runs."""
        plan = plan_of(dict(channels))
        answer = self.processes.publish(self.workers[0], plan)
        assert answer.status_code == 204, answer.text
        if self.serve is not None:
            self._served(self.serve, plan)

        def run() -> bool:
            return {name for name, said in self.told().items() if said["problem"] is None} == {
                name for name, _ in channels
            }

        until(run, seconds=60, what="every channel runs")
        return plan

    def _served(self, serve: EngineProcess, plan: Plan) -> None:
        serve.wait_ready()
        url = serve.url
        until(lambda: web.get(url + "/readyz").json()["plan"] == plan.digest, what="it is served")
        self.client.close()
        self.client = httpx.Client(
            base_url=url, headers={"Authorization": f"Bearer {self.processes.key()}"}, timeout=10
        )
        until(lambda: self.client.get("/v1/decisions/x").status_code == 404, what="the key")

    def way(self, bad: Bad, **spec: Any) -> tuple[str, PlanChannel]:
        """As the operator puts its Channel into the plan."""
        given = {
            "medium": "SMS",
            "plugin": {"name": bad.name, "url": bad.url},
            "breaker": BREAKER,
            "retry": RETRY,
            **spec,
        }
        made = resource("Channel", bad.name, given)
        body = made.spec.model_dump(mode="json", by_alias=True, exclude_none=True)
        return bad.channel, PlanChannel(url=bad.url, digest=spec_digest(made.spec), spec=body)

    def told(self) -> dict[str, dict[str, Any]]:
        """What the control API says of channels, by name."""
        answer = web.get(
            f"{self.workers[0].url}/control/v1/status",
            headers={"Authorization": f"Bearer {self.processes.signer.token()}"},
            timeout=10,
        )
        return {each["name"]: each for each in answer.json()["channels"]}

    def decide(self) -> dict[str, Any]:
        """A decision for anna, in the slot that every channel has an offer in."""
        answer = self.client.post("/v1/decisions", json={"customer": "anna", "slot": "home-banner"})
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found

    def plan_sends(
        self, channel: str, count: int, entry: str, *, payload: str = '{"text": "hello"}'
    ) -> list[str]:
        """Plan sends, one for each of so many customers of the channel's own; their keys."""
        sends = planned(channel, count, entry, payload=payload)
        with psycopg.connect(self.dsn, autocommit=True) as connection:
            plan_send(connection, sends, Origin("east", 1, new_id, lambda: datetime.now(UTC)))
        return [send.key for send in sends]

    def outcomes(self, channel: str | None = None) -> dict[str, str | None]:
        """Send key to outcome, of one channel's planned sends or all; in doubt is None."""
        with psycopg.connect(self.dsn) as connection:
            found = connection.execute(
                "SELECT send_key, CASE WHEN attempt > outcome_attempt THEN NULL ELSE outcome END "
                "FROM wayfare.outbox WHERE %s::text IS NULL OR channel = %s",
                (channel, channel),
            ).fetchall()
        return dict(found)

    def ended(self, channel: str | None = None) -> bool:
        """Whether each send has an outcome that is final."""
        final = ("Accepted", "Rejected", "Unknown", "Expired")
        return all(outcome in final for outcome in self.outcomes(channel).values())

    def logs(self) -> list[dict[str, Any]]:
        """Every line of the workers' logs."""
        return [
            json.loads(line)
            for worker in self.workers
            for line in worker.log.read_text().splitlines()
            if line.startswith("{")
        ]


def _host(words: tuple[str, ...], packages: str) -> None:
    """Become `wayfare WORDS`, with the packages of a folder installed."""
    given = clean_environment({})
    os.environ.clear()
    os.environ.update(given)
    sys.path[:0] = [packages]
    sys.exit(application.run(words))


def planned(
    channel: str, count: int, entry: str, *, each: int = 1, payload: str = '{"text": "hello"}'
) -> list[PlannedSend]:
    """So many sends, `each` a customer, of whom every next one is due a millisecond later."""
    now = datetime.now(UTC)
    return [
        PlannedSend(
            journey="api",
            customer=f"{channel}-{entry}-{number // each}",
            entry_key=entry,
            node="send",
            visit=1 + number % each,
            channel=channel,
            due=now + timedelta(milliseconds=number % each),
            payload=payload,
        )
        for number in range(count)
    ]


def plan_of(channels: dict[str, PlanChannel]) -> Plan:
    """An offer that leads to each channel, so that decisions say which are open, and one that
    leads to none."""
    leading = [
        journey(
            f"to-{name.partition('/')[2]}",
            audience='segment("rich")',
            priority=50,
            slot={
                "name": "home-banner",
                "content": {"title": name},
                "channelRef": {"name": name.partition("/")[2]},
            },
        )
        for name in channels
    ]
    welcome = {"name": "home-banner", "content": {"title": "Welcome"}}
    result = compile_plan(
        engine="default/retail",
        schema=SCHEMA,
        segments=[segment("rich", "customer.balance >= 2000.0")],
        journeys=[
            *leading,
            journey("welcome", audience='segment("rich")', priority=10, slot=welcome),
        ],
        previous=None,
        channels=channels,
    )
    assert not result.problems, result.problems
    return result.plan


@contextmanager
def stage(
    *,
    secrets: Mapping[str, str] | None = None,
    pinned: bool = False,
    environment: Mapping[str, str] | None = None,
) -> Iterator[Stage]:
    """Stores and a folder; `start` starts the engine. All of it ends with the context."""
    with ExitStack() as opened:
        base = Path(tempfile.mkdtemp(prefix="wayfare-misbehaving-"))
        opened.callback(shutil.rmtree, base, ignore_errors=True)
        others = cores()[1] if pinned else None
        with on_cores(others):
            postgresql = opened.enter_context(running_postgresql())
            valkey = opened.enter_context(running_valkey())
        dsn = postgresql.database()
        kept = base / "secrets"
        kept.mkdir()
        for name, value in (secrets or {}).items():
            (kept / name).write_text(value)
        given = {"WAYFARE_HAND_OVER_SECONDS": str(HAND_OVER_SECONDS), **(environment or {})}
        processes = Processes(dsn, base, valkey=valkey.url, environment=given, pinned=pinned)
        opened.callback(processes.stop)
        packages = install(base / "packages", "misbehaving-channels", ENTRIES)
        made = Stage(dsn, base, processes, others, packages, kept)
        opened.enter_context(made._open)
        opened.callback(lambda: made.client.close())
        yield made
