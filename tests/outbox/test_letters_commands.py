"""`wayfare channel dead-letters | unknowns`, as people and scripts run them."""

from __future__ import annotations

import json

import psycopg

from tests.outbox.conftest import Outbox
from tests.outbox.test_letters import rejected, unknown
from tests.servers.command import wayfare
from tests.servers.wait import until
from wayfare_engine.ledger import fence

BY = ("--by", "ada", "--reason", "the outage is over")


def run(outbox: Outbox, *words: str, code: int = 0) -> tuple[str, str]:
    """What `wayfare channel WORDS` prints, on both streams; it has to end with `code`."""
    done = wayfare("channel", *words, "--dsn", outbox.dsn)
    assert done.returncode == code, (done.stdout, done.stderr)
    return done.stdout, done.stderr


def test_a_dead_letter_from_the_list_to_its_new_turn(outbox: Outbox) -> None:
    assert run(outbox, "dead-letters", "list")[0] == "0 dead letters\n"
    first, second = rejected(outbox, 2)
    out, _ = run(outbox, "dead-letters", "list", "--channel", "Key", "--since", "1h")
    assert out.startswith("2 dead letters\n          2  Channel")
    assert first.key in out
    listed = json.loads(run(outbox, "dead-letters", "list", "--limit", "1", "--json")[0])
    assert (listed["total"], len(listed["letters"])) == (2, 1)

    dropped = run(outbox, "dead-letters", "drop", second.key, *BY)[0]
    assert dropped == "1 dropped\n"
    told = run(outbox, "dead-letters", "replay", "--matching", "channel", "--yes", "--json", *BY)[0]
    assert json.loads(told) == {
        "done": 1,
        "again": 0,
        "refused": 0,
        "left": 0,
        "sends": [{"send_key": first.key, "result": "done", "why": ""}],
    }
    with outbox.sealing(), outbox.sending():
        until(lambda: outbox.outcome(first) == "Accepted", what="the outcome")
    out = run(outbox, "dead-letters", "list")[0]
    assert out == "0 dead letters; 1 dropped\n"
    assert "1 undone" in run(outbox, "dead-letters", "undo", second.key, *BY)[0]
    steps = json.loads(run(outbox, "dead-letters", "show", first.key, "--whole", "--json")[0])
    assert [step["kind"] for step in steps] == [
        "intent",
        "dispatch",
        "outcome",
        "ruling",
        "dispatch",
        "outcome",
    ]
    assert "payload" not in steps[0]
    shown = run(outbox, "dead-letters", "show", first.key)[0]
    assert 'by="ada"' in shown
    run(outbox, "dead-letters", "show", "nobody", code=1)


def test_an_unknown_needs_a_statement(outbox: Outbox) -> None:
    send = unknown(outbox)
    run(outbox, "unknowns", "replay", send.key, *BY, code=2)
    told = ("--not-delivered", "portal: no such message")
    out, err = run(outbox, "dead-letters", "replay", send.key, *BY, code=1)
    assert (out, "it is unknown: see unknowns" in err) == ("0 replayed, 1 refused\n", True)
    assert run(outbox, "unknowns", "replay", send.key, *BY, *told)[0] == "1 replayed\n"
    assert run(outbox, "unknowns", "replay", send.key, *BY, *told)[0] == (
        "0 replayed, 1 were before\n"
    )


def test_what_is_too_much_or_unclear_is_refused_before_anything_is_written(
    outbox: Outbox,
) -> None:
    [send] = rejected(outbox)
    for words, says in (
        ((), "say which"),
        ((send.key, "--channel", "Key"), "not both"),
        (("--channel", "Key", "--limit", "10001", "--yes"), "say --all"),
        (("--since", "yesterday"), "write a time"),
        ((send.key, "--expires-in", "soon"), "such as 24h"),
    ):
        _, err = run(outbox, "dead-letters", "replay", *words, *BY, code=2)
        assert says in " ".join(err.split()), err
    # Nobody is there to be asked.
    _, err = run(outbox, "dead-letters", "replay", "--channel", "Key", *BY, code=1)
    assert "replay 1 of them?" in err
    assert outbox.ask("SELECT count(*)::int FROM wayfare.rulings") == [(0,)]


def test_many_are_replayed_in_parts(outbox: Outbox) -> None:
    rejected(outbox, 30)
    out, _ = run(
        outbox, "dead-letters", "replay", "--channel", "Key", "--limit", "20", "--yes", *BY
    )
    assert out == "20 replayed; 10 more match (--limit)\n"
    out, _ = run(outbox, "dead-letters", "replay", "--all", "--yes", *BY)
    assert out == "10 replayed\n"


def test_where_the_epoch_is_over_nothing_is_written(outbox: Outbox) -> None:
    [send] = rejected(outbox)
    with psycopg.connect(outbox.dsn, autocommit=True) as connection:
        fence.raise_epoch(connection, 2, held=False)
    _, err = run(outbox, "dead-letters", "replay", send.key, *BY, code=1)
    assert "another site holds" in err
    run(outbox, "dead-letters", "drop", send.key, *BY, code=1)
