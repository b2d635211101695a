"""A system that pulls, as its own process: `URL FOLDER HOW`. What takes effect is a line in
`effects`; it drops what it has done before, by the send key, when HOW is `key`. With `die` it is
killed after the first effect and before it says so."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

from tests.servers import web

if __name__ == "__main__":
    url, folder, *how = sys.argv[1:]
    effects = Path(folder) / "effects"
    while True:
        answer = web.get(url, params={"lease": "1s"}, timeout=20)
        if answer.status_code != 200:
            continue
        done = []
        for send in answer.json()["sends"]:
            before = effects.read_text().split() if effects.exists() else []
            if "key" not in how or send["send_key"] not in before:
                with effects.open("a") as file:
                    file.write(send["send_key"] + "\n")
            if "die" in how:
                os.kill(os.getpid(), signal.SIGKILL)
            done.append(
                {"send_key": send["send_key"], "lease": send["lease"], "result": "Accepted"}
            )
        if done:
            web.post(url, json=done, timeout=20).raise_for_status()
