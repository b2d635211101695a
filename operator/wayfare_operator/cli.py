"""`wayfare operator`: what runs in the operator's pods."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import gc
import logging

import structlog
import typer
from pydantic import ValidationError

from wayfare_operator.leader import LeaseLost
from wayfare_operator.settings import OperatorSettings

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="The operator of engines, segments and journeys.",
)


@app.callback()
def group() -> None:
    """The operator of engines, segments and journeys."""


@app.command()
def run() -> None:
    """Reconcile until told to stop; configured by the environment."""
    try:
        settings = OperatorSettings()
    except ValidationError as error:
        for problem in error.errors(include_url=False):
            name = "WAYFARE_" + "_".join(str(part) for part in problem["loc"]).upper()
            typer.echo(f"{name}: {problem['msg']}", err=True)
        raise typer.Exit(2) from None
    _log(settings.log_level)
    # Imported here: `wayfare operator --help` needs neither kopf nor the Kubernetes client.
    from wayfare_operator.operate import operate

    # Modules and their constants stay for ever; not having them walked keeps pauses short.
    gc.freeze()
    _one_arena()
    try:
        asyncio.run(operate(settings))
    except LeaseLost:
        typer.echo("the Lease was lost; ending, so that the other replica works alone", err=True)
        raise typer.Exit(1) from None
    except Exception as error:
        # Whatever it is, a new process is the remedy; the log has where it came from.
        structlog.get_logger(__name__).exception("the operator ends")
        typer.echo(f"the operator ends: {type(error).__name__}: {error}", err=True)
        raise typer.Exit(1) from None


def _one_arena() -> None:
    """Have all threads share one heap: compiles run in threads, and glibc would give each a heap
    of its own, whose freed memory the others cannot use."""
    with contextlib.suppress(OSError, AttributeError):  # not glibc
        m_arena_max = -8
        ctypes.CDLL(None).mallopt(m_arena_max, 1)


def _log(level: str) -> None:
    number = logging.getLevelNamesMapping().get(level.upper(), logging.INFO)
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        cache_logger_on_first_use=True,
    )
    logging.basicConfig(level=max(number, logging.WARNING), format="%(name)s: %(message)s")
