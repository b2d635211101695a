"""`wayfare channel test | preview`."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Annotated, Any

import typer

from wayfare_engine.cli.engine_client import EngineClient, KeyFile, Url, json_object
from wayfare_engine.errors import FAILED

_FINAL = frozenset({"accepted", "rejected", "expired", "unknown"})
_LOOK_SECONDS = 0.2

Name = Annotated[str, typer.Argument(help="The channel, as namespace/name.")]
Content = Annotated[
    str, typer.Option(help="What a journey's node would give: a JSON object.", show_default=True)
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def register(app: typer.Typer) -> None:
    """Add the commands to the group."""

    @app.command()
    def test(
        name: Name,
        to: Annotated[str, typer.Option(help="The address that it goes to: your own.")],
        url: Url,
        customer: Annotated[
            str | None,
            typer.Option(help="Say what this customer would be told; nobody, when not given."),
        ] = None,
        content: Content = "{}",
        api_key_file: KeyFile = None,
        timeout: Annotated[
            float, typer.Option(min=1, max=3600, help="Seconds to wait; then it expires.")
        ] = 60.0,
        as_json: AsJson = False,
    ) -> None:
        """Send a test through a channel, the whole way, to an address of your own.

        It is planned, has its turn (breaker, pauses and all), is dispatched and handed over, marked
        as a test; each step is printed. With --customer it counts as a contact of theirs, and
        waits for their quiet hours to end.
        Exit code 0 when the provider accepted it. Needs a key with sends:write and sends:read.

        Example: wayfare channel test bank/sms --to +4917000 --url http://127.0.0.1:8080

        Example: wayfare channel test bank/mail --to me@example.com --customer anna --json
        """
        import secrets

        from wayfare_engine.outbox.channel import NOBODY

        given = json_object("--content", content)
        client = EngineClient(url, api_key_file)
        key = secrets.token_hex(12)
        asked = {
            "channel": name,
            "customer_id": customer or f"{NOBODY}test-{key}",
            "key": key,
            "journey": "test",
            "content": given,
            "test": True,
            "address": to,
            "expires_after": f"{max(1, round(timeout))}s",
        }
        began = time.monotonic()
        planned = client.post("/v1/sends", asked)["sends"][0]["send_key"]
        steps: list[dict[str, Any]] = []
        standing: dict[str, Any] = {}
        for standing in _steps(client, planned, began + timeout):
            seconds = round(time.monotonic() - began, 2)
            steps.append({"seconds": seconds, "state": standing["state"], "why": standing["why"]})
            if not as_json:
                typer.echo(f"{seconds:7.2f} s  {standing['state']:10} {standing['why']}")
        client.close()
        ok = standing["state"] == "accepted"
        if as_json:
            typer.echo(json.dumps({"ok": ok, "send": standing, "steps": steps}))
        elif standing["state"] not in _FINAL:
            typer.echo(f"it did not end in {timeout:g} s: wayfare sends status", err=True)
        if not ok:
            raise typer.Exit(FAILED)

    @app.command()
    def preview(
        name: Name,
        url: Url,
        customer: Annotated[str, typer.Option(help="For whom.")],
        content: Content = "{}",
        api_key_file: KeyFile = None,
        host: Annotated[
            str | None,
            typer.Option(help="The channel's host, to show what its plugin makes of the parts."),
        ] = None,
        as_json: AsJson = False,
    ) -> None:
        """Show what a customer would be sent. Nothing is planned, and nothing leaves.

        Exit code 1 when the message cannot be made, with the reason. Needs a key with
        sends:preview.

        Example: wayfare channel preview bank/sms --customer anna --url http://127.0.0.1:8080
        """
        given = json_object("--content", content)
        client = EngineClient(url, api_key_file)
        asked = {"channel": name, "customer_id": customer, "content": given}
        found = client.post("/v1/preview", asked)
        client.close()
        problem = found.get("problem", "")
        if host is not None and not problem:
            found = {"parts": _by_host(host, name, customer, found["parts"]), "problem": ""}
        if as_json:
            typer.echo(json.dumps(found))
        elif problem:
            typer.echo(f"it cannot be said: {problem}", err=True)
        else:
            for part, text in found["parts"].items():
                typer.echo(f"--- {part}\n{text}")
        if problem:
            raise typer.Exit(FAILED)


def _steps(client: EngineClient, send_key: str, until: float) -> Iterator[dict[str, Any]]:
    """Where the send stands, each time that it changed, up to its end."""
    from rich.console import Console

    console = Console(stderr=True)
    last: tuple[str, str] | None = None
    with console.status("the test is on its way") as shown:
        if not console.is_terminal:
            shown.stop()
        while True:
            standing = client.get(f"/v1/sends/{send_key}")
            now = (standing["state"], standing["why"])
            if now != last:
                last = now
                yield standing
            if standing["state"] in _FINAL or time.monotonic() > until:
                return
            time.sleep(_LOOK_SECONDS)


def _by_host(host: str, name: str, customer: str, parts: dict[str, str]) -> dict[str, str]:
    client = EngineClient(host)
    what = {
        "send_key": "preview",
        "customer": customer,
        "channel": name,
        "site": "preview",
        "epoch": 0,
        "attempt": 1,
        "remaining": 1.0,
        "clock": "",
        "payload": parts,
        "test": True,
    }
    found = client.post("/v1/preview", what)
    client.close()
    shown: dict[str, str] = found["parts"]
    return shown
