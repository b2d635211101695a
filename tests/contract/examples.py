"""The table of examples: `cases/<kind>/<name>.accept.yaml` and `<name>.refuse.yaml`.

A file holds one object, or an object and its changes in turn, of which the last is judged. A
refused one starts with the line `# refused: <what the message says>`.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

FOLDER = Path(__file__).parent / "cases"
PLURALS = {
    "Engine": "engines",
    "Segment": "segments",
    "Journey": "journeys",
    "Channel": "channels",
    "RecoveryPlan": "recoveryplans",
    "RecoveryRun": "recoveryruns",
    "Approval": "approvals",
}
_MARK = "# refused: "


@dataclass(frozen=True)
class Case:
    """One example. `refused` is a part of the message, or None when it is accepted."""

    name: str
    objects: tuple[dict[str, Any], ...]
    refused: str | None

    @property
    def kind(self) -> str:
        """Kind of its objects."""
        return str(self.objects[0]["kind"])


def cases() -> list[Case]:
    """Every example, by name."""
    found = []
    for path in sorted(FOLDER.glob("*/*.yaml")):
        text = path.read_text(encoding="utf-8")
        first = text.partition("\n")[0]
        refused = first.removeprefix(_MARK) if path.name.endswith(".refuse.yaml") else None
        assert refused is None or first.startswith(_MARK), f"{path}: no line {_MARK!r}"
        found.append(
            Case(
                name=f"{path.parent.name}/{path.name.removesuffix('.yaml')}",
                objects=tuple(yaml.safe_load_all(text)),
                refused=refused,
            )
        )
    return found


def collection(kind: str, namespace: str) -> str:
    """Path of the kind's objects in the namespace."""
    return f"/apis/wayfare.dev/v1alpha1/namespaces/{namespace}/{PLURALS[kind]}"
