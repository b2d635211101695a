"""The engine's own processes, as pods run them, on loopback."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import psycopg
from joserfc import jwt
from joserfc.jwk import RSAKey

from tests.servers import web
from tests.servers.command import Forked, finished
from tests.servers.ports import free_port
from tests.servers.wait import until
from wayfare_engine.identity import Scope, new_key
from wayfare_engine.plan import Plan

ISSUER = "https://kubernetes.default.svc.cluster.local"
SUBJECT = "system:serviceaccount:wayfare-system:wayfare-operator"


class Signer:
    """A cluster's signing key, and the JWKS file that an operator would write."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "jwks.json"
        self.rotate()

    def rotate(self) -> None:
        """A new key; tokens of the old one are good no longer."""
        self._key = RSAKey.generate_key(2048, parameters={"kid": secrets.token_hex(4)})
        keys = {"keys": [self._key.as_dict(private=False)]}
        fresh = self.path.with_suffix(".new")
        fresh.write_text(json.dumps(keys))
        fresh.replace(self.path)

    def token(self, **claims: Any) -> str:
        """A service account's token; `claims` replace those that are right."""
        now = int(time.time())
        payload = {
            "iss": ISSUER,
            "sub": SUBJECT,
            "aud": ["wayfare-engine"],
            "iat": now,
            "nbf": now,
            "exp": now + 600,
            **claims,
        }
        header = {"alg": "RS256", "kid": self._key.kid}
        return jwt.encode(header, payload, self._key, algorithms=["RS256"])


@dataclass
class EngineProcess:
    """A running `wayfare serve` or `wayfare worker`."""

    command: str
    port: int
    process: Forked
    log: Path
    environment: Mapping[str, str] = field(repr=False, default_factory=dict)

    @property
    def url(self) -> str:
        """Where it answers."""
        return f"http://127.0.0.1:{self.port}"

    def ready(self) -> bool:
        """Whether /readyz says so."""
        return web.get(self.url + "/readyz", timeout=2).status_code == 200

    def wait_ready(self, seconds: float = 120) -> EngineProcess:
        """Wait for /readyz; the error has the end of the log."""

        def fact() -> bool:
            assert self.process.poll() is None, self.tail()
            return self.ready()

        try:
            until(fact, seconds=seconds, what=f"{self.command} ready", ignoring=(httpx.HTTPError,))
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.tail()}") from None
        return self

    def stop(self, seconds: float = 20) -> int:
        """SIGTERM, as the kubelet does; returns the exit code."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        return self.process.wait(seconds)

    def kill(self) -> None:
        """SIGKILL."""
        self.process.kill()
        self.process.wait()

    def tail(self) -> str:
        """The end of its log."""
        return self.log.read_text()[-3000:]


class EngineProcesses:
    """Starts processes of one engine over one PostgreSQL (and Valkey), and ends them all."""

    def __init__(
        self,
        dsn: str,
        folder: Path,
        *,
        valkey: str | None,
        valkey_password: str,
        **environment: str,
    ) -> None:
        self.dsn = dsn
        self.signer = Signer(folder)
        self._folder = folder
        self._running: list[EngineProcess] = []
        self._environment = {
            **{k: v for k, v in os.environ.items() if not k.startswith("WAYFARE_")},
            "WAYFARE_ENGINE": "default/retail",
            "WAYFARE_SITE": "east",
            "WAYFARE_POSTGRESQL_DSN": dsn,
            "WAYFARE_LISTEN_HOST": "127.0.0.1",
            "WAYFARE_DRAIN_SECONDS": "0.3",
            "WAYFARE_CONTROL_JWKS_FILE": str(self.signer.path),
            "WAYFARE_CONTROL_ISSUER": ISSUER,
            "WAYFARE_CONTROL_SUBJECT": SUBJECT,
        }
        if valkey is not None:
            self._environment["WAYFARE_VALKEY_URL"] = valkey
            self._environment["WAYFARE_VALKEY_PASSWORD"] = valkey_password
        self._environment |= environment

    def start(self, command: str, **environment: str) -> EngineProcess:
        """Start `wayfare COMMAND`; does not wait."""
        port = free_port()
        log = self._folder / f"{command}-{port}.log"
        pod = f"{command}-{port}"
        env = {
            **self._environment,
            "WAYFARE_POD_NAME": pod,
            "WAYFARE_POD_UID": f"uid-{pod}",
            **environment,
        }
        words = (command, "--port", str(port))
        started = EngineProcess(command, port, Forked(words, env, log), log, env)
        self._running.append(started)
        return started

    def run(self, *arguments: str, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
        """Run `wayfare ARGUMENTS` to its end."""
        return finished(arguments, self._environment, stdin)

    def logs(self) -> str:
        """The ends of all their logs, for a test that says why it failed."""
        return "\n".join(f"--- {one.log.name}\n{one.tail()}" for one in self._running)

    def key(self, *scopes: Scope) -> str:
        """A new API key, stored; admin when no scope is given."""
        made = new_key(
            name="test",
            scopes=scopes or (Scope.ADMIN,),
            now=datetime.now(UTC),
            expires_at=datetime.now(UTC) + timedelta(hours=1),
            random_id=lambda: secrets.token_hex(8),
            random_secret=lambda: secrets.token_urlsafe(32),
        )
        with psycopg.connect(self.dsn, autocommit=True) as connection:
            connection.execute(
                "INSERT INTO wayfare.api_keys (id, hash, scopes, name, created_at, expires_at) "
                "VALUES (%s, %s, %s, %s, %s, %s)",
                (
                    made.key.id,
                    made.key.hash,
                    sorted(made.key.scopes),
                    made.key.name,
                    made.key.created_at,
                    made.key.expires_at,
                ),
            )
            connection.execute("SELECT pg_notify('wayfare_keys', '')")
        return made.text

    def publish(self, worker: EngineProcess, plan: Plan) -> httpx.Response:
        """Put a plan, as the operator does."""
        return web.put(
            f"{worker.url}/control/v1/plans/{plan.digest}",
            content=plan.to_bytes(),
            headers={"Authorization": f"Bearer {self.signer.token()}"},
            timeout=10,
        )

    def stop(self) -> None:
        """End everything."""
        for process in self._running:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.process.terminate()
        for process in self._running:
            try:
                process.process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()


@contextlib.contextmanager
def engine_processes(
    dsn: str, *, valkey: str | None = None, valkey_password: str = "", **environment: str
) -> Iterator[EngineProcesses]:
    """A context in which processes can be started; all of them end with it. `environment` is that
    of all of them."""
    with tempfile.TemporaryDirectory(prefix="wayfare-engine-") as folder:
        processes = EngineProcesses(
            dsn, Path(folder), valkey=valkey, valkey_password=valkey_password, **environment
        )
        try:
            yield processes
        finally:
            processes.stop()
