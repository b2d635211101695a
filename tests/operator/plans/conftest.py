"""One operator of site west for all tests here, and plans of which west stands by."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest

from tests.operator.conftest import Cluster, any_control_api, api_server
from tests.operator.standby import Site, now
from tests.operator.test_recovery_standby import FAR, remember
from tests.servers.apiserver import ApiServer
from tests.servers.control import ControlApi
from tests.servers.objects import ObjectServer, running_objects
from tests.servers.operator import OperatorProcess
from tests.servers.workloads import rolling_out
from wayfare_operator.recovery.record import CaughtUp, Standing

WEST_FIRST = [{"name": "west"}, {"name": "east"}]


server = pytest.fixture(scope="package")(api_server)
control = pytest.fixture(scope="package")(any_control_api)


@pytest.fixture(scope="package")
def objects() -> Iterator[ObjectServer]:
    """A real S3 server."""
    with running_objects() as server:
        yield server


@pytest.fixture(scope="package")
def west(
    server: ApiServer,
    objects: ObjectServer,
    control: ControlApi,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[OperatorProcess]:
    """One operator of site west for all tests."""
    anything = Site(Cluster(server, "none"), objects, control)
    with anything.operator(tmp_path_factory.mktemp("west")) as replica:
        yield replica
        assert replica.process.poll() is None, replica.log.read_text()[-4000:]
        assert replica.stop() == 0


@pytest.fixture
def site(
    cluster: Cluster, objects: ObjectServer, control: ControlApi, west: OperatorProcess
) -> Iterator[Site]:
    """A namespace whose controllers bring up at once what is to be up."""
    with rolling_out(cluster.server, cluster.namespace):
        yield Site(cluster, objects, control)


def slept(**more: Any) -> Standing:
    """A site that has caught up before."""
    fields: dict[str, Any] = {
        "since": now() - timedelta(hours=30),
        "caught_up": CaughtUp(watermark={"east/1": 1000}, at=now() - timedelta(hours=22)),
        "rate": 1000.0,
        "wakes": (14.0,),
        "verifies": (6.0,),
        **more,
    }
    return Standing(**fields)


def standby(site: Site, known: Standing | None = None, **plan: Any) -> dict[str, Any]:
    """Apply a plan of which west stands by, with what it remembers before its first look."""
    made = site.plan(**{"standby": {"windows": FAR}, **plan})
    remember(site, made, known or slept())
    # The Engine is what a look needs: before it is there nothing was read.
    site.engine()
    return made
