"""Events that go with a condition's transition."""

from __future__ import annotations

from datetime import UTC, datetime

from wayfare_operator.cache import Entry
from wayfare_operator.kube.kinds import BY_NAME, EVENT, Object
from wayfare_operator.status import Transition

_CONTROLLER = "wayfare.dev/operator"
_LONGEST_NOTE = 1000


def event(entry: Entry, said: Transition, *, now: datetime, reporter: str) -> Object:
    """An events.k8s.io/v1 Event about an object; its reason is the condition's."""
    kind = BY_NAME[entry.ref.kind]
    return {
        "apiVersion": EVENT.api_version,
        "kind": EVENT.name,
        "metadata": {
            "generateName": f"{entry.ref.name[:200]}-",
            "namespace": entry.ref.namespace,
        },
        "eventTime": now.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
        "reportingController": _CONTROLLER,
        "reportingInstance": reporter[:128],
        "action": "Reconcile",
        "reason": str(said.reason),
        "note": said.message[:_LONGEST_NOTE],
        "type": "Warning" if said.warning else "Normal",
        "regarding": {
            "apiVersion": kind.api_version,
            "kind": kind.name,
            "namespace": entry.ref.namespace,
            "name": entry.ref.name,
            "uid": entry.uid,
        },
    }
