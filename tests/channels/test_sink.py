"""The plugin `sink`, behind a host that the command started."""

from __future__ import annotations

import json
import resource
from pathlib import Path

from tests.servers.channel_host import channel_host


def test_a_send_is_taken_once(tmp_path: Path) -> None:
    config = tmp_path / "sink.json"
    config.write_text(json.dumps({"file": str(tmp_path / "sends.jsonl")}))
    with channel_host(tmp_path, "--plugin", "sink", "--config", str(config)) as host:
        first, second = host.send("k-1"), host.send("k-1")
        assert (first.status_code, first.json()["result"]) == (200, "Accepted")
        assert second.json()["provider_id"] == first.json()["provider_id"]
    (line,) = (tmp_path / "sends.jsonl").read_text().splitlines()
    assert json.loads(line)["what"]["send_key"] == "k-1"


def test_a_disk_that_is_full_takes_nothing(tmp_path: Path) -> None:
    config, file = tmp_path / "sink.json", tmp_path / "sends.jsonl"
    config.write_text(json.dumps({"file": str(file)}))
    with channel_host(tmp_path / "host", "--plugin", "sink", "--config", str(config)) as host:
        assert host.process.pid is not None
        assert host.send("k-1").status_code == 200
        before = file.read_bytes()
        # A file may not grow beyond this: as a disk that has little space left.
        limit = (len(before) + 100, resource.RLIM_INFINITY)
        resource.prlimit(host.process.pid, resource.RLIMIT_FSIZE, limit)
        answer = host.send("k-2")
        assert (answer.status_code, answer.json()["result"]) == (503, "NotAccepted")
        assert file.read_bytes() == before
        free = (resource.RLIM_INFINITY, resource.RLIM_INFINITY)
        resource.prlimit(host.process.pid, resource.RLIMIT_FSIZE, free)
        assert host.send("k-2").status_code == 200


def test_a_repeat_is_known_after_a_restart(tmp_path: Path) -> None:
    config = tmp_path / "sink.json"
    file = tmp_path / "sends.jsonl"
    config.write_text(json.dumps({"file": str(file)}))
    words = ("--plugin", "sink", "--config", str(config))
    with channel_host(tmp_path / "first", *words) as host:
        first = host.send("k-1").json()["provider_id"]
    file.write_bytes(file.read_bytes() + b'{"at": 1.0, "provid')
    with channel_host(tmp_path / "second", *words) as host:
        assert host.send("k-1").json()["provider_id"] == first
        assert host.send("k-2").json()["provider_id"] != first
    assert len(file.read_text().splitlines()) == 2
    assert file.stat().st_mode & 0o077 == 0
