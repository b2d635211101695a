"""Configuration files of a site's programs, as data."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from wayfare_lab.identities import IN_SITE as PKI
from wayfare_lab.layout import DOMAIN, Site, vault

CONF = "/run/wayfare/conf"
PAUSE_IMAGE = "localhost/wayfare-pause:lab"
STORAGE_CLASS = "lab"
_CNI_FOLDERS = ("/usr/lib/cni", "/opt/cni/bin", "/usr/libexec/cni")


def write_settings(site: Site, others: list[Site]) -> None:
    """Write every configuration file of a site.

    :param others: all sites of the lab, whose names pods can look up.
    """
    files = {
        "containerd.toml": containerd(),
        "cni/10-lab.conflist": _json(cni(site)),
        "kubelet.yaml": _json(kubelet(site)),
        "kube-proxy.yaml": _json(kube_proxy(site)),
        "Corefile": corefile(site, others),
        # Pods of policy Default inherit this; a lab has no other DNS.
        "resolv.conf": f"nameserver {site.dns_service}\n",
    }
    for name, content in files.items():
        path = site.conf / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)


def cni_folder() -> Path | None:
    """Where the machine's CNI plugins are; None when it has none."""
    return next((Path(f) for f in _CNI_FOLDERS if (Path(f) / "ptp").exists()), None)


def containerd() -> str:
    """The runtime: everything below the site's own /run and /var/lib."""
    apparmor = shutil.which("apparmor_parser") is None
    return f"""version = 2
root = "/var/lib/containerd"
state = "/run/containerd"
disabled_plugins = [
  "io.containerd.snapshotter.v1.aufs", "io.containerd.snapshotter.v1.btrfs",
  "io.containerd.snapshotter.v1.devmapper", "io.containerd.snapshotter.v1.zfs",
  "io.containerd.internal.v1.opt", "io.containerd.tracing.processor.v1.otlp",
]
[grpc]
address = "/run/containerd/containerd.sock"
[plugins."io.containerd.grpc.v1.cri"]
sandbox_image = "{PAUSE_IMAGE}"
restrict_oom_score_adj = true
disable_apparmor = {str(apparmor).lower()}
[plugins."io.containerd.grpc.v1.cri".containerd]
snapshotter = "overlayfs"
default_runtime_name = "runc"
[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
runtime_type = "io.containerd.runc.v2"
[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
SystemdCgroup = false
[plugins."io.containerd.grpc.v1.cri".cni]
bin_dir = "{cni_folder() or _CNI_FOLDERS[0]}"
conf_dir = "{CONF}/cni"
"""


def cni(site: Site) -> dict[str, Any]:
    """The pods' network: every packet is routed by the node, so that policies see it."""
    return {
        "cniVersion": "0.4.0",
        "name": "lab",
        "plugins": [
            {
                "type": "ptp",
                "ipMasq": False,
                "ipam": {
                    "type": "host-local",
                    # Below /run: a site that starts anew has no pods yet.
                    "dataDir": "/run/cni",
                    "ranges": [[{"subnet": str(site.pods)}]],
                    "routes": [{"dst": "0.0.0.0/0"}],
                },
            },
            {"type": "portmap", "capabilities": {"portMappings": True}},
        ],
    }


def kubelet(site: Site) -> dict[str, Any]:
    """The kubelet: no anonymous access, one cgroup for all pods of the site."""
    return {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "authentication": {
            "anonymous": {"enabled": False},
            "webhook": {"enabled": True},
            "x509": {"clientCAFile": f"{PKI}/ca.crt"},
        },
        "authorization": {"mode": "Webhook"},
        "tlsCertFile": f"{PKI}/kubelet.crt",
        "tlsPrivateKeyFile": f"{PKI}/kubelet.key",
        "cgroupDriver": "cgroupfs",
        # Two kubelets below one cgroup would each remove the other's pods.
        "cgroupRoot": f"/{site.cgroup}",
        "enforceNodeAllocatable": [],
        "failCgroupV1": False,
        "failSwapOn": False,
        "evictionHard": {},
        "imageGCHighThresholdPercent": 100,
        "clusterDNS": [str(site.dns_service)],
        "clusterDomain": "cluster.local",
        "resolvConf": f"{CONF}/resolv.conf",
        "containerRuntimeEndpoint": "unix:///run/containerd/containerd.sock",
    }


def kube_proxy(site: Site) -> dict[str, Any]:
    """Services by nftables; conntrack's limits belong to the host and stay as they are."""
    return {
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "clientConnection": {"kubeconfig": f"{PKI}/kube-proxy.kubeconfig"},
        "mode": "nftables",
        "nftables": {"minSyncPeriod": "50ms", "syncPeriod": "30s"},
        "clusterCIDR": str(site.pods),
        "detectLocalMode": "ClusterCIDR",
        "hostnameOverride": site.name,
        "healthzBindAddress": "127.0.0.1:10256",
        "metricsBindAddress": "127.0.0.1:10249",
        "conntrack": {
            "maxPerCore": 0,
            "min": 0,
            "tcpEstablishedTimeout": "0s",
            "tcpCloseWaitTimeout": "0s",
        },
    }


def corefile(site: Site, others: list[Site]) -> str:
    """DNS: the cluster's names, the lab's names, and for all else "no such name"."""
    hosts = "\n".join(
        f"    {place.address.ip} {place.name}.{DOMAIN}" for place in [*others, vault()]
    )
    return f"""cluster.local:53 in-addr.arpa:53 {{
  bind {site.address.ip}
  errors
  ready 127.0.0.1:8181
  kubernetes cluster.local in-addr.arpa {{
    kubeconfig {PKI}/coredns.kubeconfig
    pods insecure
    ttl 5
  }}
  cache 5
}}
{DOMAIN}:53 {{
  bind {site.address.ip}
  errors
  hosts {{
{hosts}
    ttl 5
  }}
}}
.:53 {{
  bind {site.address.ip}
  errors
  template ANY ANY . {{
    rcode NXDOMAIN
  }}
}}
"""


def _json(content: dict[str, Any]) -> str:
    return json.dumps(content, indent=2) + "\n"
