"""Building the lab's binaries, once for each state of their sources."""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from wayfare_lab import toolchain
from wayfare_lab.errors import BuildFailed
from wayfare_lab.images import write_archive
from wayfare_lab.settings import PAUSE_IMAGE

KUBERNETES = "v1.34.4"
_LAB = Path(__file__).resolve().parents[1]
_PROGRAMS = (
    "coredns", "etcd", "helm", "kube-apiserver", "kube-controller-manager", "kube-proxy",
    "kube-scheduler", "kubectl", "kubelet", "network-policy", "volumes",
)  # fmt: skip

# The linker drops debugging information anyway; not making it saves a seventh of the time.
_COMPILER_FLAGS = "all=-dwarf=false"

Progress = Callable[[str, int, int], None]
"""Called with a program's name, the packages compiled, and all packages (0: not known yet)."""


@dataclass(frozen=True)
class _Target:
    name: str
    module: str
    package: str
    flags: str = "-s -w"


# What Helm's own build sets, so that `helm template` and `helm lint` know which Kubernetes this is.
_HELM = "helm.sh/helm/v4"
_HELM_FLAGS = " ".join(
    f"-X {_HELM}/{package}Major=1 -X {_HELM}/{package}Minor={KUBERNETES.split('.')[1]}"
    for package in (
        "internal/version.kubeClientVersion",
        "pkg/chart/common.k8sVersion",
        "pkg/chart/v2/lint/rules.k8sVersion",
    )
)

_TARGETS = (
    _Target("pause", "node", "./pause"),
    _Target("machine", "node", "./machine"),
    _Target("testserver", "node", "./testserver"),
    _Target(
        "wayfare-cluster",
        "cluster",
        ".",
        f"-s -w -X k8s.io/component-base/version.gitVersion={KUBERNETES} {_HELM_FLAGS}",
    ),
)


def cache() -> Path:
    """Where all builds are kept."""
    home = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(home) / "wayfare" / "bin"


def find() -> Path | None:
    """The folder of binaries for the present sources; None when they are not built."""
    folder = cache() / _key(toolchain.find(_modules()))
    return folder if folder.is_dir() else None


def ensure(progress: Progress) -> Path:
    """The folder of binaries for the present sources, built when need be.

    Only one build runs at a time; the folder appears when all of it is there.

    :raises MissingRequirement: without a toolchain, or with too little disk or memory.
    :raises BuildFailed: with the compiler's last words.
    """
    tools = toolchain.find(_modules())
    folder = cache() / _key(tools)
    if folder.is_dir():
        return folder
    cache().mkdir(parents=True, exist_ok=True)
    with _alone():
        if folder.is_dir():
            return folder
        memory = toolchain.check_room(cache())
        made = Path(tempfile.mkdtemp(prefix="building-", dir=cache()))
        try:
            for target in _TARGETS:
                _build(tools, target, made / target.name, memory, progress)
            for program in _PROGRAMS:
                (made / program).symlink_to("wayfare-cluster")
            write_archive(
                made / "pause.tar", PAUSE_IMAGE, {"pause": made / "pause"}, entrypoint=["/pause"]
            )
            made.chmod(0o755)
            made.rename(folder)
        finally:
            shutil.rmtree(made, ignore_errors=True)
    return folder


def _build(
    tools: toolchain.Toolchain, target: _Target, output: Path, memory: int, progress: Progress
) -> None:
    environment = tools.environment(memory=memory)
    where = _LAB / target.module
    progress(target.name, 0, 0)
    listed = subprocess.run(
        [str(tools.go), "list", "-deps", target.package],
        cwd=where, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if listed.returncode:
        raise BuildFailed(target.name, listed.stderr)
    total = len(listed.stdout.splitlines())
    argv = [
        str(tools.go), "build", "-v", "-trimpath", f"-ldflags={target.flags}",
        f"-gcflags={_COMPILER_FLAGS}",
        "-o", str(output), target.package,
    ]  # fmt: skip
    seen = 0
    last: list[str] = []
    with subprocess.Popen(
        argv, cwd=where, env=environment, stderr=subprocess.PIPE, text=True
    ) as build:
        for line in build.stderr or ():
            last = [*last[-40:], line]
            if not line.startswith(("#", " ", "\t", "go: ")):
                seen += 1
                progress(target.name, min(seen, total), total)
    if build.returncode:
        raise BuildFailed(target.name, "".join(last))


def _key(tools: toolchain.Toolchain) -> str:
    """16 hexadecimal digits that change with the sources and the toolchain."""
    digest = hashlib.sha256(f"{tools.version} {_COMPILER_FLAGS} {_TARGETS}".encode())
    for module in _modules():
        for path in sorted(module.rglob("*")):
            if path.suffix == ".go" or path.name in ("go.mod", "go.sum"):
                digest.update(f"{path.relative_to(_LAB)}\0".encode())
                digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()[:16]


def _modules() -> list[Path]:
    return [_LAB / name for name in ("cluster", "node")]


@contextmanager
def _alone() -> Iterator[None]:
    with (cache() / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
