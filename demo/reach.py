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


def node_port(cluster: Cluster, namespace: str, name: str) -> str:
    """URL of a Service at a node's port, whether anybody answers there now or not."""
    service = cluster.get("-n", namespace, "service", name)
    (node, *_) = cluster.get("nodes")["items"]
    port = next(port["nodePort"] for port in service["spec"]["ports"] if port.get("nodePort"))
    host = next(
        address["address"]
        for address in node["status"]["addresses"]
        if address["type"] == "InternalIP"
    )
    return f"http://{host}:{port}"


def node_address(cluster: Cluster, namespace: str, name: str) -> str | None:
    """URL of a Service at a node's port, when it has one that this machine reaches."""
    service = cluster.get("-n", namespace, "service", name)
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
    with service_url(cluster, NAMESPACE, ENGINE) as found:
        yield found


@contextmanager
def service_url(cluster: Cluster, namespace: str, name: str) -> Iterator[tuple[str, str]]:
    """The same for any Service with port 80."""
    url = node_address(cluster, namespace, name)
    if url is not None:
        yield url, "a node's port"
        return
    forward = subprocess.Popen(
        ["kubectl", "-n", namespace, "port-forward", f"service/{name}", ":80"],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=cluster.environment,
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
