"""The page docs/runbooks/unknown-sends.md, run command by command."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

from tests.outbox.conftest import Outbox
from tests.servers.command import wayfare
from tests.servers.receivers import Fault
from tests.servers.wait import until

PAGE = Path(__file__).parents[2] / "docs/runbooks/unknown-sends.md"


def test_the_runbook_of_unknown_sends(outbox: Outbox) -> None:
    blocks = re.findall(r"```sh\n(.*?)```", PAGE.read_text(), re.DOTALL)
    lines = [shlex.split(line)[1:] for block in blocks for line in block.splitlines()]
    listing, shown, drop, replay, many, again, dead, undo = lines

    def run(words: list[str], key: str = "") -> str:
        given = [{"KEY": key, "CHANNEL": "None"}.get(word, word) for word in words]
        done = wayfare(*given, WAYFARE_POSTGRESQL_DSN=outbox.dsn)
        assert done.returncode == 0, (given, done.stderr)
        return done.stdout

    outbox.receivers["None"].fail(Fault("lost"))
    delivered = outbox.send("None")
    outbox.plan(delivered)
    with outbox.sealing(), outbox.sending():
        until(lambda: outbox.outcome(delivered) == "Unknown", what="the one that was delivered")
        outbox.receivers["None"].fail(Fault("error", times=2))
        lost, late = outbox.send("None"), outbox.send("None")
        outbox.plan(lost, late)
        until(lambda: outbox.count("Unknown") == 3, what="those that were not")

        out = run(listing)
        assert "\n".join(out.splitlines()[:2]) in PAGE.read_text()
        assert "dispatch" in run(shown, lost.key)
        assert run(drop, delivered.key) == "1 dropped\n"
        assert run(replay, lost.key) == "1 replayed\n"
        until(lambda: outbox.outcome(lost) == "Accepted", what="the replay")
        assert run(many) == "1 replayed\n"
        until(lambda: outbox.outcome(late) == "Accepted", what="the other replay")
        assert '"Accepted"' in run(again, lost.key)
        assert run(dead).startswith("0 dead letters")
        assert run(undo, delivered.key) == "1 undone\n"
    assert outbox.receivers["None"].effects() == {send.key: 1 for send in (delivered, lost, late)}
    assert "1 unknown\n" in run(listing)
