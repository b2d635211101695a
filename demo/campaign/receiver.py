"""The outside world of the demo: it takes webhooks at `/push` and `/mail`, drops repeats by their
id as Standard Webhooks say, and can be told to hang. It keeps its own record of what took effect.

    GET  /record            {"push": {"effects", "repeats"}, "mail": ..., "both": keys at both}
    GET  /times?SINCE       when each effect since then took effect; seconds since 1970
    GET  /arrivals?SINCE    [[when, address of ours that it came to, id, whether it is a repeat]]
    POST /mode/push?hang    take nothing more and answer nobody; ?serve: go on
    POST /forget            begin an empty record

    python3 receiver.py PORT [ADDRESS...]

Only Python's own library, so that any image with Python runs it.
"""

from __future__ import annotations

import asyncio
import json
import socket
import sys
import time

WAYS = ("push", "mail")
LIMIT = 1024 * 1024


class Receiver:
    """What took effect and when, by way; a way that hangs has an event that is not set."""

    def __init__(self) -> None:
        self.forget()
        self.serving = {way: asyncio.Event() for way in WAYS}
        for event in self.serving.values():
            event.set()

    def forget(self) -> None:
        """Begin an empty record."""
        self.effects: dict[str, dict[str, float]] = {way: {} for way in WAYS}
        self.repeats = dict.fromkeys(WAYS, 0)
        self.arrivals: list[tuple[float, str, str, bool]] = []

    def record(self) -> dict[str, object]:
        """What is known, for people."""
        found: dict[str, object] = {
            way: {"effects": len(self.effects[way]), "repeats": self.repeats[way]} for way in WAYS
        }
        found["both"] = sorted(self.effects["push"].keys() & self.effects["mail"].keys())
        return found

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection."""
        here = str(writer.get_extra_info("sockname")[0])
        try:
            while (line := await reader.readline()).strip():
                method, target, _ = line.decode("latin-1").split(" ", 2)
                headers = await _headers(reader)
                length = int(headers.get("content-length", "0"))
                if length > LIMIT:
                    break
                await reader.readexactly(length)
                path, _, query = target.partition("?")
                status, body = await self.answer(method, path.strip("/"), query, headers, here)
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
        self, method: str, path: str, query: str, headers: dict[str, str], here: str
    ) -> tuple[str, bytes]:
        """Status and body. `here`: our address that was called."""
        if method == "GET" and path == "record":
            return "200 OK", json.dumps(self.record()).encode()
        if method == "GET" and path == "times":
            every = [at for effects in self.effects.values() for at in effects.values()]
            return "200 OK", json.dumps(sorted(at for at in every if at >= float(query))).encode()
        if method == "GET" and path == "arrivals":
            found = [one for one in self.arrivals if one[0] >= float(query)]
            return "200 OK", json.dumps(found).encode()
        if method == "POST" and path == "forget":
            self.forget()
            return "200 OK", b"{}"
        if path.startswith("mode/") and path[5:] in WAYS:
            event = self.serving[path[5:]]
            (event.clear if query == "hang" else event.set)()
            return "200 OK", b"{}"
        if method != "POST" or path not in WAYS:
            return "404 Not Found", b"{}"
        await self.serving[path].wait()
        key = headers.get("webhook-id", "")
        repeat, now = key in self.effects[path], time.time()
        self.repeats[path] += repeat
        self.effects[path].setdefault(key, now)
        self.arrivals.append((now, here, key, repeat))
        return "200 OK", b"{}"


async def _headers(reader: asyncio.StreamReader) -> dict[str, str]:
    found = {}
    while line := (await reader.readline()).decode("latin-1").strip():
        name, _, value = line.partition(":")
        found[name.lower()] = value.strip()
    return found


def _listening(address: str, port: int) -> socket.socket:
    """A socket at an address that this machine need not have yet: a link may come and go."""
    found = socket.socket()
    found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    found.setsockopt(socket.IPPROTO_IP, getattr(socket, "IP_FREEBIND", 15), 1)
    found.bind((address, port))
    return found


async def main(port: int, addresses: list[str]) -> None:
    """Serve for ever: everywhere, or at this machine's own address and the given ones."""
    receiver = Receiver()
    everywhere = [] if addresses else ["0.0.0.0"]  # noqa: S104 - a pod's
    wanted = everywhere or ["127.0.0.1", *addresses]
    servers = [
        await asyncio.start_server(receiver.serve, sock=_listening(address, port))
        for address in wanted
    ]
    await asyncio.gather(*(server.serve_forever() for server in servers))


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), sys.argv[2:]))
