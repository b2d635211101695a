"""The Helm binary: from PATH, or the one that the lab built."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import yaml

from tests.servers.require import need

CHART = Path(__file__).resolve().parents[2] / "helm" / "wayfare"


def helm_binary() -> str:
    """Path of helm; skips (fails in CI) where there is none."""
    found = os.environ.get("WAYFARE_HELM") or shutil.which("helm") or _of_the_lab()
    need(found, "helm: run `wayfare lab build`, or put helm on the PATH")
    assert found is not None
    return found


def _of_the_lab() -> str | None:
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "wayfare" / "bin"
    built = sorted(cache.glob("*/helm"), key=lambda path: path.stat().st_mtime)
    return str(built[-1]) if built else None


def helm(*arguments: str, kubeconfig: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Run helm to its end; the caller judges the return code."""
    environment = {**os.environ, "HELM_KUBECONTEXT": ""}
    if kubeconfig is not None:
        environment["KUBECONFIG"] = str(kubeconfig)
    return subprocess.run(
        [helm_binary(), *arguments],
        capture_output=True,
        text=True,
        env=environment,
        timeout=120,
        check=False,
    )


def rendered(*arguments: str, namespace: str = "wayfare-system") -> list[dict[str, Any]]:
    """The objects that the chart makes with these arguments."""
    done = helm("template", "wayfare", str(CHART), "--namespace", namespace, *arguments)
    assert done.returncode == 0, done.stderr
    return [document for document in yaml.safe_load_all(done.stdout) if document]
