"""What the lab's sites say of themselves after a step failed, for whoever looks into the log."""

from __future__ import annotations

from demo.cluster import ENGINE, NAMESPACE, RELEASE, SYSTEM
from demo.steps import WAYFARE, StepFailed, Steps

_ASKED = (
    ("get", "pods,jobs", "-A", "-o", "wide"),
    ("get", "events", "-A", "--sort-by=.lastTimestamp"),
    ("get", "recoveryplans,recoveryruns", "-n", NAMESPACE, "-o", "yaml"),
    ("logs", "-n", SYSTEM, f"deploy/{RELEASE}-operator", "--tail=500"),
    ("logs", "-n", NAMESPACE, f"deploy/{ENGINE}-worker", "--all-containers", "--tail=200"),
    # Of runs and of windows.
    ("logs", "-n", NAMESPACE, "-l", "wayfare.dev/recovery-step", "--prefix", "--tail=200"),
)
SITES = ("east", "west")


def keep_what_there_is(steps: Steps) -> None:
    """Objects, events and logs of each site that is up go into the log of commands."""
    for site in SITES:
        try:
            found = steps.run(WAYFARE, "lab", "kubeconfig", site, "--path", check=False, timeout=60)
            if found.returncode:
                continue
            for words in _ASKED:
                steps.run(
                    "kubectl",
                    *words,
                    check=False,
                    timeout=60,
                    extra={"KUBECONFIG": found.stdout.strip()},
                )
        except StepFailed:
            # A site that does not answer has nothing to say.
            continue
