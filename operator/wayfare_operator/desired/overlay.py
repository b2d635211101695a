"""A strategic merge of `podOverlay` into a pod template, as kubectl's patches do it.

Maps merge, null removes, lists of the kinds below merge by their key, other lists are replaced.
"""

from __future__ import annotations

from typing import Any

_MERGE_KEYS = {
    "containers": "name",
    "initContainers": "name",
    "ephemeralContainers": "name",
    "env": "name",
    "volumes": "name",
    "imagePullSecrets": "name",
    "volumeMounts": "mountPath",
    "volumeDevices": "devicePath",
    "ports": "containerPort",
    "hostAliases": "ip",
    "topologySpreadConstraints": "topologyKey",
}


def merge(base: Any, overlay: Any) -> Any:
    """`base` with `overlay` merged into it; neither is changed."""
    if not isinstance(base, dict) or not isinstance(overlay, dict):
        return overlay
    merged = dict(base)
    for name, value in overlay.items():
        if value is None:
            merged.pop(name, None)
        elif name in _MERGE_KEYS and isinstance(value, list):
            merged[name] = _merge_list(merged.get(name) or [], value, _MERGE_KEYS[name])
        elif name in merged:
            merged[name] = merge(merged[name], value)
        else:
            merged[name] = value
    return merged


def _merge_list(base: list[Any], overlay: list[Any], key: str) -> list[Any]:
    merged = list(base)
    for item in overlay:
        name = item.get(key) if isinstance(item, dict) else None
        at = next(
            (
                index
                for index, present in enumerate(merged)
                if name is not None and isinstance(present, dict) and present.get(key) == name
            ),
            None,
        )
        if at is None:
            merged.append(item)
        elif isinstance(item, dict) and item.get("$patch") == "delete":
            del merged[at]
        else:
            merged[at] = merge(merged[at], item)
    return merged
