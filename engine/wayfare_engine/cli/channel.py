"""`wayfare channel host | plugins | conform | test | preview | dead-letters | unknowns`."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from wayfare_engine.cli import channel_conform, channel_trying, letters

app = typer.Typer(
    help="Channels: run a host, list the plugins there are, try a host, a channel or a message; "
    "dead letters and unknowns.",
    no_args_is_help=True,
)


class LogLevel(StrEnum):
    """How much is logged."""

    debug = "debug"
    info = "info"
    warning = "warning"
    error = "error"


@app.callback()
def _group() -> None:
    pass


channel_conform.register(app)
letters.register(app)
channel_trying.register(app)


@app.command()
def host(
    plugin: Annotated[str, typer.Option(help="The plugin's name; see wayfare channel plugins.")],
    config: Annotated[
        Path | None, typer.Option(help="The plugin's config: a JSON object in a file.")
    ] = None,
    secrets_dir: Annotated[
        Path | None,
        typer.Option(help="A folder with one file a secret, as Kubernetes mounts a Secret."),
    ] = None,
    require_secret: Annotated[
        list[str] | None,
        typer.Option(help="Name of a secret that must be there; may be given several times."),
    ] = None,
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port to listen at.")] = 8082,
    address: Annotated[
        str, typer.Option("--host", help="Address to listen at; a pod has 0.0.0.0.")
    ] = "127.0.0.1",
    hand_over_seconds: Annotated[
        float,
        typer.Option(
            min=0.001,
            max=60,
            help="H: the most seconds that a hand-over has, from its reading to its end.",
        ),
    ] = 5.0,
    concurrency: Annotated[
        int, typer.Option(min=1, max=10_000, help="Most sends at one moment.")
    ] = 64,
    log_level: Annotated[
        LogLevel, typer.Option(envvar="WAYFARE_LOG_LEVEL", help="How much is logged.")
    ] = LogLevel.info,
) -> None:
    """Serve one channel plugin (what a channel's pod runs).

    Ends on SIGTERM: no new sends, and those under way have their remaining time. Exit code 2 when
    the settings are wrong, 3 when the plugin cannot be loaded.

    Example: wayfare channel host --plugin sink --port 8082

    Example: wayfare channel host --plugin webhook --config hook.json --secrets-dir /secrets
    """
    from wayfare_engine import logs
    from wayfare_engine.channels.discovery import open_plugin
    from wayfare_engine.channels.run_host import run_host
    from wayfare_engine.channels.settings import read_settings
    from wayfare_engine.cli.processes import run

    logs.configure(log_level.value)
    settings = read_settings(config, secrets_dir, require_secret or ())
    opened = open_plugin(plugin, settings)
    raise typer.Exit(
        run(
            run_host(
                opened,
                address=address,
                port=port,
                longest=hand_over_seconds,
                concurrency=concurrency,
                secrets=tuple(settings.secrets.values()),
            )
        )
    )


@app.command()
def plugins(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """List the channel plugins that are installed, and what keeps one from being used.

    Example: wayfare channel plugins --json
    """
    import json
    from dataclasses import asdict

    from wayfare_engine.channels.discovery import installed

    found = installed()
    if as_json:
        typer.echo(json.dumps([asdict(one) for one in found]))
        return
    for one in found:
        state = "" if one.problem is None else f"  cannot be used: {one.problem}"
        typer.echo(f"{one.name:16} {one.package:24} {one.where}{state}")
