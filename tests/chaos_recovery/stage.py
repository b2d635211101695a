"""Two sites for one schedule after the other: servers of the harness, and an API server each."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from tests.chaos_recovery.play import Player
from tests.harness.site import Pace
from tests.harness.sites import SITES, TwoSites, two_sites
from tests.operator.conftest import Cluster
from tests.operator.recovery.place import ENGINE, Place, placed
from tests.servers.apiserver import ApiServer, running_apiserver
from tests.servers.canaries import Canaries, singing
from tests.servers.control import ControlApi, control_api
from tests.servers.operating import operating
from tests.servers.operator import grant

SLOW = Pace(write=0.15, seal=0.2, send=0.1, obey=0.1)
"""Slow enough for two sites with all that runs beside them, and something is in flight whenever one
fails."""
POLLS = {"WAYFARE_RECOVERY_POLL_SECONDS": "0.5", "WAYFARE_RECOVERY_IDLE_POLL_SECONDS": "1"}


@dataclass
class Stage:
    """What is started once. Each schedule has a namespace, a prefix in the store, and databases
    that are empty."""

    sites: TwoSites
    servers: dict[str, ApiServer]
    control: ControlApi
    _numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    @contextlib.contextmanager
    def player(self, seed: int, folder: Path) -> Iterator[Player]:
        """Everything for one schedule, gone afterwards."""
        namespace = f"seed-{seed}-{next(self._numbers)}"
        plan = f"{namespace}.{ENGINE}"
        with ExitStack() as stack:
            run = stack.enter_context(self.sites.run(folder, seed=seed, plan=plan, pace=SLOW))
            places, operators = {}, {}
            for site in SITES:
                (folder / site).mkdir()
                cluster = Cluster(self.servers[site], self.servers[site].make_namespace(namespace))
                place = Place(
                    cluster,
                    self.control,
                    self.sites.objects,
                    self.sites.postgresql,
                    folder / site,
                    site=site,
                    url=run.store_url,
                )
                place.serving.site = site
                way = run.faults.options(site)
                place.jobs.secrets = {**place.jobs.secrets, "vault": way}
                place.jobs.extra = {
                    **place.jobs.extra,
                    "WAYFARE_FORK_DSN": self.sites.spare.dsn,
                    "WAYFARE_OBJECT_STORE_TIMEOUT_SECONDS": "2",
                }
                stack.enter_context(placed(place))
                stack.enter_context(singing(Canaries(cluster.server, cluster.namespace)))
                operator = place.operator(folder / site / "operator", **way, **POLLS)
                stack.enter_context(operating(operator))
                place.make_engine()
                places[site], operators[site] = place, operator
            player = Player(run, places, operators)
            stack.callback(player.pods.end)
            yield player


@contextlib.contextmanager
def staged(folder: Path) -> Iterator[Stage]:
    """The servers."""
    with ExitStack() as stack:
        servers = {}
        for site in SITES:
            (folder / f"api-{site}").mkdir()
            servers[site] = stack.enter_context(running_apiserver(folder / f"api-{site}"))
            servers[site].install_crds()
            grant(servers[site])
        yield Stage(stack.enter_context(two_sites()), servers, stack.enter_context(control_api()))
