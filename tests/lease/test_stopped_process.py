"""A process that was stopped for longer than TTL + H knows it at its first look at the clock."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from tests.lease.test_holder import PLAN, hold
from tests.servers.wait import until
from wayfare_engine.lease import Holder
from wayfare_engine.objectstore import open_store

TTL, H = 0.5, 0.2

PROGRAM = """
import json, sys, threading, time
from wayfare_engine.lease import Holder, boottime
from wayfare_engine.objectstore import open_store
url, ttl, thread = sys.argv[1], float(sys.argv[2]), sys.argv[3] == "thread"
holder = Holder(open_store(url), plan="retail", site="east", epoch=1, ttl=ttl)
if thread:
    threading.Thread(target=holder.run, args=(threading.Event(),), daemon=True).start()
while True:
    if not thread and holder.guard.may_send() == 0.0:
        sys.stdin.readline()
        holder.check()
    # The clock first: a stop between the two then only makes `left` smaller.
    now, left = boottime(), holder.guard.may_send()
    print(json.dumps({"at": now, "left": left, "began": holder.last.began}), flush=True)
    time.sleep(0.005)
"""


def start(url: str, *how: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", PROGRAM, url, str(TTL), *how],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def line(process: subprocess.Popen[str]) -> dict[str, Any]:
    """What it printed next; lines of its log are passed over."""
    assert process.stdout is not None
    while not (text := process.stdout.readline()).startswith("{"):
        assert text, "it ended"
    return dict(json.loads(text))


def test_stopped_past_its_ttl_it_has_no_right_on_waking(tmp_path: Path) -> None:
    url = f"file://{tmp_path}"
    hold(open_store(url))
    process = start(url, "alone")
    try:
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()
        before = line(process)
        assert before["left"] > 0
        process.send_signal(signal.SIGSTOP)
        time.sleep(TTL + H + 0.1)
        process.send_signal(signal.SIGCONT)
        # What was printed before the stop has a right that had not ended by then; nothing after
        # the stop says otherwise, until the next check: and that waits for our line.
        process.stdin.write("\n")
        process.stdin.flush()
        seen = before
        while seen["began"] == before["began"]:
            assert seen["left"] <= 0 or seen["at"] < before["began"] + TTL
            seen = line(process)
        assert seen["began"] >= before["began"] + TTL + H
        assert seen["left"] > 0, "a lapsed holder acts again after a successful check"
    finally:
        process.kill()
        process.wait()


def test_stopped_while_another_took_over_it_never_acts_again(tmp_path: Path) -> None:
    url = f"file://{tmp_path}"
    store = open_store(url)
    hold(store)
    process = start(url, "thread")
    try:
        until(lambda: line(process)["left"] > 0, every=0)
        process.send_signal(signal.SIGSTOP)
        hold(store, 2, "west")
        west = Holder(store, plan=PLAN, site="west", epoch=2, ttl=TTL)
        time.sleep(TTL + H + 0.1)
        assert west.check()
        taken = west.last.began
        process.send_signal(signal.SIGCONT)
        lines = [line(process) for _ in range(60)]
        assert [seen for seen in lines if seen["at"] > taken and seen["left"] > 0] == []
        assert lines[-1]["at"] > taken
    finally:
        process.kill()
        process.wait()
