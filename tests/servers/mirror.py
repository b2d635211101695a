"""What an API server has of a collection, kept by list and watch, so that who plays a controller in
a test looks at it as often as it likes and asks nobody."""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Iterator
from typing import Any

import httpx

from tests.servers.apiserver import ApiServer

#: A watch ends by itself after so many seconds: then it is begun again, or nobody needs it.
_WATCH_SECONDS = 5


class Mirror:
    """The objects of one collection, by uid; a moment behind, as every controller's cache is."""

    def __init__(self, server: ApiServer, path: str) -> None:
        self._server, self._path = server, path
        self._objects: dict[str, dict[str, Any]] = {}
        self._over = threading.Event()
        self._version = self._list()
        threading.Thread(target=self._follow, daemon=True).start()

    @property
    def items(self) -> list[dict[str, Any]]:
        """All of them, as they were seen last."""
        return list(self._objects.values())

    def end(self) -> None:
        """Follow no more; what was seen stays."""
        self._over.set()

    def _list(self) -> str:
        found = self._server.send("GET", self._path).body
        self._objects = {each["metadata"]["uid"]: each for each in found["items"]}
        return str(found["metadata"]["resourceVersion"])

    def _follow(self) -> None:
        while not self._over.is_set():
            try:
                self._watch()
            except (httpx.HTTPError, KeyError, ValueError):
                # Its server is gone with its tests, or away for a moment, maybe within a line.
                self._over.wait(0.2)

    def _watch(self) -> None:
        query = {
            "watch": "1",
            "resourceVersion": self._version,
            "timeoutSeconds": str(_WATCH_SECONDS),
            "allowWatchBookmarks": "true",
        }
        with self._server.http.stream("GET", self._path, params=query) as response:
            for line in response.iter_lines():
                if self._over.is_set():
                    return
                event = json.loads(line)
                if event["type"] == "ERROR":
                    # What it was to go on from is compacted away.
                    self._version = self._list()
                    return
                self._take(event["type"], event["object"])

    def _take(self, kind: str, obj: dict[str, Any]) -> None:
        metadata = obj["metadata"]
        self._version = metadata["resourceVersion"]
        if kind == "DELETED":
            self._objects.pop(metadata["uid"], None)
        elif kind != "BOOKMARK":
            self._objects[metadata["uid"]] = obj


@contextlib.contextmanager
def mirrored(server: ApiServer, *paths: str) -> Iterator[list[Mirror]]:
    """A mirror of each collection, until left."""
    mirrors = [Mirror(server, path) for path in paths]
    try:
        yield mirrors
    finally:
        for mirror in mirrors:
            mirror.end()
