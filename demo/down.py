"""`make demo-down`: remove what the demo made. Safe to repeat, and after a demo that failed.

    python -m demo.down [--cluster KUBECONFIG]

Without --cluster the whole lab goes; with it, the engine, the chart and the kinds go and the
cluster stays.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from demo.cluster import NAMESPACE, RELEASE, SYSTEM, given_cluster, lab_impossible
from demo.outside import OUTSIDE
from demo.steps import TOP, WAYFARE, StepFailed, Steps


def main(argv: Sequence[str] | None = None) -> int:
    """Command line; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m demo.down", description="Remove the demo.")
    parser.add_argument("--cluster", type=Path, metavar="KUBECONFIG", help="instead of the lab")
    arguments = parser.parse_args(argv)
    steps = Steps(Console(highlight=False, soft_wrap=True), TOP / "build" / "demo-down.log")
    try:
        if arguments.cluster is not None:
            _clean(arguments.cluster, steps)
        elif lab_impossible() is None:
            with steps.step("lab down") as note:
                steps.run(WAYFARE, "lab", "down")
                note.text = "nothing of it is left"
        else:
            steps.console.print("There is nothing to remove: without a cluster, nothing stays.")
    except StepFailed as failed:
        steps.console.print(f"\n{steps.current}: failed. {failed}", markup=False, style="red")
        steps.console.print(f"Every command and what it said: {steps.log}", markup=False)
        return 1
    return 0


def _clean(kubeconfig: Path, steps: Steps) -> None:
    cluster = given_cluster(steps, kubeconfig)
    with steps.step("namespace") as note:
        for name in (NAMESPACE, OUTSIDE):
            cluster.kubectl("delete", "namespace", name, "--ignore-not-found", "--timeout=120s")
        note.text = f"{NAMESPACE}, {OUTSIDE} and all in them"
    with steps.step("chart") as note:
        cluster.run("helm", "uninstall", RELEASE, "-n", SYSTEM, "--ignore-not-found", "--wait")
        cluster.kubectl("delete", "namespace", SYSTEM, "--ignore-not-found", "--timeout=120s")
        note.text = f"{RELEASE} and {SYSTEM}"
    with steps.step("kinds") as note:
        found = cluster.get("crd")["items"]
        names = [
            item["metadata"]["name"] for item in found if item["spec"]["group"] == "wayfare.dev"
        ]
        # Other namespaces may hold objects of these kinds, which would go with them.
        used = [
            name
            for name in names
            if cluster.kubectl("get", name, "-A", "-o", "name", "--ignore-not-found").strip()
        ]
        if used:
            note.text = f"left in place: still used: {', '.join(used)}"
        elif names:
            cluster.kubectl("delete", "crd", *names, "--timeout=60s")
            note.text = "removed"
        else:
            note.text = "there were none"


if __name__ == "__main__":
    sys.exit(main())
