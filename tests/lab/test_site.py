"""One site: what a Kubernetes cluster does, done for real."""

from __future__ import annotations

import http.client
import json
import os
import ssl
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.lab.workloads import (
    deployment,
    fetch,
    load_image,
    pod,
    service,
    wait_available,
    wait_ready,
)
from tests.servers.lab import LabSession, LabSite
from tests.servers.ports import free_port
from tests.servers.wait import until
from wayfare_lab import cgroups, state
from wayfare_lab.lab import Lab
from wayfare_lab.layout import Site
from wayfare_lab.report import report

pytestmark = pytest.mark.lab


def test_up_again_starts_nothing_anew(lab: LabSession, site: LabSite) -> None:
    before = state.running(Site("east", 0))
    lab.site("east")
    assert state.running(Site("east", 0)) == before


def test_a_site_that_is_up_is_reported_ready(site: LabSite) -> None:
    seen = report(Lab())
    assert seen.sites["east"].state == "ready"
    assert seen.memory_bytes > 0


@pytest.mark.parametrize("port", [6443, 10250], ids=["API server", "kubelet"])
def test_who_has_no_certificate_is_refused(site: LabSite, port: int) -> None:
    place = Site("east", 0)
    context = ssl.create_default_context(cafile=str(place.conf / "pki/ca.crt"))
    connection = http.client.HTTPSConnection(
        str(place.management.ip), port, context=context, timeout=5
    )
    connection.request("GET", "/metrics")
    assert connection.getresponse().status == http.client.UNAUTHORIZED


def test_a_deployment_answers_by_the_name_of_its_service(site: LabSite, namespace: str) -> None:
    client = pod("client", namespace, "sleep")
    site.apply(deployment("web", namespace, "serve", replicas=2), service("web", namespace), client)
    wait_available(site, namespace, "web", 2)
    wait_ready(site, namespace, "client")
    url = f"http://web.{namespace}.svc.cluster.local/"
    answers = {until(lambda: fetch(site, namespace, "client", url), seconds=60) for _ in range(12)}
    assert all(answer.startswith("web-") for answer in answers)
    assert len(answers) == 2


def test_logs_and_exec_reach_a_pod(site: LabSite, namespace: str) -> None:
    site.apply(pod("web", namespace, "serve"))
    wait_ready(site, namespace, "web")
    until(lambda: fetch(site, namespace, "web", "http://localhost:8080/seen") == "web", seconds=60)
    assert "GET /seen" in site.kubectl("logs", "-n", namespace, "web")


def test_port_forward_reaches_a_pod(site: LabSite, namespace: str) -> None:
    site.apply(pod("web", namespace, "serve"))
    wait_ready(site, namespace, "web")
    port = free_port()
    argv = [
        str(site.tools / "kubectl"), f"--kubeconfig={site.kubeconfig}",
        "port-forward", "-n", namespace, "pod/web", f"{port}:8080",
    ]  # fmt: skip

    def answer() -> str:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
        connection.request("GET", "/")
        return connection.getresponse().read().decode()

    with subprocess.Popen(argv, stdout=subprocess.DEVNULL) as forward:
        try:
            assert until(answer, ignoring=(OSError,)) == "web\n"
        finally:
            forward.terminate()


def test_a_claim_gets_a_volume_that_a_pod_without_root_writes(
    site: LabSite, namespace: str
) -> None:
    claim = {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": "data", "namespace": namespace},
        "spec": {
            "accessModes": ["ReadWriteOnce"],
            "resources": {"requests": {"storage": "1Gi"}},
        },
    }
    mounts = {"volumeMounts": [{"name": "data", "mountPath": "/data"}]}
    volumes = [{"name": "data", "persistentVolumeClaim": {"claimName": "data"}}]
    counter = pod("counter", namespace, "count", "/data/n", container=mounts, volumes=volumes)
    site.apply(claim, counter)
    wait_ready(site, namespace, "counter")
    until(lambda: fetch(site, namespace, "counter", "http://localhost:8080/") == "1", seconds=60)
    assert site.get("pvc", "data", "-n", namespace)["status"]["phase"] == "Bound"


def test_a_bound_volume_is_followed_by_a_new_spare_one(site: LabSite) -> None:
    def spare() -> bool:
        volumes = site.get("pv")["items"]
        return sum("claimRef" not in volume["spec"] for volume in volumes) == 8

    until(spare, what="eight unclaimed volumes")


def test_an_image_that_a_site_has_is_not_loaded_again(site: LabSite, tmp_path: Path) -> None:
    load_image(site, tmp_path)
    assert Lab().load_image(tmp_path / "testserver.tar", ["east"]) == {"east": False}


def test_pods_find_sites_and_the_vault_by_name(site: LabSite, namespace: str) -> None:
    site.apply(pod("client", namespace, "sleep"))
    wait_ready(site, namespace, "client")
    answer = until(lambda: fetch(site, namespace, "client", "http://vault.lab:8333/"), seconds=60)
    assert "AccessDenied" in answer


def test_a_token_of_a_pod_is_signed_by_the_clusters_issuer(site: LabSite, namespace: str) -> None:
    found = json.loads(site.kubectl("get", "--raw", "/.well-known/openid-configuration"))
    assert found["issuer"] == "https://kubernetes.default.svc"


@pytest.fixture
def group_in_site(site: LabSite) -> Iterator[Path]:
    """A cgroup as a pod of the site has."""
    (top,) = (
        found
        for found in cgroups.remaining()
        if found.name == Site(site.name, 0).cgroup
        and any((found / file).exists() for file in ("cpu.shares", "cpu.weight"))
    )
    folder = top / "busy"
    folder.mkdir()
    yield folder
    until(lambda: not (folder / "cgroup.procs").read_text(), what="its processes are gone")
    folder.rmdir()


def test_what_a_site_runs_is_not_pressed_hard_by_others(group_in_site: Path) -> None:
    """On one processor, beside sessions that want all of it."""
    words = (sys.executable, "-c", "while True: pass")
    busy = [subprocess.Popen(words, start_new_session=True) for _ in range(4)]
    try:
        (group_in_site / "cgroup.procs").write_text(str(busy[0].pid))
        for process in busy:
            os.sched_setaffinity(process.pid, {0})
        before = [_processor_seconds(process.pid) for process in busy]
        time.sleep(3)  # the span that is measured
        inside, *beside = (
            _processor_seconds(process.pid) - had for process, had in zip(busy, before, strict=True)
        )
        print(f"inside {inside:.2f} s, beside {beside}")
        assert inside > 2 * statistics.median(beside)
    finally:
        for process in busy:
            process.kill()
            process.wait()


def _processor_seconds(pid: int) -> float:
    user, system = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11:13]
    return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")


def test_the_host_keeps_its_kernel_settings(site: LabSite) -> None:
    # The kubelet wants 10 here and finds it, in the site only.
    assert site.exec("cat", "/proc/sys/kernel/panic").stdout.strip() == "10"
    mounted = Path("/proc/self/mountinfo").read_text()
    assert "/proc/sys/kernel/panic" not in mounted
