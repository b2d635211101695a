"""What the demo shows at its end, and build/demo.json."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table


@dataclass(frozen=True)
class Result:
    """Everything that was found out. `mode` is given when it was not a cluster."""

    customers: int
    pods: int
    segments: list[dict[str, Any]]
    decisions: dict[str, Any]
    hot_reload_seconds: float
    plan_digest: str
    explained: dict[str, Any]
    channels: dict[str, Any] | None = None
    recovery: dict[str, Any] | None = None
    mode: str | None = None

    def document(self) -> dict[str, Any]:
        """As build/demo.json holds it."""
        whole = dict(vars(self))
        whole |= whole.pop("recovery") or {}
        for name in ("channels", "mode"):
            if whole[name] is None:
                del whole[name]
        return whole


def write(result: Result, path: Path) -> None:
    """Write build/demo.json."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(
        json.dumps(result.document(), indent=2, ensure_ascii=False) + "\n", encoding="utf-8"
    )


def show(result: Result, by_slot: dict[str, Counter[str]], console: Console) -> None:
    """The tables."""
    segments = Table("segment", title="Segments", title_justify="left")
    segments.add_column("customers", justify="right")
    for segment in result.segments:
        size = segment["size"]
        segments.add_row(escape(segment["name"]), "?" if size is None else f"{size:,}")
    console.print(segments)

    won = Table("slot", "journey", title="What was decided", title_justify="left")
    won.add_column("decisions", justify="right")
    for slot, journeys in sorted(by_slot.items()):
        for place, (journey, count) in enumerate(journeys.most_common()):
            won.add_row("" if place else escape(slot), escape(journey), f"{count:,}")
        won.add_section()
    console.print(won)

    record = result.explained
    considered = Table(
        "journey, node",
        "outcome",
        "detail",
        title=f"Why customer {record['customer']} was shown this in {record['slot']} "
        f"{escape(json.dumps(record['context']))}",
        title_justify="left",
    )
    for candidate in record.get("considered") or []:
        considered.add_row(
            escape(f"{candidate['journey']}, {candidate['node']}"),
            escape(str(candidate["outcome"])),
            escape(str(candidate.get("detail") or "")),
        )
    console.print(considered)

    if result.channels is not None:
        sends = Table("sends", title="What became of the campaign", title_justify="left")
        sends.add_column("", justify="right")
        for name, value in result.channels.items():
            shown = f"{value:,}" if isinstance(value, int) else str(value)
            sends.add_row(name.replace("_", " "), shown)
        console.print(sends)

    if result.recovery is not None:
        recovery = Table("recovery", title="A site is lost, and comes back", title_justify="left")
        recovery.add_column("", justify="right")
        for part, found in result.recovery.items():
            for name, value in found.items():
                shown = json.dumps(value) if isinstance(value, dict | list) else str(value)
                recovery.add_row(f"{part}: {name.replace('_', ' ')}", escape(shown))
        console.print(recovery)

    asked = result.decisions
    where = "one process" if result.mode else f"{result.pods} serving pods"
    console.print(
        f"{result.customers:,} customers, {where}; {asked['served']:,} of {asked['requested']:,} "
        f"decisions served, {asked['errors']} errors; p50 {asked['p50_ms']} ms, "
        f"p99 {asked['p99_ms']} ms, 16 at a time; an edited journey was answered anew after "
        f"{result.hot_reload_seconds:.2f} s, without a restart"
    )
    console.print(f"plan {result.plan_digest}")
