"""Configuration of the engine's processes, from the environment, in one place.

Every variable starts with `WAYFARE_`. Secrets may come apart from the address that they belong to
(`WAYFARE_POSTGRESQL_PASSWORD`), so that an address can stand in a manifest and a password cannot.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Literal
from urllib.parse import quote, urlsplit, urlunsplit

from psycopg.conninfo import conninfo_to_dict, make_conninfo
from pydantic import Field, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict, SettingsError

from wayfare_engine.errors import MISSING, SaidToPeople


@dataclass(eq=False)
class MissingSetting(SaidToPeople):
    """Something that the process cannot start without, or cannot read."""

    exit_code = MISSING

    name: str
    hint: str

    def __str__(self) -> str:
        return f"{self.name}: {self.hint}"


class Settings(BaseSettings):
    """What a serve or worker process is told from outside. Times are in seconds."""

    model_config = SettingsConfigDict(env_prefix="WAYFARE_", frozen=True, extra="ignore")

    engine: str = "default/engine"
    site: str = "local"
    postgresql_dsn: str
    postgresql_direct_dsn: str | None = None
    postgresql_password: str | None = Field(default=None, repr=False)
    valkey_url: str | None = None
    valkey_password: str | None = Field(default=None, repr=False)
    pod_name: str = Field(default_factory=lambda: os.uname().nodename)
    pod_uid: str = Field(default_factory=lambda: f"{os.uname().nodename}-{os.getpid()}")
    authentication: Literal["APIKey", "None"] = "APIKey"
    listen_host: str = "0.0.0.0"  # noqa: S104 - a pod is reached from outside itself
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    drain_seconds: float = Field(default=5.0, ge=0, le=600)
    body_limit: int = Field(default=64 * 1024, ge=1024)
    decision_ack: Literal["async", "committed"] = "async"
    events_body_limit: int = Field(default=1024 * 1024, ge=1024)
    event_repeat_seconds: float = Field(default=86400.0, ge=60)
    sends_body_limit: int = Field(default=4 * 1024 * 1024, ge=1024)
    receipts_body_limit: int = Field(default=1024 * 1024, ge=1024)
    receipt_secrets_dir: Path | None = None
    callbacks_body_limit: int = Field(default=128 * 1024, ge=1024, le=160 * 1024)
    callback_seconds: float = Field(default=5.0, gt=0, le=60)
    channel_hosts: dict[str, str] = Field(default_factory=dict)
    ledger_flush_seconds: float = Field(default=0.05, gt=0, le=5)
    ledger_capacity: int = Field(default=100_000, ge=1)
    control_jwks_file: Path | None = None
    control_issuer: str | None = None
    control_subject: str = ""
    refresh_seconds: float = Field(default=300.0, ge=1)
    poll_seconds: float = Field(default=2.0, gt=0)
    object_store_url: str | None = None
    object_store_timeout_seconds: float = Field(default=30.0, gt=0, le=600)
    recovery_plan: str = "default"
    master_key_file: Path | None = None
    lease_ttl_seconds: float = Field(default=30.0, gt=0, le=600)
    clock_error: float = Field(default=0.001, ge=0, le=0.1)
    lease_take_first: bool = False
    hand_over_seconds: float = Field(default=5.0, gt=0, le=60)
    beat_seconds: float = Field(default=5.0, gt=0, le=60)
    seal_seconds: float = Field(default=0.2, gt=0, le=60)
    standby_follow: bool = True
    standby_follow_seconds: float = Field(default=0.5, gt=0, le=60)
    checkpoint_seconds: float = Field(default=3600.0, ge=0)
    checkpoint_keep: int = Field(default=3, ge=1)
    snapshot_seconds: float = Field(default=6 * 3600.0, ge=0)
    snapshot_keep: int = Field(default=3, ge=1)
    plan_retention_seconds: float = Field(default=30 * 86400.0, ge=60)
    fork_dsn: str | None = None
    fork_password: str | None = Field(default=None, repr=False)
    fork_engine_url: str | None = None
    fork_sink_url: str | None = None
    fork_api_key: str | None = Field(default=None, repr=False)

    @property
    def dsn(self) -> str:
        """The PostgreSQL address for queries, with its password."""
        return _with_password(self.postgresql_dsn, self.postgresql_password)

    @property
    def direct_dsn(self) -> str:
        """The address for LISTEN and session locks: past any transaction pooler."""
        return _with_password(
            self.postgresql_direct_dsn or self.postgresql_dsn, self.postgresql_password
        )

    @property
    def fork(self) -> str | None:
        """The address of a drill's copy of the database, with its password; None outside one."""
        return None if self.fork_dsn is None else _with_password(self.fork_dsn, self.fork_password)

    @property
    def valkey(self) -> str | None:
        """The Valkey URL, with its password."""
        if self.valkey_url is None or self.valkey_password is None:
            return self.valkey_url
        parts = urlsplit(self.valkey_url)
        host = parts.netloc.rpartition("@")[2]
        netloc = f":{quote(self.valkey_password, safe='')}@{host}"
        return urlunsplit(parts._replace(netloc=netloc))

    @property
    def control_subjects(self) -> frozenset[str]:
        """Service accounts that may use the control API."""
        return frozenset(s.strip() for s in self.control_subject.split(",") if s.strip())


def load_settings(**overrides: object) -> Settings:
    """Settings from the environment; raises MissingSetting with the variable to set."""
    try:
        return Settings(**overrides)  # type: ignore[arg-type]
    except SettingsError:
        raise MissingSetting("WAYFARE_CHANNEL_HOSTS", "is no JSON object") from None
    except ValidationError as error:
        first = error.errors()[0]
        name = "WAYFARE_" + str(first["loc"][0]).upper() if first["loc"] else "the environment"
        hint = "is not set" if first["type"] == "missing" else str(first["msg"])
        raise MissingSetting(name, hint) from None


def _with_password(dsn: str, password: str | None) -> str:
    if password is None or conninfo_to_dict(dsn).get("password"):
        return dsn
    return make_conninfo(dsn, password=password)
