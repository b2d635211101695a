"""`wayfare recovery check`: the checks by hand."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from wayfare_engine.cli.recovery_options import (
    AsJson,
    Dsn,
    Plan,
    StoreUrl,
    ThisSite,
    open_named_store,
    plan_name,
    site_name,
)
from wayfare_engine.errors import FAILED

if TYPE_CHECKING:
    from collections.abc import Iterator

    from wayfare_engine.privacy import MasterKeys
    from wayfare_engine.recovery.checks import Check, Looking
    from wayfare_engine.runs import CheckResult

#: None failed, and of at least one nobody can tell.
UNKNOWN: Final = 4


def check(
    names: Annotated[
        list[str] | None,
        typer.Argument(help="Which checks; all that need no serving pod when none is given."),
    ] = None,
    dsn: Dsn = None,
    store: StoreUrl = None,
    plan: Plan = None,
    site: ThisSite = None,
    other: Annotated[
        str | None, typer.Option(help="The other site's name, for what compares both.")
    ] = None,
    lost: Annotated[
        bool, typer.Option("--lost", help="The other site is lost: what it said last may be old.")
    ] = False,
    url: Annotated[
        list[str] | None,
        typer.Option("--url", help="A serving pod, such as http://127.0.0.1:8080; repeatable."),
    ] = None,
    api_key_file: Annotated[
        Path | None, typer.Option("--api-key-file", help="A file with an API key for --url.")
    ] = None,
    sample: Annotated[
        int, typer.Option(min=1, max=100_000, help="Decisions that are decided again.")
    ] = 2000,
    seed: Annotated[int, typer.Option(help="Which decisions: the same for the same seed.")] = 0,
    lag: Annotated[
        float, typer.Option(min=0, help="Seconds that the database may be behind the chains.")
    ] = 60.0,
    latency: Annotated[
        float, typer.Option(min=0, help="Milliseconds that 99 in 100 requests may take.")
    ] = 50.0,
    listed: Annotated[
        bool, typer.Option("--list", help="Show what each check guards; look at nothing.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Verify this site: system, data, service, business.

    Nothing is changed; with a store, what each check saw is kept there as evidence. What a check
    needs and was not given makes it Unknown. Exit code 0: all passed; 1: one failed; 4: none
    failed, and of one nobody can tell.

    Example: wayfare recovery check --list

    Example: wayfare recovery check Lag NoOrphans --store s3://recovery/retail --site west

    Example: wayfare recovery check DecisionsReplayed --sample 500 --seed 7 --json
    """
    from wayfare_engine.recovery import checks

    given = names or []
    if listed:
        _list(checks.named(given), as_json)
        return
    chosen = checks.named(given)
    if not given and not url:
        needed = checks.Source.ENGINE
        chosen = tuple(each for each in chosen if needed not in each.needs)
    at = _looking(dsn, store, plan, site, other, lost, url or [], api_key_file)
    objectives = checks.Objectives(
        lag_seconds=lag, latency_ms=latency, replay_sample=sample, replay_seed=seed
    )
    results: list[CheckResult] = []
    with _progress() as told:
        for each in chosen:
            told(each.name)
            result = each.look(at(told, objectives))
            results.append(result)
            if not as_json:
                _say(result)
    verdict = checks.verdict(results)
    if as_json:
        typer.echo(json.dumps({"verdict": verdict, "checks": [_facts(r) for r in results]}))
    if verdict != "Passed":
        raise typer.Exit(FAILED if verdict == "Failed" else UNKNOWN)


def _looking(
    dsn: str | None,
    store: str | None,
    plan: str | None,
    site: str | None,
    other: str | None,
    lost: bool,
    urls: Sequence[str],
    api_key_file: Path | None,
) -> Callable[[Callable[[str], None], Any], Looking]:
    """What was given, read and opened once. Raises MissingSetting, StoreProblem, NoKey,
    MasterKeyProblem."""
    from wayfare_engine.clock import now
    from wayfare_engine.recovery.checks import EngineAt, Looking
    from wayfare_engine.settings import load_settings

    named = dsn or os.environ.get("WAYFARE_POSTGRESQL_DSN")
    settings = load_settings(postgresql_dsn=named or "")
    opened = open_named_store(store) if store or settings.object_store_url else None
    engine = EngineAt(tuple(urls), _key(api_key_file)) if urls else None
    masters = _masters(settings.master_key_file)

    def at(told: Callable[[str], None], objectives: Any) -> Looking:
        return Looking(
            plan=plan_name(plan),
            site=site_name(site),
            clock=now,
            dsn=dsn or settings.direct_dsn or None,
            store=opened,
            other=other,
            settings=settings,
            engine=engine,
            source_lost=lost,
            objectives=objectives,
            masters=masters,
            say=told,
        )

    return at


def _key(path: Path | None) -> str | None:
    from wayfare_engine.cli.engine_client import NoKey

    if path is None:
        return None
    try:
        return path.read_text().strip()
    except (OSError, UnicodeDecodeError) as error:
        raise NoKey(path, getattr(error, "strerror", "") or "is no text") from None


def _masters(path: Path | None) -> MasterKeys | None:
    import secrets

    from wayfare_engine.privacy import MasterKeys

    return None if path is None else MasterKeys.read(path, random=secrets.token_bytes)


def _progress() -> AbstractContextManager[Callable[[str], None]]:
    """What goes on, on standard error; nothing where nobody watches."""
    from rich.console import Console

    console = Console(stderr=True)

    @contextmanager
    def quietly() -> Iterator[Callable[[str], None]]:
        yield lambda text: None

    @contextmanager
    def shown() -> Iterator[Callable[[str], None]]:
        with console.status("checking") as status:
            yield status.update

    return shown() if console.is_terminal else quietly()


def _say(result: CheckResult) -> None:
    gate = " (gate)" if result.gate else ""
    typer.echo(f"{result.verdict:8} {result.level:9} {result.name}{gate}: {result.message}")


def _facts(result: CheckResult) -> dict[str, Any]:
    import msgspec

    found: dict[str, Any] = msgspec.to_builtins(result)
    found["asOf"] = found.pop("as_of")
    return found


def _list(chosen: Sequence[Check], as_json: bool) -> None:
    facts = [
        {
            "name": each.name,
            "level": each.level,
            "gate": each.gate,
            "cost": each.cost,
            "guards": each.guards,
            "evidence": each.seen,
            "unknown": each.unclear,
        }
        for each in chosen
    ]
    if as_json:
        typer.echo(json.dumps(facts))
        return
    for fact in facts:
        gate = ", a gate" if fact["gate"] else ""
        typer.echo(f"{fact['name']} ({fact['level']}, {str(fact['cost']).lower()}{gate})")
        typer.echo(f"  guards    {fact['guards']}")
        typer.echo(f"  evidence  {fact['evidence']}")
        typer.echo(f"  unknown   {fact['unknown']}")
