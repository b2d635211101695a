"""Two sites of the lab, with the same engine under one plan and one object store."""

from __future__ import annotations

import json
import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from demo.cluster import ENGINE, EXAMPLES, NAMESPACE, SYSTEM, Cluster
from demo.steps import WAYFARE, Steps

HERE = Path(__file__).parent
SECRET = "recovery"  # noqa: S105 - a name
PLAN = "retail"


@dataclass(frozen=True)
class Vault:
    """The object store that both sites reach, and what its clients are given."""

    bucket: str
    environment: dict[str, str]
    #: The same for a command of this machine.
    here: dict[str, str]

    @classmethod
    def of_lab(cls, steps: Steps) -> Vault:
        """The lab's."""
        shown = json.loads(steps.run(WAYFARE, "lab", "status", "--json").stdout)
        keys = json.loads(Path(shown["s3_credentials"]).read_text())
        own = {
            "AWS_ACCESS_KEY_ID": keys["access_key"],
            "AWS_SECRET_ACCESS_KEY": keys["secret_key"],
            "AWS_REGION": "us-east-1",
        }
        return cls(
            keys["bucket"],
            own | {"AWS_ENDPOINT_URL": "http://vault.lab:8333"},
            own | {"AWS_ENDPOINT_URL": keys["endpoint"]},
        )


def signing_key() -> str:
    """A new key that both operators sign their requests with."""
    return secrets.token_urlsafe(48)


def give_operator_the_store(cluster: Cluster, vault: Vault, key: str) -> None:
    """The Secret that the chart gives the operator as environment."""
    cluster.namespace(SYSTEM)
    values = vault.environment | {"WAYFARE_RECOVERY_KEY": key}
    apply(cluster, _secret(SECRET, SYSTEM, values), secret=True)


def give_engine_the_store(cluster: Cluster, vault: Vault) -> None:
    """The Secret that the engine's pods are given."""
    apply(cluster, _secret("vault", NAMESPACE, vault.environment), secret=True)


def bank(vault: Vault) -> list[dict[str, Any]]:
    """All of the bank's objects, with the vault as the engine's object store."""
    found: list[dict[str, Any]] = []
    for file in sorted(EXAMPLES.glob("*.yaml")):
        for one in yaml.safe_load_all(file.read_text()):
            found.append(engine_manifest(vault) if one["kind"] == "Engine" else one)
    return found


def engine_manifest(vault: Vault) -> dict[str, Any]:
    """The bank's engine, with the vault as its object store."""
    engine: dict[str, Any] = yaml.safe_load((EXAMPLES / "engine.yaml").read_text())
    engine["spec"]["stores"]["objectStore"] = {
        "url": f"s3://{vault.bucket}/{ENGINE}",
        "secretName": "vault",
    }
    return engine


def apply(cluster: Cluster, *objects: dict[str, Any], secret: bool = False) -> None:
    """`kubectl apply` of some objects."""
    content = json.dumps({"apiVersion": "v1", "kind": "List", "items": list(objects)})
    cluster.kubectl("apply", "-f", "-", stdin=content, secret=secret)


def _secret(name: str, namespace: str, values: dict[str, str]) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": name, "namespace": namespace},
        "stringData": values,
    }
