"""`wayfare crds migrate` on a real API server."""

from __future__ import annotations

import json
import os
import subprocess

import pytest

from tests.operator.conftest import Cluster, segment_spec
from tests.servers.apiserver import ApiServer

pytestmark = pytest.mark.contract


def migrate(kubeconfig: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["wayfare", "crds", "migrate", "--json"],
        env={**os.environ, "KUBECONFIG": kubeconfig},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_every_stored_object_is_written_back_unchanged(server: ApiServer, cluster: Cluster) -> None:
    cluster.apply("Segment", "one", segment_spec("customer.age >= 18"))
    cluster.apply("Segment", "two", segment_spec("customer.age >= 18"))
    before = (cluster.get("segments", "one") or {})["spec"]
    for _ in range(2):
        done = migrate(str(server.kubeconfig))
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout)["Segment"] >= 2
        assert "Segment: " in done.stderr
    assert (cluster.get("segments", "one") or {})["spec"] == before


def test_without_a_cluster_it_says_what_to_set() -> None:
    done = migrate("/nonexistent")
    assert done.returncode == 3
    assert "KUBECONFIG" in done.stderr
    assert "Traceback" not in done.stderr
