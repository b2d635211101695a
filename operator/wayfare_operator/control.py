"""Client of a worker's control API: publish a plan, read it back, ask what is served."""

from __future__ import annotations

import gzip
from datetime import datetime
from pathlib import Path

import httpx
from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic.alias_generators import to_camel

_COMPRESS_LEVEL = 3


class WorkerUnreachable(Exception):
    """No usable answer came; `detail` says what did."""

    def __init__(self, url: str, detail: str) -> None:
        super().__init__(f"{url}: {detail}")
        self.url = url
        self.detail = detail


class PlanRefused(Exception):
    """The worker will not have this plan: a format that it does not know, or a wrong digest."""

    def __init__(self, digest: str, detail: str) -> None:
        super().__init__(f"{digest}: {detail}")
        self.digest = digest
        self.detail = detail


class _Told(BaseModel):
    model_config = ConfigDict(
        frozen=True, extra="ignore", alias_generator=to_camel, populate_by_name=True
    )


class ToldAttribute(_Told):
    """A column of the imported customers."""

    name: str
    type: str


class ToldSchema(_Told):
    """The columns of the imported customers."""

    attributes: tuple[ToldAttribute, ...] = ()


class Acknowledgement(_Told):
    """A serve pod said that it serves a plan, `age_seconds` ago."""

    pod: str = ""
    pod_uid: str
    plan: str
    age_seconds: float


class ToldSegment(_Told):
    """A computed membership; `key` is the digest of what it depends on."""

    name: str = ""
    key: str
    size: int | None = None
    as_of: datetime | None = None
    digest: str | None = None
    duration_seconds: float | None = None
    error: str | None = None


class ToldBreaker(_Told):
    """Where a channel's breaker stands, at the worker that sees the worst."""

    state: str
    since: datetime | None = None
    why: str = ""


class ToldPlugin(_Told):
    """What a channel's host said of itself last."""

    name: str | None = None
    version: str | None = None
    deduplication: str | None = None
    batch_size: int | None = None


class ToldChannel(_Told):
    """What the workers say of a channel. `specs`: digests of the specs that they go by."""

    name: str
    specs: tuple[str, ...] = ()
    problem: str | None = None
    breaker: ToldBreaker
    plugin: ToldPlugin | None = None
    waiting: int = 0
    in_flight: int = 0
    unknown: int = 0
    accepted_per_minute: float = 0.0
    failed_per_minute: float = 0.0
    p99_milliseconds: float | None = None
    last_error_at: datetime | None = None
    last_error: str | None = None


class ToldStore(_Told):
    """Whether a store answers the worker."""

    ok: bool
    version: str | None = None
    error: str | None = None


class ToldFollow(_Told):
    """How far a site that stands by has applied the acting site's journal."""

    lag_rows: int | None = None
    lag_seconds: float | None = None
    watermark: dict[str, int] = {}
    as_of: datetime | None = None
    problem: str | None = None


class ToldStanding(_Told):
    """Where the site stands with the right to act, as its database and workers know it."""

    epoch: int | None = None
    held: bool | None = None
    state: str | None = None
    sends: str | None = None
    follow: ToldFollow | None = None


class ControlStatus(_Told):
    """What a worker knows of its engine."""

    wanted_plan: str | None = None
    schema_: ToldSchema = ToldSchema()
    customers: int | None = None
    acknowledgements: tuple[Acknowledgement, ...] = ()
    segments: tuple[ToldSegment, ...] = ()
    channels: tuple[ToldChannel, ...] = ()
    stores: dict[str, ToldStore] = {}
    schema_revision: str | None = None
    standing: ToldStanding | None = None

    model_config = ConfigDict(
        frozen=True,
        extra="ignore",
        populate_by_name=True,
        alias_generator=lambda name: to_camel(name.rstrip("_")),
    )

    @property
    def informed(self) -> bool:
        """Whether the worker could look: without PostgreSQL it knows its stores' state only."""
        postgresql = self.stores.get("postgresql")
        return postgresql is None or postgresql.ok


class ProbeKey(_Told):
    """An API key for some minutes."""

    key: str


class ControlClient:
    """Speaks to any engine's worker; the token is read anew for every request, since it rotates."""

    def __init__(self, template: str, token_file: Path, *, timeout: float = 3.0) -> None:
        self._template = template
        self._token_file = token_file
        self._http = httpx.AsyncClient(timeout=timeout, trust_env=False)

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    def url(self, namespace: str, name: str) -> str:
        """Where the engine's control API is."""
        return self._template.format(namespace=namespace, name=name)

    async def status(self, namespace: str, name: str) -> ControlStatus:
        """What the worker knows. Raises WorkerUnreachable."""
        url = f"{self.url(namespace, name)}/control/v1/status"
        answer = await self._send("GET", url)
        if answer.status_code != httpx.codes.OK:
            raise WorkerUnreachable(url, _said(answer))
        try:
            return ControlStatus.model_validate_json(answer.content)
        except ValidationError as error:
            raise WorkerUnreachable(
                url, f"not a status: {error.error_count()} fields are wrong"
            ) from None

    async def plan(self, namespace: str, name: str) -> bytes | None:
        """The plan that the engine is to serve; None when none was published yet."""
        url = f"{self.url(namespace, name)}/control/v1/plan"
        answer = await self._send("GET", url)
        if answer.status_code == httpx.codes.NOT_FOUND:
            return None
        if answer.status_code != httpx.codes.OK:
            raise WorkerUnreachable(url, _said(answer))
        return answer.content

    async def publish(self, namespace: str, name: str, digest: str, body: bytes) -> None:
        """Make this the wanted plan. Raises PlanRefused or WorkerUnreachable."""
        url = f"{self.url(namespace, name)}/control/v1/plans/{digest}"
        answer = await self._send(
            "PUT",
            url,
            content=gzip.compress(body, _COMPRESS_LEVEL, mtime=0),
            headers={"Content-Type": "application/octet-stream", "Content-Encoding": "gzip"},
            timeout=30.0,
        )
        if answer.status_code in (
            httpx.codes.UNPROCESSABLE_ENTITY,
            httpx.codes.REQUEST_ENTITY_TOO_LARGE,
        ):
            raise PlanRefused(digest, _said(answer))
        if not answer.is_success:
            raise WorkerUnreachable(url, _said(answer))

    async def probe_key(self, namespace: str, name: str) -> str:
        """A new API key, for some minutes, that allows decisions and nothing else. Raises
        WorkerUnreachable."""
        url = f"{self.url(namespace, name)}/control/v1/probe-keys"
        answer = await self._send("POST", url)
        if answer.status_code != httpx.codes.CREATED:
            raise WorkerUnreachable(url, _said(answer))
        try:
            return ProbeKey.model_validate_json(answer.content).key
        except ValidationError:
            raise WorkerUnreachable(url, "not an API key") from None

    async def _send(
        self,
        method: str,
        url: str,
        *,
        content: bytes | None = None,
        headers: dict[str, str] | None = None,
        timeout: float | None = None,  # noqa: ASYNC109 - httpx keeps it
    ) -> httpx.Response:
        try:
            token = self._token_file.read_text().strip()
        except OSError as error:
            raise WorkerUnreachable(url, f"no token: {error}") from error
        try:
            return await self._http.request(
                method,
                url,
                content=content,
                headers={"Authorization": f"Bearer {token}", **(headers or {})},
                timeout=timeout if timeout is not None else httpx.USE_CLIENT_DEFAULT,
            )
        except httpx.HTTPError as error:
            raise WorkerUnreachable(url, f"{type(error).__name__}: {error}") from error


def _said(answer: httpx.Response) -> str:
    try:
        told = answer.json()
        text = told.get("detail") or told.get("title") or answer.text
    except (ValueError, AttributeError):
        text = answer.text
    return f"HTTP {answer.status_code}: {str(text)[:300]}"
