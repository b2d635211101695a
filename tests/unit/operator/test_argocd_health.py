"""The health script for Argo CD, run by a real Lua on statuses recorded from a cluster."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import lupa
import pytest
import yaml

ROOT = Path(__file__).resolve().parents[3]
SCRIPT = ROOT / "helm" / "wayfare" / "files" / "argocd" / "health.lua"
RECORDED = sorted((Path(__file__).parent / "recorded").glob("*.yaml"))


def health(obj: dict[str, Any]) -> tuple[str, str]:
    """What Argo CD would show: (status, message)."""
    lua = lupa.LuaRuntime()
    lua.globals()["obj"] = lua.table_from(obj, recursive=True)
    result = lua.execute(SCRIPT.read_text())
    return result["status"], result["message"]


@pytest.mark.parametrize("path", RECORDED, ids=lambda path: path.stem)
def test_recorded_objects_have_the_health_in_their_name(path: Path) -> None:
    wanted = path.stem.rpartition("-")[2]
    status, message = health(yaml.safe_load(path.read_text()))
    assert status.lower() == wanted
    assert message


def test_every_health_is_recorded() -> None:
    assert {path.stem.rpartition("-")[2] for path in RECORDED} == {
        "healthy",
        "degraded",
        "progressing",
    }


def test_an_object_that_nobody_looked_at_is_on_its_way() -> None:
    assert health({"metadata": {"generation": 1}})[0] == "Progressing"


def test_a_report_of_an_older_spec_is_on_its_way() -> None:
    path = next(path for path in RECORDED if path.stem.endswith("healthy"))
    obj = yaml.safe_load(path.read_text())
    obj["metadata"]["generation"] += 1
    assert health(obj)[0] == "Progressing"
