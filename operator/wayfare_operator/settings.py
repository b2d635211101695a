"""The operator's configuration: environment variables, read in this module only."""

from __future__ import annotations

import os
import socket
from pathlib import Path
from typing import Annotated

from pydantic import Field, SecretStr, ValidationInfo, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

#: By the leader election of the Kubernetes client, which refuses what is not so, too.
_JITTER = 1.2


class OperatorSettings(BaseSettings):
    """What `wayfare operator run` reads. Durations are seconds."""

    model_config = SettingsConfigDict(env_prefix="WAYFARE_", extra="ignore", frozen=True)

    image: str = Field("localhost/wayfare:latest", description="The engine's image.")
    image_pull_policy: str = Field("IfNotPresent", description="Pull policy of that image.")
    namespaces: Annotated[tuple[str, ...], NoDecode] = Field(
        (), description="Namespaces to serve, separated by commas; empty means the whole cluster."
    )
    operator_namespace: str = Field(
        "wayfare-system", description="Where the operator runs and keeps its Lease."
    )
    operator_service_account: str = Field(
        "wayfare-operator", description="The subject that engine workers accept."
    )
    control_token_file: Path = Field(
        Path("/var/run/secrets/wayfare/control/token"),
        description="Service-account token with the audience of the engine's control API.",
    )
    control_url_template: str = Field(
        "http://{name}-worker.{namespace}.svc:8081",
        description="Address of an engine's control API; {name} and {namespace} are filled in.",
    )
    site: str = Field("default", description="Name of this site, written into every ledger row.")
    metrics_host: str = Field("0.0.0.0", description="Address of health and metrics.")  # noqa: S104
    metrics_port: int = Field(8082, ge=0, le=65535, description="Port of health and metrics.")
    log_level: str = Field("INFO", description="Least level that is logged.")
    pod_name: str = Field(
        default_factory=lambda: f"{socket.gethostname()}_{os.getpid()}",
        description="This replica's name in the Lease.",
    )
    lease_duration: int = Field(12, ge=1, description="A Lease not renewed for this long is free.")
    renew_deadline: float = Field(
        8, ge=1, description="A leader that cannot renew for this long ends."
    )
    retry_period: float = Field(
        1.5, ge=1, description="Time between tries to take or renew the Lease."
    )
    debounce: float = Field(0.2, description="A burst of events becomes one compile.")
    poll: float = Field(0.5, description="How often a pending plan is looked at.")
    resync: float = Field(15, description="How often an engine with nothing pending is looked at.")
    relist: float = Field(600, description="How often the caches are compared with the server.")
    serve_url_template: str = Field(
        "http://{name}.{namespace}.svc",
        description="Address of an engine's decisions; {name} and {namespace} are filled in.",
    )
    object_store_timeout_seconds: float = Field(
        5, gt=0, le=60, description="How long one request to the object store may take."
    )
    recovery_key: SecretStr | None = Field(
        None, description="Signs what one site's operator asks of the other's; the same at both."
    )
    recovery_poll_seconds: float = Field(
        0.5, gt=0, description="How often the store is looked at while a run is open."
    )
    recovery_idle_poll_seconds: float = Field(
        5, gt=0, description="How often the store is looked at while none is."
    )
    recovery_take_back_seconds: float = Field(
        60,
        gt=0,
        description="A planned move whose target says nothing for so long is taken back.",
    )
    recovery_step_seconds: float | None = Field(
        None, gt=0, description="The most that an attempt of any step may take; else its own."
    )
    reconcilers: int = Field(8, ge=1, description="Keys that are reconciled at the same time.")

    @field_validator("namespaces", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        if isinstance(value, str):
            return tuple(sorted({part.strip() for part in value.split(",") if part.strip()}))
        return value

    @field_validator("renew_deadline")
    @classmethod
    def _ends_in_time(cls, value: float, info: ValidationInfo) -> float:
        lease = info.data.get("lease_duration")
        if lease is not None and value >= lease:
            raise ValueError(
                f"{value:g} s is not below WAYFARE_LEASE_DURATION ({lease} s): a leader that "
                "cannot renew has to end before its Lease is free"
            )
        return value

    @field_validator("retry_period")
    @classmethod
    def _tries_in_time(cls, value: float, info: ValidationInfo) -> float:
        deadline = info.data.get("renew_deadline")
        if deadline is not None and _JITTER * value >= deadline:
            raise ValueError(
                f"{value:g} s leaves no second try within WAYFARE_RENEW_DEADLINE ({deadline:g} s): "
                f"it has to be below {deadline / _JITTER:.1f} s"
            )
        return value
