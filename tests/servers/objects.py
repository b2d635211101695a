"""An S3 object store that tests start, kill and start again at the same address: SeaweedFS."""

from __future__ import annotations

import http.client
import json
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.servers.ports import free_port

ACCESS_KEY = "wayfare-tests"
SECRET_KEY = "a-secret-of-the-tests"
_PORTS = ("master", "volume", "filer")


class ObjectServer:
    """One server with a bucket; `url()` is a prefix of one's own in it."""

    bucket = "wayfare"

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.port = free_port()
        self._others = {f"-{n}.port{k}": free_port() for n in _PORTS for k in ("", ".grpc")}
        self._others["-s3.port.grpc"] = free_port()
        self._process: subprocess.Popen[bytes] | None = None
        identity = {
            "name": "tests",
            "credentials": [{"accessKey": ACCESS_KEY, "secretKey": SECRET_KEY}],
            "actions": ["Admin", "Read", "Write", "List", "Tagging"],
        }
        reader = {
            "name": "reader",
            "credentials": [{"accessKey": "reader", "secretKey": SECRET_KEY}],
            "actions": ["Read", "List"],
        }
        (folder / "s3.json").write_text(json.dumps({"identities": [identity, reader]}))
        (folder / "data").mkdir()

    @property
    def endpoint(self) -> str:
        """HTTP address of the server."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def options(self) -> dict[str, str]:
        """What a client needs beside the URL: by the names of the environment's variables."""
        return {
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_ACCESS_KEY_ID": ACCESS_KEY,
            "AWS_SECRET_ACCESS_KEY": SECRET_KEY,
            "AWS_REGION": "us-east-1",
        }

    def url(self) -> str:
        """An empty place of one's own."""
        return f"s3://{self.bucket}/{uuid.uuid4().hex[:12]}"

    def start(self) -> None:
        """Start it, also after `kill`; returns when the bucket can be written to."""
        arguments = [f"{name}={port}" for name, port in self._others.items()]
        with (self._folder / "weed.log").open("ab") as log:
            self._process = subprocess.Popen(
                [
                    Path(sys.executable).parent / "weed",
                    "mini",
                    f"-dir={self._folder / 'data'}",
                    "-ip=127.0.0.1",
                    "-ip.bind=127.0.0.1",
                    f"-s3.port={self.port}",
                    f"-s3.config={self._folder / 's3.json'}",
                    f"-bucket={self.bucket}",
                    "-s3.port.iceberg=0",
                    "-s3.port.lance=0",
                    "-admin.ui=false",
                    "-webdav=false",
                    "-master.telemetry=false",
                    *arguments,
                ],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self._folder,
            )
        deadline = time.monotonic() + 60
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > deadline:
                tail = (self._folder / "weed.log").read_text(errors="replace")[-2000:]
                raise RuntimeError(f"the object store did not start:\n{tail}")
            time.sleep(0.05)

    def kill(self) -> None:
        """SIGKILL."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        """Ask it to end."""
        self._end(signal.SIGTERM)

    def suspend(self) -> None:
        """SIGSTOP: it takes connections and answers nothing."""
        if self._process is not None:
            self._process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        """SIGCONT."""
        if self._process is not None:
            self._process.send_signal(signal.SIGCONT)

    def _end(self, with_signal: signal.Signals) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        process.send_signal(signal.SIGCONT)
        process.send_signal(with_signal)
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def _answers(self) -> bool:
        from wayfare_engine.errors import SaidToPeople
        from wayfare_engine.objectstore import open_store

        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=1)
        try:
            connection.request("GET", "/")
            connection.getresponse()
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()
        try:
            store = open_store(
                f"s3://{self.bucket}", options=self.options, retries=0, timeout_seconds=2
            )
            store.put("ready", b"")
        except SaidToPeople:
            return False
        return True


@contextmanager
def running_objects() -> Iterator[ObjectServer]:
    """A server in a folder of its own, both gone afterwards."""
    folder = Path(tempfile.mkdtemp(prefix="wayfare-objects-"))
    server = ObjectServer(folder)
    try:
        server.start()
        yield server
    finally:
        server.stop()
        shutil.rmtree(folder, ignore_errors=True)
