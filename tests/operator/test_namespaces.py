"""An installation that serves some namespaces, with a Role in each and no more."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.operator.conftest import Cluster, engine_spec, journey_spec
from tests.servers.apiserver import ApiServer
from tests.servers.control import ControlApi
from tests.servers.operator import grant_in, running_operator, wait_leading

pytestmark = pytest.mark.contract


def test_a_role_in_one_namespace_is_enough_for_it_and_nothing_beside_it_is_touched(
    server: ApiServer, control: ControlApi, cluster: Cluster, tmp_path: Path
) -> None:
    beside = Cluster(server, server.make_namespace(f"{cluster.namespace}-beside"))
    for each in (cluster, beside):
        control.engine(each.namespace, "bank").pods = ["pod-a"]
        each.serve_endpoints("bank", "pod-a")
        each.apply("Engine", "bank", engine_spec())
        each.apply("Journey", "offer", journey_spec())
    with running_operator(
        server,
        tmp_path,
        control_url=control.template,
        user=grant_in(server, cluster.namespace),
        NAMESPACES=cluster.namespace,
        OPERATOR_NAMESPACE=cluster.namespace,
    ) as replica:
        wait_leading(replica)
        cluster.ready("journeys", "offer")
        cluster.ready("engines", "bank")
        cluster.delete("deployments", "bank-serve", "/apis/apps/v1")
        cluster.apply("Journey", "late", journey_spec())
        cluster.ready("journeys", "late")
        assert replica.stop() == 0
        assert "403" not in replica.log.read_text()
    assert beside.status("journeys", "offer") == {}
    assert beside.get("deployments", "bank-serve", "/apis/apps/v1") is None
