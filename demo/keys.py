"""API keys that the demo asks with."""

from __future__ import annotations

import json

from demo.cluster import ENGINE, NAMESPACE, Cluster
from demo.steps import WAYFARE

_SCOPES = ("decide", "decisions:read", "sends:write")


def make_key(cluster: Cluster, *more: str) -> tuple[str, str]:
    """A new key of a site's engine, for a day, with `more` scopes: its id, and the key. Keys are of
    one site."""
    scopes = [word for scope in (*_SCOPES, *more) for word in ("--scope", scope)]
    done = cluster.run(
        *(WAYFARE, "keys", "create", "--engine", ENGINE, "-n", NAMESPACE, "--name", "demo"),
        *(*scopes, "--expires", "1d", "--json"),
        secret=True,
    )
    made = json.loads(done.stdout.strip().splitlines()[-1])
    return str(made["id"]), str(made["key"])
