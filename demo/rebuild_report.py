"""What the recorded rebuild found: build/rebuild.json, and the same to read."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from rich.console import Console
from rich.table import Table


@dataclass
class Report:
    """What build/rebuild.json holds. Bytes are of files and objects, seconds of each step."""

    customers: int = 0
    decisions: int = 0
    events: int = 0
    changes: int = 0
    sends: dict[str, int] = field(default_factory=dict)
    sealed_rows: int = 0
    store_bytes: dict[str, int] = field(default_factory=dict)
    deleted_bytes: int = 0
    catch_up: dict[str, Any] = field(default_factory=dict)
    history_rows: int = 0
    projections: dict[str, int] = field(default_factory=dict)
    ledger_equal: bool = False
    ledger_diff: dict[str, int] = field(default_factory=dict)
    explained: int = 0
    epoch: int = 0
    contacted_twice: int = 0
    seconds: dict[str, float] = field(default_factory=dict)


def show(report: Report, console: Console) -> None:
    """What was found, readable."""
    table = Table("", "", show_header=False, box=None)
    sent = report.sends
    table.add_row("customers, decisions", f"{report.customers:,}, {report.decisions:,}")
    table.add_row("events, changes", f"{report.events:,}, {report.changes:,}")
    table.add_row("sends", f"{sent['planned']:,} planned, {sent['received']:,} received")
    table.add_row("contacted twice", str(report.contacted_twice))
    table.add_row("outcome unknown (listed)", str(sent["unknown"]))
    table.add_row("rows in the bucket before", f"{report.sealed_rows:,}")
    sizes = ", ".join(
        f"{kind} {megabytes(size)}" for kind, size in sorted(report.store_bytes.items())
    )
    table.add_row("bytes in the bucket", sizes)
    table.add_row("database that was deleted", megabytes(report.deleted_bytes))
    for name, rows in report.projections.items():
        if rows:
            table.add_row(f"  {name}", f"{rows:,} rows equal")
    diff = report.ledger_diff
    exchanged = f"{diff['exchanges']} exchanges of {diff['bytes']:,} bytes"
    table.add_row("wayfare ledger diff", f"{diff['differences']} differences, {exchanged}")
    table.add_row("decisions explained as before", str(report.explained))
    console.print(table)


def megabytes(size: int) -> str:
    """As people read it."""
    return f"{size / 1e6:,.1f} MB"
