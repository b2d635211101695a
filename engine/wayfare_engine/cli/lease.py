"""`wayfare lease`."""

from __future__ import annotations

import typer

app = typer.Typer(
    help="The right to act: who holds it, who held it, taking it.", no_args_is_help=True
)


@app.callback()
def _group() -> None:
    pass
