"""What the lab needs of the machine, looked at before anything is changed."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

from wayfare_lab import network
from wayfare_lab.errors import MissingRequirement
from wayfare_lab.layout import RANGE
from wayfare_lab.settings import cni_folder

_PACKAGES = {
    "containerd": "containerd",
    "ctr": "containerd",
    "runc": "runc",
    "nft": "nftables",
    "iptables": "iptables",
    "conntrack": "conntrack",
    "ip": "iproute2",
    "nsenter": "util-linux",
    "unshare": "util-linux",
    "umount": "mount",
}
"""Program → the Debian package that has it."""


def check() -> None:
    """Look at the machine.

    :raises MissingRequirement: naming everything that is missing, not only the first thing.
    """
    missing = lacking()
    if missing:
        raise MissingRequirement(
            missing,
            "On Debian, `scripts/debian-packages` as root installs the packages.",
        )
    conflicts = network.conflicts()
    if conflicts:
        raise MissingRequirement(
            [f"this machine already uses addresses of {RANGE}: {', '.join(conflicts)}"],
            "The lab needs that range for itself.",
        )


def lacking() -> list[str]:
    """What is missing, a phrase each; empty when the lab can run (addresses aside)."""
    if sys.platform != "linux":
        return ["it needs Linux (network namespaces, containerd)"]
    missing = []
    if os.geteuid() != 0:
        missing.append("it needs root")
    search = os.environ.get("PATH", "") + ":/usr/sbin:/sbin"
    packages = {pkg for tool, pkg in _PACKAGES.items() if not shutil.which(tool, path=search)}
    if cni_folder() is None:
        packages.add("containernetworking-plugins")
    if packages:
        missing.append(f"packages are not installed: {' '.join(sorted(packages))}")
    if not Path("/sys/fs/cgroup").is_mount():
        missing.append("no cgroups are mounted at /sys/fs/cgroup")
    return missing
