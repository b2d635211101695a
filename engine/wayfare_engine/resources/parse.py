"""From a plain object, as YAML or the API server gives it, to its model."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from .approval import Approval
from .channel import Channel
from .engine import Engine
from .journey import Journey
from .kinds import API_VERSION, KINDS
from .model import Model, canonical_bytes
from .recovery_plan import RecoveryPlan
from .recovery_run import RecoveryRun
from .segment import Segment

_UNKNOWN_FIELD = "is not a field here"

AnyResource = Engine | Segment | Journey | Channel | RecoveryPlan | RecoveryRun | Approval


class ResourceError(ValueError):
    """An object that is none of ours, or whose spec cannot work.

    path is where, as `spec.nodes[2].slot.name`; problems holds every (path, message).
    """

    def __init__(
        self,
        kind: str,
        name: str,
        path: str,
        message: str,
        problems: tuple[tuple[str, str], ...] = (),
    ) -> None:
        self.kind = kind
        self.name = name
        self.path = path
        self.message = message
        self.problems = problems or ((path, message),)
        super().__init__(f"{kind} {name}: {f'{path}: ' if path else ''}{message}")


def parse(obj: Mapping[str, Any]) -> AnyResource:
    """The model of an object of one of our kinds. Raises ResourceError."""
    kind = str(obj.get("kind", ""))
    metadata = obj.get("metadata")
    name = str(metadata.get("name", "")) if isinstance(metadata, Mapping) else ""
    if obj.get("apiVersion") != API_VERSION:
        raise ResourceError(kind, name, "apiVersion", f"must be {API_VERSION}")
    if kind not in KINDS:
        raise ResourceError(kind, name, "kind", f"must be one of {', '.join(KINDS)}")
    try:
        return KINDS[kind].model.model_validate(obj, by_alias=True, by_name=False)  # type: ignore[return-value]
    except ValidationError as error:
        problems = tuple(
            (path_of(each["loc"]), _sentence(each)) for each in error.errors(include_url=False)
        )
        # A misspelt field is most often why another one is missing.
        path, message = next((each for each in problems if each[1] == _UNKNOWN_FIELD), problems[0])
        raise ResourceError(kind, name, path, message, problems) from None


def spec_digest(spec: Model) -> str:
    """`sha256:<64 hex>` of the spec's canonical bytes."""
    return f"sha256:{hashlib.sha256(canonical_bytes(spec)).hexdigest()}"


def path_of(location: tuple[int | str, ...]) -> str:
    """`("spec", "nodes", 2, "slot")` as `spec.nodes[2].slot`."""
    path = ""
    for part in location:
        path += f"[{part}]" if isinstance(part, int) else f".{part}"
    return path.removeprefix(".")


def _sentence(error: Any) -> str:
    context = error.get("ctx", {})
    match error["type"]:
        case "missing":
            return "is required"
        case "extra_forbidden":
            return _UNKNOWN_FIELD
        case "value_error":
            return str(context["error"])
        case "string_too_long":
            return f"may have at most {context['max_length']} characters"
        case "too_long":
            return f"may have at most {context['max_length']} entries"
        case "literal_error":
            return f"must be one of {context['expected']}"
        case "string_pattern_mismatch":
            return f"must match {context['pattern']}"
        case _:
            return str(error["msg"])
