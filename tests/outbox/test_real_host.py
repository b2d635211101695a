"""The worker and a channel host as they run: a process that is killed between its sends."""

from __future__ import annotations

import json
import signal
from pathlib import Path

from tests.outbox.conftest import Outbox
from tests.servers.channel_host import channel_host
from tests.servers.ports import free_port
from tests.servers.receivers import boottime
from tests.servers.wait import until
from wayfare_engine.outbox import Channel, HttpHost, Key, Retry

SENDS = 300


def test_each_send_takes_effect_once_though_the_host_is_killed(
    outbox: Outbox, tmp_path: Path
) -> None:
    effects, config, port = tmp_path / "effects", tmp_path / "config.json", free_port()
    config.write_text(json.dumps({"file": str(effects)}))
    words = ("--plugin", "sink", "--config", str(config))
    sends = [outbox.send("Key") for _ in range(SENDS)]
    outbox.plan(*sends)
    channel = Channel(
        "Key",
        HttpHost(f"http://127.0.0.1:{port}", boottime=boottime, connect_seconds=0.5),
        Key(3600.0),
        concurrency=4,
        retry=Retry(pause=0.05, longest_pause=0.2),
    )

    def lines() -> list[str]:
        return effects.read_text().splitlines() if effects.exists() else []

    def wait_for(least: int) -> None:
        until(lambda: len(lines()) >= least, what=f"{least} sends", every=0.001)

    with outbox.sealing(), outbox.sending(channels={"Key": channel}):
        for life, enough in enumerate((1, SENDS // 3)):
            with channel_host(tmp_path / f"life-{life}", *words, port=port) as host:
                wait_for(enough)
                host.signal(signal.SIGKILL)
                host.exit_code()
        with channel_host(tmp_path / "last", *words, port=port):
            until(lambda: outbox.count("Accepted") == SENDS, what="all are accepted")
    taken = [json.loads(line)["what"]["send_key"] for line in lines()]
    assert sorted(taken) == sorted(send.key for send in sends)
