"""`wayfare channel dead-letters | unknowns`: list, show, replay, drop, undo."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from wayfare_engine.cli import letters_said as said
from wayfare_engine.cli.moments import since as moment_of
from wayfare_engine.cli.moments import span
from wayfare_engine.cli.progress import progress_bar
from wayfare_engine.cli.recovery_options import AsJson, Dsn, ThisSite, direct_address, site_name
from wayfare_engine.clock import new_id, now
from wayfare_engine.errors import FAILED, USAGE

if TYPE_CHECKING:
    from psycopg import Connection

    from wayfare_engine.outbox.letters import Sort, Wanted
    from wayfare_engine.outbox.rulings import Ruled, Word

#: Sends that one command rules on without `--all`, and in one transaction.
MOST, BATCH = 10_000, 500

Keys = Annotated[
    list[str] | None, typer.Argument(help="Send keys; the filters choose when none is given.")
]
Key = Annotated[str, typer.Argument(help="The send key.")]
Channel = Annotated[str | None, typer.Option(help="Only of this channel (NAMESPACE/NAME).")]
Since = Annotated[
    str | None, typer.Option(help="Only what ended since: 24h, 7d, or 2026-11-20T08:00:00Z.")
]
Reason = Annotated[
    str | None, typer.Option("--reason", help="Only with this cause, or this part of the detail.")
]
Matching = Annotated[
    str | None,
    typer.Option("--matching", help="Only with this cause, or this part of the detail."),
]
Journey = Annotated[str | None, typer.Option(help="Only of this journey.")]
Limit = Annotated[int, typer.Option(min=1, help="At most so many.")]
All = Annotated[bool, typer.Option("--all", help=f"All that match, also more than {MOST:,}.")]
By = Annotated[str, typer.Option(help="Who says so; it stands in the ledger.")]
Why = Annotated[str, typer.Option("--reason", help="Why; it stands in the ledger.")]
ExpiresIn = Annotated[
    str | None,
    typer.Option(help="They expire so long from now (2h), and not at their own time."),
]
NotDelivered = Annotated[
    str,
    typer.Option(
        help="How it is known that the provider did not deliver them: what was asked, whom, when. "
        "It stands in the ledger, and what is promised of the send rests on it."
    ),
]
Whole = Annotated[
    bool,
    typer.Option("--whole", help="All of its rows; reads the ledger from its intent on."),
]
Yes = Annotated[bool, typer.Option("--yes", help="Do not ask whether to go on.")]


def register(app: typer.Typer) -> None:
    """Add both groups."""
    dead = typer.Typer(
        help="Sends that ended without effect: refused by their channel, given up, or expired.",
        no_args_is_help=True,
    )
    unknown = typer.Typer(
        help="Sends of which nobody knows whether they took effect.", no_args_is_help=True
    )
    _common(dead, "dead-letters")
    _common(unknown, "unknowns")
    dead.command("replay")(replay_dead)
    unknown.command("replay")(replay_unknown)
    app.add_typer(dead, name="dead-letters")
    app.add_typer(unknown, name="unknowns")


def replay_dead(
    by: By,
    reason: Why,
    keys: Keys = None,
    channel: Channel = None,
    since: Since = None,
    matching: Matching = None,
    journey: Journey = None,
    limit: Limit = 1000,
    every: All = False,
    expires_in: ExpiresIn = None,
    yes: Yes = False,
    dsn: Dsn = None,
    site: ThisSite = None,
    as_json: AsJson = False,
) -> None:
    """Give dead letters a new turn, under their own keys; retries and their time count anew.

    Everything that could forbid a send is asked again when its turn comes. What was replayed before
    stays as it is; what expired needs --expires-in. Exit code 1 when one was refused.

    Example: wayfare channel dead-letters replay --channel bank/sms --since 2h --by "A. Okafor"
    --reason "the provider's outage is over" --yes
    """
    word = _word("Replay", by, reason, expires_in=expires_in)
    which = _wanted(channel, since, matching, journey)
    _rule("dead-letters", word, keys, which, limit, every, yes, dsn, site, as_json)


def replay_unknown(
    not_delivered: NotDelivered,
    by: By,
    reason: Why,
    keys: Keys = None,
    channel: Channel = None,
    since: Since = None,
    matching: Matching = None,
    journey: Journey = None,
    limit: Limit = 1000,
    every: All = False,
    expires_in: ExpiresIn = None,
    yes: Yes = False,
    dsn: Dsn = None,
    site: ThisSite = None,
    as_json: AsJson = False,
) -> None:
    """Send unknowns again of which you say that they took no effect. If that is wrong, the customer
    hears twice.

    The same key; a send that a receipt speaks of is refused, now and when its turn comes. Exit code
    1 when one was refused.

    Example: wayfare channel unknowns replay 9f2c41… --by "A. Okafor" --reason "customer waits"
    --not-delivered "portal search by key, no message, ticket 4711"
    """
    if not not_delivered.strip():
        raise typer.BadParameter("--not-delivered is empty: say how it is known")
    word = _word("Replay", by, reason, statement=not_delivered, expires_in=expires_in)
    which = _wanted(channel, since, matching, journey)
    _rule("unknowns", word, keys, which, limit, every, yes, dsn, site, as_json)


def _common(app: typer.Typer, sort: Sort) -> None:
    @app.callback()
    def _group() -> None:
        pass

    def listing(
        channel: Channel = None,
        since: Since = None,
        reason: Reason = None,
        journey: Journey = None,
        limit: Limit = 50,
        dsn: Dsn = None,
        as_json: AsJson = False,
    ) -> None:
        from wayfare_engine.outbox.letters import counts, letters

        which = _wanted(channel, since, reason, journey)
        with _connected(dsn) as connection:
            counted = counts(connection, sort, which)
            found = letters(connection, sort, which, limit=limit)
        if as_json:
            typer.echo(json.dumps(said.facts(counted, found), default=str))
        else:
            said.listing(sort, counted, found)

    def show(send_key: Key, whole: Whole = False, dsn: Dsn = None, as_json: AsJson = False) -> None:
        from wayfare_engine.outbox.history import history

        with _connected(dsn) as connection:
            steps = history(connection, send_key, whole=whole)
        if as_json:
            typer.echo(json.dumps(steps, default=str))
        elif not steps:
            typer.echo("the ledger here has nothing of this send")
        else:
            said.history(steps)
        if not steps:
            raise typer.Exit(FAILED)

    def drop(
        by: By,
        reason: Why,
        keys: Keys = None,
        channel: Channel = None,
        since: Since = None,
        matching: Matching = None,
        journey: Journey = None,
        limit: Limit = 1000,
        every: All = False,
        yes: Yes = False,
        dsn: Dsn = None,
        site: ThisSite = None,
        as_json: AsJson = False,
    ) -> None:
        word = _word("Drop", by, reason)
        which = _wanted(channel, since, matching, journey)
        _rule(sort, word, keys, which, limit, every, yes, dsn, site, as_json)

    def undo(
        keys: Annotated[list[str], typer.Argument(help="Send keys.")],
        by: By,
        reason: Why,
        dsn: Dsn = None,
        site: ThisSite = None,
        as_json: AsJson = False,
    ) -> None:
        word = _word("Undo", by, reason)
        _rule(sort, word, keys, _wanted(), 1, False, True, dsn, site, as_json)

    for name, command in (("list", listing), ("show", show), ("drop", drop), ("undo", undo)):
        app.command(name, help=said.HELP[name].format(sort=sort))(command)


def _word(action: Any, by: str, reason: str, **more: str | None) -> Word:
    from wayfare_engine.outbox.rulings import Word

    for name, text in (("--by", by), ("--reason", reason)):
        if not text.strip():
            raise typer.BadParameter(f"{name} is empty")
    expires_in = more.pop("expires_in", None)
    expires = now() + span(expires_in) if expires_in else None
    return Word(action, by, reason, expires=expires, **more)


def _wanted(
    channel: str | None = None,
    since: str | None = None,
    reason: str | None = None,
    journey: str | None = None,
) -> Wanted:
    from wayfare_engine.outbox.letters import Wanted

    return Wanted(channel, moment_of(since, now()) if since else None, reason, journey)


def _rule(
    sort: Sort,
    word: Word,
    given: list[str] | None,
    which: Wanted,
    limit: int,
    every: bool,
    yes: bool,
    dsn: str | None,
    site: str | None,
    as_json: bool,
) -> None:
    """Rule on the keys that are given, or that the filters choose; say what became of it."""
    filtered = any(value is not None for value in asdict(which).values())
    if given and (filtered or every):
        raise typer.BadParameter("give send keys, or filters: not both")
    if not (given or filtered or every):
        raise typer.BadParameter("say which: send keys, a filter, or --all")
    if not every and max(limit, len(given or ())) > MOST:
        raise typer.BadParameter(f"more than {MOST:,} at once: say --all, or take fewer")
    with _connected(dsn) as connection:
        total = len(given) if given else _count(connection, sort, which)
        most = total if every or given else min(limit, total)
        if not given and most and not yes:
            said.chosen(connection, sort, which, most, total)
            if not typer.confirm(f"{word.action.lower()} {most:,} of them?", err=True):
                raise typer.Exit(USAGE)
        told: list[Ruled] = []
        with progress_bar(word.action.lower()) as progress:
            for batch in _batches(connection, sort, given, which, most):
                told += _write(connection, sort, batch, word, site)
                progress(len(told), most)
    said.ruled(word.action, told, total - most, as_json=as_json)
    if any(one.result == "refused" for one in told):
        raise typer.Exit(FAILED)


def _write(
    connection: Connection[Any], sort: Sort, batch: list[str], word: Word, site: str | None
) -> list[Ruled]:
    from wayfare_engine.outbox.rulings import rule

    return rule(connection, sort, batch, word, site=site_name(site), ids=new_id, clock=now)


def _batches(
    connection: Connection[Any], sort: Sort, given: list[str] | None, which: Wanted, most: int
) -> Iterator[list[str]]:
    from wayfare_engine.outbox.letters import keys

    if given:
        wanted = sorted(set(given))
        for start in range(0, len(wanted), BATCH):
            yield wanted[start : start + BATCH]
        return
    after = None
    while most > 0:
        found = keys(connection, sort, which, limit=min(BATCH, most), after=after)
        if not found:
            return
        yield [key for _, key in found]
        after = found[-1]
        most -= len(found)


def _count(connection: Connection[Any], sort: Sort, which: Wanted) -> int:
    from wayfare_engine.outbox.letters import counts

    return counts(connection, sort, which).total


@contextmanager
def _connected(dsn: str | None) -> Iterator[Connection[Any]]:
    import psycopg

    with psycopg.connect(direct_address(dsn), autocommit=True) as connection:
        yield connection
