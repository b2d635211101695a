"""A channel host over HTTP/1.1 (`channels.contract`): one connection a thread, and every answer
carries its clock.

What an answer means is decided here and nowhere else. Only a refused connection and a status that
the contract names are definite; everything else, a plain 500 too, leaves the send in doubt.
"""

from __future__ import annotations

import http.client
import json
import socket
import threading
from collections.abc import Callable
from typing import Any
from urllib.parse import quote, urlsplit

import msgspec

from wayfare_engine.channels.contract import CLOCK_HEADER, UNREADABLE, VERSION
from wayfare_engine.outbox.channel import Answer, HandOver, HostUnreachable, Reading, Result

#: A connection that was idle for longer may be closed under us just as we send: take a new one.
_IDLE_SECONDS = 1.0
_SLACK_SECONDS = 0.2


class _Line(threading.local):
    connection: http.client.HTTPConnection | None = None
    used_at: float = 0.0


class HttpHost:
    """The host at `url`. Safe to use from several threads."""

    def __init__(self, url: str, *, boottime: Callable[[], float], connect_seconds: float) -> None:
        parts = urlsplit(url)
        self._address = (parts.hostname or "127.0.0.1", parts.port or 80)
        self._boottime = boottime
        self._connect_seconds = connect_seconds
        self._line = _Line()
        self._newest: Reading | None = None

    def reading(self, youngest: float) -> Reading:
        """See `Host.reading`; asks only when no answer of late carried one."""
        newest = self._newest
        if newest is not None and newest.received_at >= youngest:
            return newest
        try:
            self._call("GET", f"/{VERSION}/clock", None, self._connect_seconds)
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise HostUnreachable(_said(error)) from None
        newest = self._newest
        if newest is None or newest.received_at < youngest:
            raise HostUnreachable("its answer carries no clock")
        return newest

    def hand_over(self, what: HandOver) -> Answer:
        """See `Host.hand_over`."""
        send = what.send
        fields: dict[str, Any] = {} if send.address is None else {"address": send.address}
        if send.test:
            fields["test"] = True
        body = msgspec.json.encode(
            fields
            | {
                "send_key": send.send_key,
                "customer": send.customer,
                "channel": send.channel,
                "site": what.site,
                "epoch": what.epoch,
                "attempt": send.attempt,
                "remaining": round(what.remaining, 6),
                "clock": what.reading.text,
                "payload": msgspec.Raw(send.payload.encode()),
            }
        )
        try:
            self._open(what.remaining + _SLACK_SECONDS)
        except OSError as error:
            return Answer(Result.NOT_ACCEPTED, f"no connection: {_said(error)}")
        try:
            status, said = self._call(
                "POST", f"/{VERSION}/send", body, what.remaining + _SLACK_SECONDS
            )
        except (OSError, http.client.HTTPException, ValueError) as error:
            return Answer(Result.IN_DOUBT, _said(error))
        return _meaning(status, said)

    def took_effect(self, send_key: str, seconds: float) -> bool:
        """See `Host.took_effect`."""
        try:
            status, said = self._call("GET", f"/{VERSION}/query/{quote(send_key)}", None, seconds)
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise HostUnreachable(_said(error)) from None
        if status != 200 or not isinstance(said.get("accepted"), bool):
            raise HostUnreachable(f"status {status} to the question about a key")
        return bool(said["accepted"])

    def _open(self, seconds: float) -> http.client.HTTPConnection:
        line = self._line
        if line.connection is not None and self._boottime() - line.used_at > _IDLE_SECONDS:
            self._close()
        if line.connection is None:
            connection = http.client.HTTPConnection(
                *self._address, timeout=min(self._connect_seconds, seconds)
            )
            connection.connect()
            connection.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            line.connection = connection
        # Neither the kernel may go on trying after the time is over.
        if hasattr(socket, "TCP_USER_TIMEOUT"):
            line.connection.sock.setsockopt(
                socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, max(1, int(seconds * 1000))
            )
        line.connection.sock.settimeout(seconds)
        return line.connection

    def _call(
        self, method: str, path: str, body: bytes | None, seconds: float
    ) -> tuple[int, dict[str, Any]]:
        connection = self._open(seconds)
        try:
            connection.request(method, path, body, {"Content-Type": "application/json"})
            answer = connection.getresponse()
            data = answer.read()
        except BaseException:
            self._close()
            raise
        self._line.used_at = self._boottime()
        clock = answer.headers.get(CLOCK_HEADER)
        if clock:
            self._newest = Reading(clock, self._boottime())
        if answer.will_close:
            self._close()
        said = json.loads(data) if data else {}
        return answer.status, said if isinstance(said, dict) else {}

    def _close(self) -> None:
        connection, self._line.connection = self._line.connection, None
        if connection is not None:
            connection.close()


def _meaning(status: int, said: dict[str, Any]) -> Answer:
    detail = str(said.get("detail", ""))
    match (status, said.get("result")):
        case (200, "Accepted"):
            provider_id = said.get("provider_id")
            return Answer(
                Result.ACCEPTED, detail, None if provider_id is None else str(provider_id)
            )
        case (422, "Rejected"):
            return Answer(Result.REJECTED, detail)
        case (503, "NotAccepted"):
            return Answer(Result.NOT_ACCEPTED, detail)
        case (408, "Late"):
            return Answer(Result.LATE, "the host refused a late start")
    if status in UNREADABLE:
        # Nothing of this attempt; of an earlier one it says nothing, as a rejection would.
        return Answer(Result.NOT_ACCEPTED, f"the host cannot read the hand-over: {detail}"[:300])
    return Answer(Result.IN_DOUBT, f"status {status} without a declared result")


def _said(error: BaseException) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0][:200]
