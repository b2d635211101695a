"""The outside world of the demo, to which the channels lead: a receiver that keeps its own record.

Beside the lab it is a process of this machine, so that it outlives a site that is killed and sees
what both sites send; each site has a Service for it. On any other cluster it is a pod.
"""

from __future__ import annotations

import ipaddress
import json
import os
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from demo.cluster import Cluster
from demo.reach import service_url
from demo.steps import TOP, WAYFARE, StepFailed, Steps, looks


class Arrival(NamedTuple):
    """A send that came: when, in seconds since 1970; from which site; its id, and whether that had
    come before."""

    at: float
    site: str
    key: str
    repeat: bool


OUTSIDE = "outside"
SERVICE = "receiver"
PORT = 8780
HERE = Path(__file__).parent / "campaign"
PROGRAM = HERE / "receiver.py"
URL = f"http://127.0.0.1:{PORT}"
#: Whatever carries it is ended by `wayfare lab down`.
_OF_THE_LAB = {"WAYFARE_LAB": OUTSIDE}
_STARTS_SECONDS = 15.0
_ADDRESSES_OF_A_SITE, _MOST_SITES = 4, 4


def begin(steps: Steps) -> None:
    """The receiver beside the lab, unless it runs; its record is empty then."""
    if _answers():
        forget()
        return
    with (TOP / "build" / "outside.log").open("ab") as log:
        subprocess.Popen(
            [sys.executable, str(PROGRAM), str(PORT), *_everywhere(steps)],
            env=os.environ | _OF_THE_LAB,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    if not any(_answers() for _ in looks(_STARTS_SECONDS, every=0.1)):
        raise StepFailed("the receiver outside does not answer", look="build/outside.log")


def declare(cluster: Cluster, steps: Steps) -> None:
    """A Service at a site of the lab that leads to it."""
    cluster.namespace(OUTSIDE)
    address = _addresses(steps)[cluster.site]
    labels = {"kubernetes.io/service-name": SERVICE}
    service = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": SERVICE, "namespace": OUTSIDE},
        "spec": {"ports": [{"name": "http", "port": 80, "targetPort": PORT}]},
    }
    slice_ = {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {"name": SERVICE, "namespace": OUTSIDE, "labels": labels},
        "addressType": "IPv4",
        "ports": [{"name": "http", "port": PORT}],
        "endpoints": [{"addresses": [address], "conditions": {"ready": True}}],
    }
    both = {"apiVersion": "v1", "kind": "List", "items": [service, slice_]}
    cluster.kubectl("apply", "-f", "-", stdin=json.dumps(both))


def declare_pod(cluster: Cluster, image: str) -> None:
    """The receiver as a pod, from any image with Python; a new one has an empty record."""
    # Where this was the lab's site, it led to this machine.
    cluster.kubectl("-n", OUTSIDE, "delete", "endpointslice", SERVICE, "--ignore-not-found")
    manifest = (HERE / "outside.yaml").read_text().replace("IMAGE", image)
    cluster.kubectl("apply", "-f", "-", stdin=manifest)
    made = cluster.kubectl(
        *("create", "configmap", SERVICE, "-n", OUTSIDE, "--dry-run=client", "-o", "yaml"),
        f"--from-file=receiver.py={PROGRAM}",
    )
    cluster.kubectl("apply", "-f", "-", stdin=made)
    cluster.kubectl("-n", OUTSIDE, "rollout", "restart", f"deployment/{SERVICE}")
    cluster.kubectl(
        *("-n", OUTSIDE, "rollout", "status", f"deployment/{SERVICE}", "--timeout=120s"),
        timeout=150,
    )


@contextmanager
def url_of(cluster: Cluster, *, beside_lab: bool) -> Iterator[str]:
    """Where the demo itself reaches it."""
    if beside_lab:
        yield URL
        return
    with service_url(cluster, OUTSIDE, SERVICE) as (url, _):
        yield url


def record() -> dict[str, Any]:
    """What the receiver beside the lab knows."""
    found: dict[str, Any] = json.loads(_ask("/record"))
    return found


def times(since: float) -> list[float]:
    """When each effect since then was, in order; seconds since 1970."""
    found: list[float] = json.loads(_ask(f"/times?{since}"))
    return found


def arrivals(since: float, steps: Steps) -> list[Arrival]:
    """All that came since then, in order."""
    sites = {address: site for site, address in _addresses(steps).items()}
    return [
        Arrival(at, sites.get(address, address), key, repeat)
        for at, address, key, repeat in json.loads(_ask(f"/arrivals?{since}"))
    ]


def forget() -> None:
    """Empty its record."""
    _ask("/forget", method="POST")


def _ask(path: str, *, method: str = "GET") -> bytes:
    asked = urllib.request.Request(URL + path, method=method)  # noqa: S310 - its scheme is ours
    with urllib.request.urlopen(asked, timeout=10) as answer:  # noqa: S310
        return bytes(answer.read())


def _answers() -> bool:
    try:
        record()
    except (OSError, ValueError):
        return False
    return True


def _addresses(steps: Steps) -> dict[str, str]:
    """This machine's address as each site's pods reach it."""
    shown = json.loads(steps.run(WAYFARE, "lab", "status", "--json").stdout)
    # Of a link's addresses the first is this machine's, the second the site's.
    return {
        name: str(ipaddress.ip_address(site["management"]) - 1)
        for name, site in shown["sites"].items()
    }


def _everywhere(steps: Steps) -> list[str]:
    """The same for each site that the lab can have, also before it is up."""
    first = min(map(ipaddress.ip_address, _addresses(steps).values()))
    return [str(first + _ADDRESSES_OF_A_SITE * number) for number in range(_MOST_SITES)]
