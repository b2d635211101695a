"""What an API server's audit log says that a user did."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Request:
    """One finished request."""

    verb: str
    resource: str
    name: str
    code: int
    namespace: str = ""


def requests(log: Path, user: str, *, since: int = 0) -> list[Request]:
    """A user's requests from byte `since` of the log on."""
    found = []
    with log.open("rb") as lines:
        lines.seek(since)
        for line in lines:
            if not line.endswith(b"\n"):
                break
            entry = json.loads(line)
            if entry["user"]["username"] != user or entry["stage"] != "ResponseComplete":
                continue
            target = entry.get("objectRef") or {}
            resource = "/".join(
                part for part in (target.get("resource", ""), target.get("subresource")) if part
            )
            code = (entry.get("responseStatus") or {}).get("code", 0)
            namespace = target.get("namespace", "")
            found.append(Request(entry["verb"], resource, target.get("name", ""), code, namespace))
    return found


def counted(found: list[Request]) -> Counter[tuple[str, str]]:
    """How often which verb was used on which resource."""
    return Counter((each.verb, each.resource) for each in found)
