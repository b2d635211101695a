"""The outside world of the demo: it takes webhooks at `/push` and `/mail`, drops repeats by their
id as Standard Webhooks say, and can be told to hang. It keeps its own record of what took effect.

    GET  /record            {"push": {"effects", "repeats"}, "mail": ..., "both": keys at both}
    POST /mode/push?hang    take nothing more and answer nobody; ?serve: go on

Only Python's own library, so that any image with Python runs it.
"""

from __future__ import annotations

import asyncio
import json
import sys

WAYS = ("push", "mail")
LIMIT = 1024 * 1024


class Receiver:
    """What took effect, by way; a way that hangs has an event that is not set."""

    def __init__(self) -> None:
        self.effects: dict[str, set[str]] = {way: set() for way in WAYS}
        self.repeats = dict.fromkeys(WAYS, 0)
        self.serving = {way: asyncio.Event() for way in WAYS}
        for event in self.serving.values():
            event.set()

    def record(self) -> dict[str, object]:
        """What is known, for people."""
        found: dict[str, object] = {
            way: {"effects": len(self.effects[way]), "repeats": self.repeats[way]} for way in WAYS
        }
        found["both"] = sorted(self.effects["push"] & self.effects["mail"])
        return found

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection."""
        try:
            while (line := await reader.readline()).strip():
                method, target, _ = line.decode("latin-1").split(" ", 2)
                headers = await _headers(reader)
                length = int(headers.get("content-length", "0"))
                if length > LIMIT:
                    break
                await reader.readexactly(length)
                path, _, query = target.partition("?")
                status, body = await self.answer(method, path.strip("/"), query, headers)
                writer.write(
                    f"HTTP/1.1 {status}\r\ncontent-type: application/json\r\n"
                    f"content-length: {len(body)}\r\n\r\n".encode()
                    + body
                )
                await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError, ValueError):
            pass
        finally:
            writer.close()

    async def answer(
        self, method: str, path: str, query: str, headers: dict[str, str]
    ) -> tuple[str, bytes]:
        """Status and body."""
        if method == "GET" and path == "record":
            return "200 OK", json.dumps(self.record()).encode()
        if path.startswith("mode/") and path[5:] in WAYS:
            event = self.serving[path[5:]]
            (event.clear if query == "hang" else event.set)()
            return "200 OK", b"{}"
        if method != "POST" or path not in WAYS:
            return "404 Not Found", b"{}"
        await self.serving[path].wait()
        key = headers.get("webhook-id", "")
        if key in self.effects[path]:
            self.repeats[path] += 1
        self.effects[path].add(key)
        return "200 OK", b"{}"


async def _headers(reader: asyncio.StreamReader) -> dict[str, str]:
    found = {}
    while line := (await reader.readline()).decode("latin-1").strip():
        name, _, value = line.partition(":")
        found[name.lower()] = value.strip()
    return found


async def main(port: int) -> None:
    """Serve for ever."""
    server = await asyncio.start_server(Receiver().serve, "0.0.0.0", port)  # noqa: S104 - a pod's
    async with server:
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1])))
