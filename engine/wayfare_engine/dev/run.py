"""One process: stores beside it, the worker's tasks, the serving pod's HTTP, and a watcher."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import socket
from dataclasses import dataclass
from pathlib import Path

from psycopg import AsyncConnection
from rich.console import Console
from rich.markup import escape

from wayfare_engine.api.app import make_app
from wayfare_engine.api.state import ServeState
from wayfare_engine.clock import new_id, now
from wayfare_engine.dev.channels import SENDS_FILE, SINK, sink_host
from wayfare_engine.dev.compile import NoSuchEngine, compile_folder
from wayfare_engine.dev.manifests import ManifestProblem, files_of, read_folder
from wayfare_engine.dev.stores import write_private
from wayfare_engine.errors import SaidToPeople
from wayfare_engine.identity import KeyFormatError, Scope, new_key, parse, storage
from wayfare_engine.plan import Plan
from wayfare_engine.settings import Settings
from wayfare_engine.store import customers as customers_sql
from wayfare_engine.store import plans as plans_sql
from wayfare_engine.store.embedded.process import free_port
from wayfare_engine.store.postgresql import Away
from wayfare_engine.web.server import http_server, run_until_signal
from wayfare_engine.worker.run import start_tasks, stop_tasks
from wayfare_engine.worker.state import WorkerState

_LOOK_SECONDS = 0.4
KEY_FILE = "demo-key"


@dataclass(eq=False)
class PortTaken(SaidToPeople):
    """Something else listens there."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"something else listens at {self.host}:{self.port}; choose another with --port"


@dataclass(frozen=True)
class DevOptions:
    """What `wayfare dev` was asked for."""

    folder: Path
    data: Path
    host: str
    port: int
    engine: str | None


def check_port(host: str, port: int) -> None:
    """Raises PortTaken."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            raise PortTaken(host, port) from None


async def run_dev(options: DevOptions, settings: Settings, console: Console) -> int:
    """Serve until Ctrl-C or SIGTERM; returns the exit code."""
    key = await demo_key(settings.dsn, options.data)
    serve = ServeState(settings, clock=now, ids=new_id)
    worker = WorkerState(settings, tokens=None, clock=now)
    await serve.start()
    tasks = await start_tasks(worker)
    longest = settings.hand_over_seconds
    async with sink_host(options.data, port=free_port(), longest=longest) as sink:
        worker.addresses[SINK] = sink
        watching = Watcher(options, worker, serve, console, key).watch()
        watcher = asyncio.create_task(watching)
        server = http_server(make_app(serve), host=options.host, port=options.port)
        await run_until_signal(server)
        watcher.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await watcher
        await stop_tasks(worker, tasks)
    await serve.stop()
    return 0


async def demo_key(dsn: str, folder: Path) -> str:
    """A key with all scopes; the same at each start."""
    path = folder / KEY_FILE
    async with await AsyncConnection.connect(dsn, autocommit=True) as connection:
        stored = {k.id: k for k in await storage.everything(connection)}
        with contextlib.suppress(FileNotFoundError, KeyFormatError):
            text = path.read_text().strip()
            key_id, word = parse(text)
            known = stored.get(key_id)
            if known is not None and known.matches(word) and known.valid_at(now()):
                return text
        made = new_key(
            name="wayfare dev",
            scopes=[Scope.ADMIN],
            now=now(),
            expires_at=None,
            random_id=lambda: secrets.token_hex(8),
            random_secret=lambda: secrets.token_urlsafe(32),
        )
        await storage.add(connection, made.key)
    write_private(path, made.text)
    return made.text


class Watcher:
    """Looks at the folder and compiles it again when a file or the customers' columns changed."""

    def __init__(
        self,
        options: DevOptions,
        worker: WorkerState,
        serve: ServeState,
        console: Console,
        key: str,
    ) -> None:
        self._options = options
        self._worker = worker
        self._serve = serve
        self._console = console
        self._key = key
        self._plan: Plan | None = None
        self._told: tuple[ManifestProblem, ...] = ()

    async def watch(self) -> None:
        """For ever."""
        seen: object = None
        welcomed = False
        while True:
            with contextlib.suppress(*Away):
                async with self._worker.postgresql.connection() as connection:
                    imported = await customers_sql.schema(connection)
                now_seen = (self._stamps(), tuple(imported))
                if now_seen != seen:
                    await self._compile(imported)
                    seen = now_seen
                if not welcomed and self._serving():
                    self._welcome()
                    welcomed = True
            await asyncio.sleep(_LOOK_SECONDS)

    def _stamps(self) -> tuple[tuple[str, int, int], ...]:
        found = []
        for path in files_of(self._options.folder):
            with contextlib.suppress(OSError):
                stat = path.stat()
                found.append((str(path), stat.st_mtime_ns, stat.st_size))
        return tuple(found)

    async def _compile(self, imported: list[tuple[str, str]]) -> None:
        folder = await asyncio.to_thread(read_folder, self._options.folder)
        try:
            compiled = await asyncio.to_thread(
                lambda: compile_folder(
                    folder,
                    imported=imported,
                    previous=self._plan,
                    engine=self._options.engine,
                )
            )
        except NoSuchEngine as error:
            self._tell(folder.problems)
            self._console.print(f"[red]{escape(str(error))}[/red]")
            return
        self._tell(compiled.problems)
        if self._plan is not None and compiled.plan.digest == self._plan.digest:
            return
        async with self._worker.postgresql.connection() as connection:
            await plans_sql.publish(connection, compiled.plan.digest, compiled.plan.to_bytes())
        self._worker.wake()
        self._plan = compiled.plan
        self._console.print(
            f"compiled: {len(compiled.plan.journeys)} journeys, "
            f"{len(compiled.plan.sources.get('Segment', ()))} segments, "
            f"plan {compiled.plan.digest[7:19]}"
        )

    def _tell(self, problems: tuple[ManifestProblem, ...]) -> None:
        if problems == self._told:
            return
        for problem in problems:
            self._console.print(
                f"[red]{escape(str(problem))}[/red]", highlight=False, soft_wrap=True
            )
        if problems:
            self._console.print("What is named above is left out; everything else serves.")
        elif self._told:
            self._console.print("[green]all manifests are good again[/green]")
        self._told = problems

    def _serving(self) -> bool:
        present = self._serve.loader.present
        return present is not None and self._serve.readiness()[0]

    def _welcome(self) -> None:
        present = self._serve.loader.present
        assert present is not None
        url = f"http://{self._options.host}:{self._options.port}"
        slot = min(present.plan.slots, default="SLOT")
        customer = next(iter(present.customers), "CUSTOMER")
        print_line = self._console.print
        print_line(f"\n[bold]Serving at {url}[/bold]  (API page: {url}/docs)")
        print_line(f"API key: {self._key}", highlight=False)
        if not present.count:
            print_line("There are no customers yet: start with --customers FILE.")
        print_line(
            f"Try:\n  curl -s {url}/v1/decisions -H 'Authorization: Bearer {self._key}' \\\n"
            f'    -d \'{{"customer": "{customer}", "slot": "{slot}", "context": {{}}}}\'',
            highlight=False,
            markup=False,
            soft_wrap=True,
        )
        if present.plan.channels:
            print_line(
                f"Nothing leaves: every channel is a sink, {self._options.data / SENDS_FILE}",
                highlight=False,
            )
        print_line("No operator takes part here: this is one process, for trying journeys.")
        print_line("Edit a manifest and ask again. Ctrl-C ends it.\n")
