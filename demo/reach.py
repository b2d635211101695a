"""The way from outside into the cluster: a node's port, or a forwarded one."""

from __future__ import annotations

import re
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

from demo.cluster import ENGINE, NAMESPACE, Cluster
from demo.steps import StepFailed


def answers(host: str, port: int, *, seconds: float = 2.0) -> bool:
    """Whether something accepts connections there."""
    try:
        with socket.create_connection((host, port), timeout=seconds):
            return True
    except OSError:
        return False


def node_address(cluster: Cluster) -> str | None:
    """URL of the engine at a node's port, when the Service has one that this machine reaches."""
    service = cluster.get("-n", NAMESPACE, "service", ENGINE)
    ports = [port["nodePort"] for port in service["spec"]["ports"] if port.get("nodePort")]
    for node in cluster.get("nodes")["items"] if ports else []:
        for address in node["status"].get("addresses", []):
            if address["type"] in ("InternalIP", "ExternalIP") and answers(
                address["address"], ports[0]
            ):
                host = address["address"]
                return f"http://{f'[{host}]' if ':' in host else host}:{ports[0]}"
    return None


@contextmanager
def engine_url(cluster: Cluster) -> Iterator[tuple[str, str]]:
    """URL of the engine for the time of the block, and how it is reached, in words."""
    url = node_address(cluster)
    if url is not None:
        yield url, "a node's port"
        return
    forward = subprocess.Popen(
        ["kubectl", "-n", NAMESPACE, "port-forward", f"service/{ENGINE}", ":80"],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=cluster.steps.environment,
    )
    try:
        assert forward.stdout is not None
        line = forward.stdout.readline()
        found = re.search(r"127\.0\.0\.1:(\d+)", line)
        if found is None:
            raise StepFailed(f"kubectl port-forward: {line.strip() or 'it ended at once'}")
        yield f"http://127.0.0.1:{found[1]}", "kubectl port-forward, so by one pod only"
    finally:
        forward.terminate()
        forward.wait(10)
