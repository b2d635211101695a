"""Network namespaces and links of the lab.

Each place has two links: ``eth0`` to a bridge that is in a namespace of its own, and
``mgmt0`` straight to the host. A partition takes down the first one only. Nothing of
the host is changed but for the ends of the second links and the routes through them.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from ipaddress import IPv4Network
from typing import Any

from wayfare_lab.layout import LINK_PREFIX, PREFIX, RANGE, SWITCH, Place, Site
from wayfare_lab.system import NETNS, namespaces, run, succeeds

_SWITCH_NAMESPACE = PREFIX + SWITCH
_BRIDGE = "br0"


def create_switch() -> None:
    """Make the namespace of the bridge, unless it is there."""
    if _SWITCH_NAMESPACE in namespaces() and succeeds(
        "ip", "-n", _SWITCH_NAMESPACE, "link", "show", _BRIDGE
    ):
        return
    _remove_namespace(_SWITCH_NAMESPACE)
    _create_namespace(_SWITCH_NAMESPACE)
    _batch(
        f"link add {_BRIDGE} type bridge",
        f"link set {_BRIDGE} up",
        "link set lo up",
        namespace=_SWITCH_NAMESPACE,
    )


def connect(place: Place) -> None:
    """Make a place's namespace with both its links, from nothing.

    What an earlier one left is removed first, so this is also what a reboot does.
    """
    disconnect(place)
    _create_namespace(place.namespace)
    _batch(
        f"link add {place.link} type veth peer name mgmt0 netns {place.namespace}",
        f"addr add {place.host_management} dev {place.link}",
        f"link set {place.link} up",
        *(f"route add {network} via {place.management.ip}" for network in _routed(place)),
    )
    _batch(
        f"link add {place.port} type veth peer name eth0 netns {place.namespace}",
        f"link set {place.port} master {_BRIDGE}",
        f"link set {place.port} {'down' if place.partitioned.exists() else 'up'}",
        _isolated(place, apart=place.apart.exists()),
        namespace=_SWITCH_NAMESPACE,
    )
    _batch(
        "link set lo up",
        f"addr add {place.management} dev mgmt0",
        "link set mgmt0 up",
        f"addr add {place.address} dev eth0",
        "link set eth0 up",
        # The node's own packets to a service need a route before they are redirected.
        *([f"route add {place.services} dev mgmt0"] if isinstance(place, Site) else []),
        namespace=place.namespace,
    )
    if isinstance(place, Site):
        inside(place, "nft", "-f", "-", stdin=_masquerade(place))


def disconnect(place: Place) -> None:
    """Remove a place's links and namespace; what is not there is no error."""
    # Links go first: those of a removed namespace disappear some time later only.
    succeeds("ip", "link", "delete", place.link)
    succeeds("ip", "-n", _SWITCH_NAMESPACE, "link", "delete", place.port)
    _remove_namespace(place.namespace)


def set_partitioned(place: Place, *, cut: bool) -> None:
    """Cut a place off from the switch, or join it again; management is not touched."""
    if cut:
        place.partitioned.touch()
    else:
        place.partitioned.unlink(missing_ok=True)
    state = "down" if cut else "up"
    if place.namespace in namespaces():
        run("ip", "-n", _SWITCH_NAMESPACE, "link", "set", place.port, state)


def set_apart(sites: Sequence[Site], *, apart: bool) -> None:
    """Cut sites off from each other, or join them again; each still reaches the vault.

    A port of a bridge that is isolated reaches only ports that are not.
    """
    for site in sites:
        if apart:
            site.apart.touch()
        else:
            site.apart.unlink(missing_ok=True)
        if site.namespace in namespaces():
            _batch(_isolated(site, apart=apart), namespace=_SWITCH_NAMESPACE)


def _isolated(place: Place, *, apart: bool) -> str:
    return f"link set {place.port} type bridge_slave isolated {'on' if apart else 'off'}"


def remove_all() -> None:
    """Remove every link and namespace of the lab, found by their names."""
    for link in links():
        succeeds("ip", "link", "delete", link)
    for name in namespaces():
        _remove_namespace(name)
    if NETNS.is_dir() and not any(NETNS.iterdir()) and not NETNS.is_mount():
        NETNS.rmdir()


def links() -> list[str]:
    """The lab's links in the host's namespace."""
    found: list[dict[str, Any]] = json.loads(run("ip", "-j", "link", "show"))
    return sorted(str(e["ifname"]) for e in found if str(e["ifname"]).startswith(LINK_PREFIX))


def conflicts() -> list[str]:
    """Routes of the host, other than the lab's own, that lie in the lab's address range."""
    routes: list[dict[str, Any]] = json.loads(run("ip", "-j", "route", "show", "table", "all"))
    found = []
    for route in routes:
        device, target = str(route.get("dev", "")), str(route.get("dst", ""))
        if device.startswith(LINK_PREFIX) or target == "default" or ":" in target:
            continue
        if IPv4Network(target, strict=False).overlaps(RANGE) and not target.startswith("0.0.0.0/"):
            found.append(f"{target} dev {device}")
    return found


def inside(place: Place, *argv: str, stdin: str | None = None) -> str:
    """Run a program in a place's network namespace, and nothing else of it.

    ``ip netns exec`` would mount /sys anew and hide the cgroups.
    """
    return run("nsenter", f"--net={NETNS / place.namespace}", "--", *argv, stdin=stdin)


def _routed(place: Place) -> list[IPv4Network]:
    """What the host reaches by a place's management link."""
    own = [IPv4Network(place.address.ip)]
    return [*own, place.pods, place.services] if isinstance(place, Site) else own


def _masquerade(site: Site) -> str:
    """Pods leave the site under the node's address: others have no route to them."""
    return (
        "table ip wayfare-leave {\n chain postrouting {\n"
        "  type nat hook postrouting priority srcnat; policy accept;\n"
        f'  ip saddr {site.pods} oifname "eth0" masquerade\n }}\n}}\n'
    )


def _create_namespace(name: str) -> None:
    # Not `ip netns add`: it turns /run/netns into a mount of its own, for good.
    NETNS.mkdir(parents=True, exist_ok=True)
    path = NETNS / name
    path.touch()
    run("unshare", f"--net={path}", "true")


def _remove_namespace(name: str) -> None:
    path = NETNS / name
    while succeeds("umount", "--lazy", str(path)):
        pass
    path.unlink(missing_ok=True)


def _batch(*commands: str, namespace: str | None = None) -> None:
    ip = shutil.which("ip") or "ip"
    where = ["-n", namespace] if namespace else []
    run(ip, *where, "-batch", "-", stdin="\n".join(commands) + "\n")
