"""The pages' examples work as they stand there, and answers have the fields that are shown."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from typing import Any

from tests.fetching.conftest import Site
from tests.fetching.test_tasks import Desk
from tests.servers.wait import until

DOCS = Path(__file__).parents[2] / "docs"
_BLOCK = re.compile(r"```([a-z]*)\n(.*?)```", re.DOTALL)


def blocks(page: str) -> tuple[list[str], list[Any]]:
    """The commands of a page and the answers that it shows."""
    found = _BLOCK.findall((DOCS / page).read_text())
    lines = "\n".join(text for kind, text in found if not kind).replace("\\\n", " ").splitlines()
    return [line for line in lines if line], [
        json.loads(text) for kind, text in found if kind == "json"
    ]


def answer(command: str, url: str, **given: str) -> Any:
    """What a command of a page answers; `given` stands for its words in capitals."""
    for word, value in given.items():
        command = command.replace(word, value)
    made = command.replace("http://ENGINE", url)
    done = subprocess.run(["bash", "-c", made], capture_output=True, timeout=60, check=True)
    return json.loads(done.stdout)


def fields(shown: Any) -> Any:
    """The names of its fields, with those of what is inside of lists."""
    if isinstance(shown, list):
        return [fields(shown[0])]
    if isinstance(shown, dict):
        free = ("content", "script")
        return {name: None if name in free else fields(value) for name, value in shown.items()}
    return None


def test_pull(site: Site) -> None:
    (get, post), (given, taken) = blocks("pull.md")
    send = site.send_through("bank/core")
    with site.known():
        site.plan(send)
        offered = "SELECT count(*) FROM wayfare.pulled WHERE offered_until IS NOT NULL"
        until(lambda: site.ask(offered) == [(1,)], what="the offer")
        found = answer(get, site.url)
        assert fields(found) == fields(given)
        one = found["sends"][0]
        words = {"SEND_KEY": one["send_key"], "LEASE": one["lease"]}
        said = answer(post, site.url, **words)
    assert fields(said) == fields(taken)
    assert said["acknowledgements"][0]["taken"] == "Settled"
    assert site.outcome(send) == "Accepted"


def test_tasks(site: Site) -> None:
    desk = Desk(site.dsn, site.store, {}, url=site.url)
    desk.config = desk.config | {"assignee": "b17"}
    send = desk.make()
    lines, (shown,) = blocks("tasks.md")
    get, *actions = (line for line in lines if line.startswith("curl"))
    assert fields(answer(get, site.url)) == fields(shown)
    states = [answer(action, site.url, TASK=send.key)["state"] for action in actions]
    assert states == ["Taken", "Open", "Taken", "Closed"]
