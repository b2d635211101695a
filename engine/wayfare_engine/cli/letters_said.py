"""What `wayfare channel dead-letters | unknowns` print."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    from psycopg import Connection

    from wayfare_engine.outbox.letters import Counts, Letter, Sort, Wanted
    from wayfare_engine.outbox.rulings import Ruled

#: The help of the commands that both groups have.
HELP = {
    "list": """List them, the last ones first, with how many there are and why.

    What a person dropped is not listed, and counted.

    Example: wayfare channel {sort} list --channel bank/sms --since 24h""",
    "show": """Show what the ledger has of one send: its intent, the last dispatch, the outcome and
    the last ruling; or all of it. Exit code 1 when it has nothing.

    Example: wayfare channel {sort} show 9f2c41…""",
    "drop": """Set them aside: nothing more is to be done about them.

    They stay in the ledger, and are counted as dropped. Exit code 1 when one was refused.

    Example: wayfare channel {sort} drop --since 7d --by "A. Okafor" --reason "too late" --yes""",
    "undo": """Take back a drop, or a replay that has not had its turn yet. Exit code 1 when one
    was refused.

    Example: wayfare channel {sort} undo 9f2c41… --by "A. Okafor" --reason "wrong channel\"""",
}
_TITLE = {"dead-letters": "dead letter", "unknowns": "unknown"}
_DONE = {"Replay": "replayed", "Drop": "dropped", "Undo": "undone"}
_SHOWN = 20


def facts(counted: Counts, found: Sequence[Letter]) -> dict[str, Any]:
    """A list for machines."""
    return {
        "total": counted.total,
        "dropped": counted.dropped,
        "byReceipt": counted.by_receipt,
        "byReason": [
            {"cause": cause, "detail": detail, "count": count}
            for cause, detail, count in counted.by_reason
        ],
        "letters": [asdict(one) for one in found],
    }


def listing(sort: Sort, counted: Counts, found: Sequence[Letter]) -> None:
    """A list for people: the reasons, and then a line a send."""
    _summary(sort, counted)
    if not found:
        return
    typer.echo("")
    width = max(len("CHANNEL"), *(len(one.channel) for one in found))
    typer.echo(f"{'ENDED (UTC)':19}  {'CHANNEL':{width}}  {'SEND KEY':40}  CUSTOMER  WHY")
    for one in found:
        why = f"{one.cause or one.outcome}: {one.detail}" if one.detail else one.outcome
        receipt = f" (receipt: {one.receipt})" if one.receipt else ""
        typer.echo(
            f"{one.ended_at:%Y-%m-%d %H:%M:%S}  {one.channel:{width}}  {one.send_key:40}  "
            f"{one.customer}  {why}{receipt}"
        )
    if counted.total > len(found):
        typer.echo(f"… and {counted.total - len(found):,} more (--limit)")


def chosen(connection: Connection[Any], sort: Sort, which: Wanted, most: int, total: int) -> None:
    """Before a person is asked: what the filters choose."""
    from wayfare_engine.outbox.letters import counts

    _summary(sort, counts(connection, sort, which), err=True)
    if most < total:
        typer.echo(f"the {most:,} that ended first (--limit)", err=True)


def ruled(action: str, told: Sequence[Ruled], left: int, *, as_json: bool) -> None:
    """What became of it."""
    counted = Counter(one.result for one in told)
    if as_json:
        results = {name: counted[name] for name in ("done", "again", "refused")}
        sends = [asdict(one) for one in told]
        typer.echo(json.dumps(results | {"left": left, "sends": sends}))
        return
    typer.echo(f"{counted['done']:,} {_DONE[action]}", nl=False)
    if counted["again"]:
        typer.echo(f", {counted['again']:,} were before", nl=False)
    if counted["refused"]:
        typer.echo(f", {counted['refused']:,} refused", nl=False)
    typer.echo(f"; {left:,} more match (--limit)" if left else "")
    refused = [one for one in told if one.result == "refused"]
    for one in refused[:_SHOWN]:
        typer.echo(f"  {one.send_key}: {one.why}", err=True)
    if len(refused) > _SHOWN:
        typer.echo(f"  … and {len(refused) - _SHOWN:,} more (--json has all)", err=True)


def history(steps: Sequence[dict[str, Any]]) -> None:
    """One send, a line a row."""
    for step in steps:
        what = dict(step)
        head = f"{what.pop('at'):%Y-%m-%d %H:%M:%S}  {what.pop('site')}/{what.pop('epoch')}"
        kind = what.pop("kind")
        words = " ".join(f"{name}={json.dumps(value)}" for name, value in what.items())
        typer.echo(f"{head}  {kind:9}  {words}")


def _summary(sort: Sort, counted: Counts, *, err: bool = False) -> None:
    title = _TITLE[sort]
    line = f"{counted.total:,} {title}{'' if counted.total == 1 else 's'}"
    if counted.dropped:
        line += f"; {counted.dropped:,} dropped"
    if counted.by_receipt:
        line += f"; {counted.by_receipt:,} known by a receipt"
    typer.echo(line, err=err)
    for cause, detail, count in counted.by_reason:
        typer.echo(f"  {count:>9,}  {cause}{': ' + detail if detail else ''}", err=err)
