"""A plugin's config and secrets as files, as Kubernetes mounts them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any


def words(plugin: str, folder: Path, config: dict[str, Any], **secrets: str) -> list[str]:
    """The options of a host of `plugin` with this config and these secrets."""
    mount = folder / "secrets"
    version = mount / "..2026_01_01"
    version.mkdir(parents=True)
    (mount / "..data").symlink_to(version.name)
    for name, value in secrets.items():
        (version / name).write_text(value + "\n")
        (mount / name).symlink_to(f"..data/{name}")
    file = folder / f"{plugin}.json"
    file.write_text(json.dumps(config))
    return ["--plugin", plugin, "--config", str(file), "--secrets-dir", str(mount)]
