"""The lab as a whole: what each command does."""

from __future__ import annotations

import datetime
import socket
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from wayfare_lab import binaries, cgroups, images, machines, network, remains, requirements, state
from wayfare_lab.api import Api
from wayfare_lab.dns import lookup
from wayfare_lab.errors import ApiError, NotReady, OtherLabUp, SiteNotRunning, UnknownSite
from wayfare_lab.layout import S3_PORT, VAULT, Place, Site, assign, vault
from wayfare_lab.objects import initial
from wayfare_lab.system import Process, boot_id, enter

CLONE = Path(__file__).resolve().parents[2]
"""The clone whose lab this is."""

_T = TypeVar("_T")

Say = Callable[[str, str], None]
"""Called with a site's name and what it does now."""

_PATIENCE = 90.0
_EVERY = 0.05


def _silent(_site: str, _doing: str) -> None:
    return


@dataclass(frozen=True)
class Lab:
    """This clone's lab.

    :param clone: whose lab it is; a machine has one lab at a time.
    :param say: told what each site does while it starts.
    """

    clone: Path = CLONE
    say: Say = _silent
    clock: Callable[[], datetime.datetime] = lambda: datetime.datetime.now(datetime.UTC)

    def up(self, wanted: list[str], folder: Path) -> list[Site]:
        """Bring up the vault and the wanted sites, beside those that run already.

        :param folder: the binaries.
        :returns: the wanted sites, all ready.
        """
        requirements.check()
        with state.locked():
            owner = self._own(wanted)
            sites = [owner.site(name) for name in dict.fromkeys(wanted)]
            network.create_switch()
            if state.running(vault()) is None:
                machines.start_vault(vault(), folder)
            with ThreadPoolExecutor(len(sites)) as pool:
                list(pool.map(lambda site: self._bring_up(site, owner.all(), folder), sites))
            self._wait(vault(), "object store", lambda: _accepts(vault(), S3_PORT))
        return sites

    def down(self, *, keep_data: bool = False) -> None:
        """Take the lab away, and all that was left of one.

        :raises OtherLabUp: when another clone's lab is up.
        """
        with state.locked():
            owner = state.read_owner()
            self._refuse_other(owner)
            numbers = owner.sites if owner else state.kept()
            remains.remove_all(keep_data=keep_data)
            if keep_data and numbers:
                state.note_kept(numbers)

    def owner(self) -> state.Owner:
        """The lab that is up; one without sites when none is."""
        owner = state.read_owner()
        return owner if owner else state.Owner(self.clone, boot_id())

    def place(self, name: str) -> Place:
        """A site, or the vault.

        :raises UnknownSite: when the lab has none of that name.
        """
        owner = self.owner()
        return vault() if name == VAULT and owner.sites else owner.site(name)

    def process(self, place: Place) -> Process:
        """:raises SiteNotRunning: when the place does not run."""
        process = state.running(place)
        if process is None:
            raise SiteNotRunning(place.name)
        return process

    def partition(self, name: str) -> None:
        """Cut a place off from all others; the host still reaches it."""
        with state.locked():
            network.set_partitioned(self._ours(name), cut=True)

    def part_sites(self) -> None:
        """Cut all sites off from each other; each still reaches the vault."""
        with state.locked():
            network.set_apart(self.owner().all(), apart=True)

    def heal(self, name: str) -> None:
        """Join a place that was cut off, and the sites to each other."""
        with state.locked():
            network.set_partitioned(self._ours(name), cut=False)
            network.set_apart(self.owner().all(), apart=False)

    def pin(self, name: str, cpus: str) -> None:
        """Keep a site on some processors, such as ``0`` or ``0-1``, until it is lost or pinned
        anew: so two sites disturb each other as little as two machines do."""
        with state.locked():
            cgroups.pin(self._ours(name).cgroup, cpus)

    def kill(self, name: str) -> datetime.datetime:
        """Lose a place: everything in it ends at once; its disk stays.

        :returns: when that was.
        """
        with state.locked():
            return machines.stop(self._ours(name))

    def restore(self, name: str, folder: Path) -> None:
        """Start a place that was lost, from its disk."""
        with state.locked():
            place = self._ours(name)
            if isinstance(place, Site):
                self._bring_up(place, self.owner().all(), folder)
                return
            if state.running(place) is None:
                machines.start_vault(place, folder)
            self._wait(place, "object store", lambda: _accepts(place, S3_PORT))

    def load_image(self, archive: Path, names: list[str]) -> dict[str, bool]:
        """Load an archive into sites, at the same time.

        :param names: the sites; empty for all that run.
        :returns: site → whether anything had to be loaded.
        """
        owner = self.owner()
        sites = [owner.site(name) for name in names]
        if not names:
            sites = [site for site in owner.all() if state.running(site)]
        if not sites:
            raise UnknownSite("(any)", [])
        pids = {site.name: self.process(site).pid for site in sites}
        with ThreadPoolExecutor(len(pids)) as pool:
            done = pool.map(lambda pid: images.load(pid, archive), pids.values())
            return dict(zip(pids, done, strict=True))

    def command(self, name: str, argv: list[str]) -> list[str]:
        """The command that runs ``argv`` inside a place."""
        return enter(self.process(self.place(name)).pid, argv)

    def _own(self, wanted: list[str]) -> state.Owner:
        """Make the lab this clone's, over what a dead one left."""
        owner = state.read_owner()
        self._refuse_other(owner)
        if owner is None or not state.alive(owner) or self._left_over(owner):
            kept = state.kept()
            remains.remove_all(keep_data=bool(kept))
            owner = state.Owner(self.clone, boot_id(), kept)
        owner.sites = assign(wanted, owner.sites)
        owner.clone = self.clone
        state.write_owner(owner)
        return owner

    def _refuse_other(self, owner: state.Owner | None) -> None:
        if owner and owner.clone != self.clone and state.alive(owner):
            if self._left_over(owner):
                return
            raise OtherLabUp(owner.clone)

    def _left_over(self, owner: state.Owner) -> bool:
        """Whether the clone that the lab is of is gone, so that nobody can take it down there."""
        return owner.clone != self.clone and not owner.clone.is_dir()

    def _ours(self, name: str) -> Place:
        self._refuse_other(state.read_owner())
        return self.place(name)

    def _bring_up(self, site: Site, sites: list[Site], folder: Path) -> None:
        since = None
        if state.running(site) is None:
            self.say(site.name, "starting")
            # What the API server tells has whole seconds.
            since = self.clock().replace(microsecond=0)
            machines.start_site(site, sites, folder, since)
        api = Api(site)
        self.say(site.name, "waiting for the API server")
        self._wait(site, "API server", api.ready)
        for path, content in initial(site):
            api.apply(path, content)
        self.say(site.name, "loading the pause image")
        pid = self.process(site).pid
        self._wait(site, "container runtime", lambda: images.runtime_listens(pid))
        images.load(pid, folder / "pause.tar")
        self.say(site.name, "waiting for the node")
        self._wait(site, "ready node", lambda: node_ready(api, site, since))
        self.say(site.name, "waiting for DNS")
        name = "kubernetes.default.svc.cluster.local"
        self._wait(site, "DNS answer", lambda: lookup(site.dns_service, name) == site.api_service)
        if since:
            self._wait(site, "pods started anew", lambda: not stale_pods(api, since))
        self.say(site.name, "ready")

    def _wait(self, place: Place, what: str, fact: Callable[[], _T]) -> _T:
        end, last = time.monotonic() + _PATIENCE, ""
        while time.monotonic() < end:
            try:
                if answer := fact():
                    return answer
            except (OSError, ApiError) as error:
                last = str(error)
            if state.running(place) is None:
                raise SiteNotRunning(place.name)
            time.sleep(_EVERY)
        raise NotReady(place.name, what, _PATIENCE, place.log, last)


def ensure_binaries(progress: binaries.Progress) -> Path:
    """The folder of the lab's binaries, built when need be."""
    return binaries.ensure(progress)


def node_ready(api: Api, site: Site, since: datetime.datetime | None = None) -> bool:
    """Whether the site's node says that it is ready.

    :param since: what it said before this does not count, as after a loss of the site.
    """
    node = api.get(f"/api/v1/nodes/{site.name}")
    conditions = node["status"].get("conditions", []) if node else []
    return any(
        c["type"] == "Ready"
        and c["status"] == "True"
        and (since is None or _time(c["lastHeartbeatTime"]) >= since)
        for c in conditions
    )


def stale_pods(api: Api, since: datetime.datetime) -> list[str]:
    """Pods with a container that is said to run since before a time."""
    pods = api.get("/api/v1/pods") or {"items": []}
    return [
        f"{pod['metadata']['namespace']}/{pod['metadata']['name']}"
        for pod in pods["items"]
        for container in pod["status"].get("containerStatuses", [])
        if (running := container["state"].get("running")) and _time(running["startedAt"]) < since
    ]


def _time(text: str) -> datetime.datetime:
    return datetime.datetime.fromisoformat(text.replace("Z", "+00:00"))


def _accepts(place: Place, port: int) -> bool:
    try:
        socket.create_connection((str(place.management.ip), port), timeout=1).close()
    except OSError:
        return False
    return True
