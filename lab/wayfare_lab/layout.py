"""Names, addresses and folders of the lab: the one place where they are spelled."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Interface, IPv4Network
from pathlib import Path

from wayfare_lab.errors import InvalidSites

PREFIX = "wayfare-"
"""Network namespaces and cgroups of the lab begin with this."""

LINK_PREFIX = "wf-"
"""Links of the lab in the host's network namespace begin with this."""

MARKER = "WAYFARE_LAB"
"""Environment variable that every process of the lab carries; its value is the site."""

RUN = Path("/run/wayfare-lab")
DATA = Path("/var/lib/wayfare-lab")

RANGE = IPv4Network("10.77.0.0/16")
SWITCH = "switch"
VAULT = "vault"
MAX_SITES = 4
VAULT_INDEX = 15
S3_PORT = 8333
BUCKET = "wayfare"
API_PORT = 6443
DOMAIN = "lab"
"""DNS suffix under which pods find sites and the vault: ``vault.lab``, ``east.lab``."""

_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]{0,38}[a-z0-9])?")
_LINK_LENGTH = 15


@dataclass(frozen=True)
class Place:
    """A network namespace with a machine in it: a site, or the vault."""

    name: str
    index: int

    @property
    def namespace(self) -> str:
        return PREFIX + self.name

    @property
    def cgroup(self) -> str:
        """The cgroup of the site's pods, below each hierarchy's root."""
        return PREFIX + self.name

    @property
    def link(self) -> str:
        """The host's end of the management link."""
        return _fits(LINK_PREFIX, self.name)

    @property
    def port(self) -> str:
        """The switch's end of the site's link; taking it down is a partition."""
        return _fits("p-", self.name)

    @property
    def address(self) -> IPv4Interface:
        """Address on the switch, the one that other sites and the vault see."""
        host = 20 if self.index == VAULT_INDEX else 11 + self.index
        return IPv4Interface((RANGE.network_address + host, 24))

    @property
    def host_management(self) -> IPv4Interface:
        """The host's end of the management link."""
        return IPv4Interface((RANGE.network_address + 256 + 4 * self.index + 1, 30))

    @property
    def management(self) -> IPv4Interface:
        """The site's end of the management link; it stays up in a partition."""
        return IPv4Interface((RANGE.network_address + 256 + 4 * self.index + 2, 30))

    @property
    def run(self) -> Path:
        return RUN / self.name

    @property
    def data(self) -> Path:
        return DATA / self.name

    @property
    def lib(self) -> Path:
        """What the site sees as /var/lib."""
        return self.data / "lib"

    @property
    def log(self) -> Path:
        """What the site sees as /var/log."""
        return self.data / "log"

    @property
    def conf(self) -> Path:
        """What the site sees as /run/wayfare/conf."""
        return self.data / "conf"

    @property
    def spec(self) -> Path:
        return self.data / "machine.json"

    @property
    def partitioned(self) -> Path:
        """Exists while the site is cut off; a partition outlives kill and restore."""
        return self.data / "partitioned"

    @property
    def apart(self) -> Path:
        """Exists while the site is cut off from the other sites, and not from the vault."""
        return self.data / "apart"


@dataclass(frozen=True)
class Site(Place):
    """A Kubernetes cluster of one node."""

    @property
    def pods(self) -> IPv4Network:
        return IPv4Network((RANGE.network_address + (64 + 16 * self.index) * 256, 20))

    @property
    def services(self) -> IPv4Network:
        return IPv4Network((RANGE.network_address + (128 + 16 * self.index) * 256, 20))

    @property
    def api_service(self) -> IPv4Address:
        return self.services.network_address + 1

    @property
    def dns_service(self) -> IPv4Address:
        return self.services.network_address + 10

    @property
    def server(self) -> str:
        """The API server's URL, by the management address."""
        return f"https://{self.management.ip}:{API_PORT}"

    @property
    def kubeconfig(self) -> Path:
        return self.data / "kubeconfig"


def vault() -> Place:
    """The place of the object store that all sites reach."""
    return Place(VAULT, VAULT_INDEX)


def s3_endpoint() -> str:
    """The object store's URL, as sites and pods reach it."""
    return f"http://{vault().address.ip}:{S3_PORT}"


def assign(wanted: list[str], existing: dict[str, int]) -> dict[str, int]:
    """Give each wanted site a number, keeping those that have one.

    :param existing: the numbers of the sites that the lab has.
    :returns: the numbers of all sites, existing and wanted.
    :raises InvalidSites: for a name that is no DNS label, is taken, or is one too many.
    """
    numbers = dict(existing)
    for name in wanted:
        if not _LABEL.fullmatch(name):
            raise InvalidSites(
                f"{name!r} cannot name a site: use lower-case letters, digits and '-', "
                "at most 40, beginning and ending with a letter or digit."
            )
        if name in (SWITCH, VAULT):
            raise InvalidSites(f"{name!r} is the name of a part of the lab; choose another one.")
        if name in numbers:
            continue
        free = [number for number in range(MAX_SITES) if number not in numbers.values()]
        if not free:
            raise InvalidSites(f"A lab has at most {MAX_SITES} sites; {name!r} is one too many.")
        numbers[name] = free[0]
    return numbers


def _fits(prefix: str, name: str) -> str:
    """A link name of at most 15 characters, distinct for distinct names."""
    if len(prefix) + len(name) <= _LINK_LENGTH:
        return prefix + name
    digest = hashlib.sha256(name.encode()).hexdigest()
    return prefix + digest[: _LINK_LENGTH - len(prefix)]
