"""Who is who in one site: a certificate and a kubeconfig for each program."""

from __future__ import annotations

import base64
import datetime
import json
import shutil
from pathlib import Path
from typing import Any

from wayfare_lab.certificates import (
    Authority,
    Pair,
    private_pem,
    public_pem,
    signing_key,
    write_secret,
)
from wayfare_lab.layout import API_PORT, Site

IN_SITE = "/run/wayfare/conf/pki"
"""Where the site's programs see the folder that :func:`write_identities` fills."""

CLIENTS: dict[str, tuple[str, ...]] = {
    "kube-controller-manager": ("system:kube-controller-manager",),
    "kube-scheduler": ("system:kube-scheduler",),
    "kube-proxy": ("system:kube-proxy",),
    "coredns": ("system:coredns",),
    "network-policy": ("system:network-policy",),
    "volumes": ("system:lab-volumes",),
}
"""Programs that get a kubeconfig: user name, then groups."""


def write_identities(site: Site, now: datetime.datetime) -> None:
    """Make all certificates and kubeconfigs of a site, unless it has them.

    They appear as a whole: a half-made set is made again.
    """
    folder = site.conf / "pki"
    if folder.exists() and site.kubeconfig.exists():
        return
    shutil.rmtree(folder, ignore_errors=True)
    fresh = site.conf / "pki.new"
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir(parents=True, mode=0o700)
    authority = Authority(f"wayfare-lab-{site.name}", now)
    _servers(site, authority, fresh, now)
    ca = authority.pair.certificate
    local = f"https://127.0.0.1:{API_PORT}"
    for program, (user, *groups) in CLIENTS.items():
        _kubeconfig(
            fresh / f"{program}.kubeconfig", site, local, ca, authority.client(user, *groups)
        )
    node = authority.client(f"system:node:{site.name}", "system:nodes")
    _kubeconfig(fresh / "kubelet.kubeconfig", site, local, ca, node)
    admin = authority.client("wayfare-lab-admin", "system:masters")
    admin.write(fresh, "admin")
    _kubeconfig(fresh / "admin.kubeconfig", site, local, ca, admin)
    fresh.rename(folder)
    _kubeconfig(site.kubeconfig, site, site.server, ca, admin)


def _servers(site: Site, authority: Authority, folder: Path, now: datetime.datetime) -> None:
    own = [str(site.address.ip), str(site.management.ip), "127.0.0.1"]
    authority.pair.write(folder, "ca")
    authority.server(
        "kube-apiserver",
        [*own, str(site.api_service)],
        [
            "localhost",
            f"{site.name}.lab",
            "kubernetes",
            "kubernetes.default",
            "kubernetes.default.svc",
            "kubernetes.default.svc.cluster.local",
        ],
    ).write(folder, "apiserver")
    authority.client("kube-apiserver-kubelet-client", "wayfare:kubelet-clients").write(
        folder, "apiserver-kubelet"
    )
    authority.server(site.name, own, [site.name, "localhost"]).write(folder, "kubelet")

    # etcd trusts every client that its authority signed, so it has one of its own.
    etcd = Authority(f"wayfare-lab-{site.name}-etcd", now)
    etcd.pair.write(folder, "etcd-ca")
    etcd.server("etcd", ["127.0.0.1"], ["localhost"]).write(folder, "etcd")
    etcd.client("kube-apiserver").write(folder, "apiserver-etcd")

    # Whoever holds this one may act as anybody, so it signs the aggregator's client only.
    front = Authority(f"wayfare-lab-{site.name}-front-proxy", now)
    front.pair.write(folder, "front-proxy-ca")
    front.client("front-proxy").write(folder, "front-proxy")

    tokens = signing_key()
    write_secret(folder / "tokens.key", private_pem(tokens))
    (folder / "tokens.pub").write_bytes(public_pem(tokens))


def _kubeconfig(path: Path, site: Site, server: str, ca: bytes, pair: Pair) -> None:
    """A kubeconfig with everything in it, as JSON (which is YAML)."""
    name = f"wayfare-{site.name}"
    content: dict[str, Any] = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [
            {"name": name, "cluster": {"server": server, "certificate-authority-data": _b64(ca)}}
        ],
        "users": [
            {
                "name": name,
                "user": {
                    "client-certificate-data": _b64(pair.certificate),
                    "client-key-data": _b64(pair.key),
                },
            }
        ],
        "contexts": [{"name": name, "context": {"cluster": name, "user": name}}],
        "current-context": name,
    }
    write_secret(path, json.dumps(content, indent=2).encode())


def _b64(content: bytes) -> str:
    return base64.b64encode(content).decode()
