"""What can happen to sites: a partition, and the loss of one."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.lab.workloads import (
    deployment,
    load_image,
    pod,
    service,
    wait_available,
    wait_ready,
)
from tests.servers.lab import LabSite
from tests.servers.wait import until
from wayfare_lab.api import Api
from wayfare_lab.errors import SiteNotRunning
from wayfare_lab.lab import Lab
from wayfare_lab.layout import API_PORT, Site, s3_endpoint, vault
from wayfare_lab.report import report
from wayfare_lab.system import boot_id, members

pytestmark = pytest.mark.lab

EAST, WEST = Site("east", 0), Site("west", 1)


@pytest.fixture
def west(two_sites: tuple[LabSite, LabSite]) -> Iterator[LabSite]:
    yield two_sites[1]
    Lab().heal("west")


def _reaches(site: LabSite, url: str) -> bool:
    return site.exec("/run/wayfare/bin/testserver", "get", url, timeout=20).returncode == 0


def _connects(site: LabSite, other: Site) -> bool:
    """To the other site's API server, past the host."""
    there = f"exec 3<>/dev/tcp/{other.address.ip}/{API_PORT}"
    return site.exec("timeout", "3", "bash", "-c", there, timeout=20).returncode == 0


def test_both_sites_reach_the_vault(two_sites: tuple[LabSite, LabSite]) -> None:
    assert all(_reaches(site, s3_endpoint()) for site in two_sites)


def test_the_vault_refuses_to_write_an_object_twice(site: LabSite) -> None:
    obstore = pytest.importorskip("obstore")
    from obstore.exceptions import AlreadyExistsError
    from obstore.store import S3Store

    keys = json.loads((vault().data / "credentials.json").read_text())
    store = S3Store(
        "lab-test",
        endpoint=keys["endpoint"],
        access_key_id=keys["access_key"],
        secret_access_key=keys["secret_key"],
        region="lab",
        virtual_hosted_style_request=False,
        client_options={"allow_http": True},
    )
    name = f"once-{boot_id()}-{id(store)}"
    obstore.put(store, name, b"first", mode="create")
    with pytest.raises(AlreadyExistsError):
        obstore.put(store, name, b"second", mode="create")
    assert bytes(obstore.get(store, name).bytes()) == b"first"


def test_a_partition_cuts_a_site_off_while_the_host_still_reaches_it(
    two_sites: tuple[LabSite, LabSite], west: LabSite
) -> None:
    Lab().partition("west")
    assert not _reaches(west, s3_endpoint())
    assert _reaches(two_sites[0], s3_endpoint())
    assert Api(WEST).ready()
    assert report(Lab()).sites["west"].partitioned


def test_the_sites_are_cut_off_from_each_other_and_not_from_the_vault(
    two_sites: tuple[LabSite, LabSite], west: LabSite
) -> None:
    east = two_sites[0]
    assert _connects(west, EAST)
    Lab().part_sites()
    assert not _connects(west, EAST)
    assert _reaches(west, s3_endpoint())
    assert _reaches(east, s3_endpoint())
    Lab().heal("west")
    until(lambda: _connects(west, EAST), what="the other site reached again")


def test_heal_joins_a_site_again(west: LabSite) -> None:
    Lab().partition("west")
    assert not _reaches(west, s3_endpoint())
    Lab().heal("west")
    until(lambda: _reaches(west, s3_endpoint()), what="the vault reached again")


def test_a_kill_ends_everything_and_restore_brings_it_back(west: LabSite, tmp_path: Path) -> None:
    load_image(west, tmp_path)
    namespace = west.namespace()
    claim = {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": "data", "namespace": namespace},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}},
    }
    mounts = {"volumeMounts": [{"name": "data", "mountPath": "/data"}]}
    volumes = [{"name": "data", "persistentVolumeClaim": {"claimName": "data"}}]
    west.apply(
        claim,
        pod("counter", namespace, "count", "/data/n", container=mounts, volumes=volumes),
        deployment("web", namespace, "serve"),
        service("web", namespace),
    )
    wait_ready(west, namespace, "counter")
    wait_available(west, namespace, "web")

    before = datetime.now(UTC)
    at = Lab().kill("west")
    assert before < at < datetime.now(UTC)
    assert members("west") == set()
    assert not Api(WEST, timeout=1).ready()
    assert report(Lab()).sites["west"].state == "killed"
    with pytest.raises(SiteNotRunning):
        Lab().command("west", ["true"])

    Lab().restore("west", west.tools)

    def counted() -> str:
        argv = ["exec", "-n", namespace, "counter", "--", "/testserver", "get"]
        return west.kubectl(*argv, "http://localhost:8080/").strip()

    again = until(
        counted,
        seconds=180,
        what="the counter's second start",
        ignoring=(subprocess.CalledProcessError,),
    )
    assert again == "2"

    def answers() -> bool:
        address = west.get("service", "web", "-n", namespace)["spec"]["clusterIP"]
        return _reaches(west, f"http://{address}/")

    until(answers, seconds=60, what="the service again")


def test_a_program_that_ends_is_started_again(west: LabSite) -> None:
    def scheduler() -> str:
        return west.exec("pgrep", "-x", "kube-scheduler").stdout.strip()

    before = scheduler()
    assert before

    def another() -> bool:
        # The killed one is still listed until its parent has collected it.
        return scheduler() not in ("", before)

    west.exec("kill", "-9", before)
    until(another, what="another scheduler")
