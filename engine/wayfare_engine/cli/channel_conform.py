"""`wayfare channel conform`."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from wayfare_engine.errors import FAILED, USAGE

if TYPE_CHECKING:
    from wayfare_engine.channels.conform import Outcome


def register(app: typer.Typer) -> None:
    """Add the command to the group."""

    @app.command()
    def conform(
        url: Annotated[str, typer.Argument(help="The host, such as http://127.0.0.1:8082.")],
        payload: Annotated[
            str, typer.Option(help="What each send carries: a JSON object.")
        ] = '{"text": "conformance test"}',
        address: Annotated[
            str | None, typer.Option(help="The customer's address in each send.")
        ] = None,
        timeout: Annotated[
            float, typer.Option(min=0.1, max=600, help="Seconds to wait for each answer.")
        ] = 15.0,
        as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    ) -> None:
        """Try whether a channel host, in any language, keeps the contract.

        Every send is marked as a test, with keys that start with conform-. Use a test account: a
        provider that does not look at the mark sends about 30 messages. Exit code 0 when nothing
        failed.

        Example: wayfare channel conform http://127.0.0.1:8082

        Example: wayfare channel conform http://127.0.0.1:8082 --address +4917000 --json
        """
        import asyncio
        import secrets

        from wayfare_engine.channels.conform import conform as try_host

        outcomes = asyncio.run(
            try_host(
                url,
                prefix=f"conform-{secrets.token_hex(6)}",
                payload=_object(payload),
                address=address,
                seconds=timeout,
            )
        )
        ok = all(outcome.state != "failed" for outcome in outcomes)
        if as_json:
            typer.echo(json.dumps({"ok": ok, "checks": [asdict(one) for one in outcomes]}))
        else:
            _show(outcomes)
        if not ok:
            raise typer.Exit(FAILED)


def _object(text: str) -> dict[str, Any]:
    try:
        found = json.loads(text)
    except ValueError:
        found = None
    if not isinstance(found, dict):
        typer.echo("wayfare: --payload is a JSON object", err=True)
        raise typer.Exit(USAGE)
    return found


def _show(outcomes: list[Outcome]) -> None:
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    colour = {"passed": "green", "failed": "red", "skipped": "dim"}
    table = Table("check", "", "the contract's promise", "what was seen")
    for one in outcomes:
        state = f"[{colour[one.state]}]{one.state}[/]"
        table.add_row(one.name, state, escape(one.promise), escape(one.detail))
    Console().print(table)
    failed = [one.name for one in outcomes if one.state == "failed"]
    typer.echo(f"failed: {', '.join(failed)}" if failed else "the host keeps the contract")
