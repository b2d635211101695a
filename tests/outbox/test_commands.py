"""`wayfare sends`, as people and scripts run it."""

from __future__ import annotations

import json

from tests.outbox.conftest import Outbox
from tests.servers.command import wayfare
from tests.servers.receivers import Fault
from tests.servers.wait import until


def run(*arguments: str) -> str:
    """What the command prints; it has to succeed."""
    done = wayfare("sends", *arguments)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_where_sends_stand_and_which_are_unknown(outbox: Outbox) -> None:
    assert run("unknown", "--dsn", outbox.dsn) == "none is unknown\n"
    outbox.receivers["None"].fail(Fault("lost"))
    lost, accepted = outbox.send("None"), outbox.send("Key")
    outbox.plan(lost, accepted)
    with outbox.sealing(), outbox.sending():
        until(lambda: outbox.outcome(lost) == "Unknown", what="the outcome")
        until(lambda: outbox.outcome(accepted) == "Accepted", what="the other outcome")
    counts = json.loads(run("status", "--json", "--dsn", outbox.dsn))
    assert counts == {"unknown": 1, "accepted": 1}
    assert "unknown   1\n" in run("status", "--dsn", outbox.dsn)
    [listed] = json.loads(run("unknown", "--json", "--dsn", outbox.dsn))
    assert (listed["send_key"], listed["customer"]) == (lost.key, lost.customer)
    assert lost.key in run("unknown", "--dsn", outbox.dsn)
