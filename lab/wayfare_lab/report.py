"""What `wayfare lab status` tells."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from wayfare_lab import state
from wayfare_lab.api import Api
from wayfare_lab.errors import ApiError
from wayfare_lab.lab import Lab, node_ready
from wayfare_lab.layout import Place, Site, s3_endpoint, vault
from wayfare_lab.system import members, memory


@dataclass(frozen=True)
class PlaceReport:
    """One site, or the vault."""

    state: str
    """``ready``, ``starting``, or ``killed`` (on disk only)."""
    partitioned: bool
    address: str
    management: str
    processes: int
    memory_bytes: int
    restarts: int
    """How often one of its programs ended and was started again."""


@dataclass(frozen=True)
class Report:
    """The whole lab; ``clone`` is empty when none is up."""

    clone: str
    sites: dict[str, PlaceReport]
    vault: PlaceReport | None
    memory_bytes: int
    servers: dict[str, str]
    kubeconfigs: dict[str, str]
    s3_endpoint: str
    s3_credentials: str

    def document(self) -> dict[str, Any]:
        """The same as plain data, for JSON."""
        return asdict(self)


def report(lab: Lab) -> Report:
    """Look at the lab as it is now."""
    owner = state.read_owner()
    if owner is None:
        return Report("", {}, None, 0, {}, {}, "", "")
    sites = {site.name: _place(site, _site_state(site)) for site in owner.all()}
    store = _place(vault(), "ready" if state.running(vault()) else "killed")
    return Report(
        clone=str(owner.clone),
        sites=sites,
        vault=store,
        memory_bytes=store.memory_bytes + sum(site.memory_bytes for site in sites.values()),
        servers={site.name: site.server for site in owner.all()},
        kubeconfigs={site.name: str(site.kubeconfig) for site in owner.all()},
        s3_endpoint=s3_endpoint(),
        s3_credentials=str(vault().data / "credentials.json"),
    )


def _site_state(site: Site) -> str:
    if state.running(site) is None:
        return "killed"
    try:
        return "ready" if node_ready(Api(site), site) else "starting"
    except (OSError, ApiError):
        return "starting"


def _place(place: Place, named: str) -> PlaceReport:
    pids = members(place.name)
    return PlaceReport(
        state=named,
        partitioned=place.partitioned.exists(),
        address=str(place.address.ip),
        management=str(place.management.ip),
        processes=len(pids),
        memory_bytes=memory(pids),
        restarts=_restarts(place.log / "machine.log"),
    )


def _restarts(log: Path) -> int:
    if not log.exists():
        return 0
    return sum(" ended: " in line for line in log.read_text(errors="replace").splitlines())
