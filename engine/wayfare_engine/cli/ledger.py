"""`wayfare ledger`."""

from __future__ import annotations

import typer

app = typer.Typer(
    help="The ledger's projections: digests, differences, rebuilding.", no_args_is_help=True
)


@app.callback()
def _group() -> None:
    pass
