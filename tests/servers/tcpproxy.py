"""A TCP proxy whose lines tests cut, on one side or on both."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator

from psycopg.conninfo import conninfo_to_dict, make_conninfo


class TcpProxy:
    """Forwards 127.0.0.1:`port` to 127.0.0.1:`target`."""

    def __init__(self, target: int) -> None:
        self._target = target
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        self._pairs: list[tuple[socket.socket, socket.socket]] = []
        self._lock = threading.Lock()
        self._silent: set[socket.socket] = set()
        threading.Thread(target=self._accept, daemon=True).start()

    def lose_servers(self) -> int:
        """The server sees its clients gone; the clients see nothing, and get no answer. How many
        lines there were."""
        with self._lock:
            pairs = list(self._pairs)
            self._silent.update(client for client, _ in pairs)
        for _, server in pairs:
            _end(server)
        return len(pairs)

    def cut(self) -> int:
        """Both sides see the line end. How many lines there were."""
        with self._lock:
            pairs, self._pairs = self._pairs, []
        for pair in pairs:
            for side in pair:
                _end(side)
        return len(pairs)

    def close(self) -> None:
        """Cut every line, and take no more."""
        self._listener.close()
        self.cut()

    def changed(self, data: bytes) -> bytes:
        """What goes on in place of some bytes: the same."""
        return data

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            try:
                server = socket.create_connection(("127.0.0.1", self._target))
            except OSError:
                client.close()
                continue
            with self._lock:
                self._pairs.append((client, server))
            for source, sink in ((client, server), (server, client)):
                threading.Thread(target=self._pump, args=(source, sink), daemon=True).start()

    def _pump(self, source: socket.socket, sink: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                with contextlib.suppress(OSError):
                    sink.sendall(self.changed(data))
        if sink not in self._silent:
            _end(sink)


def _end(side: socket.socket) -> None:
    with contextlib.suppress(OSError):
        side.shutdown(socket.SHUT_RDWR)


@contextlib.contextmanager
def proxied(dsn: str) -> Iterator[tuple[TcpProxy, str]]:
    """A proxy in front of a PostgreSQL, and the address that leads through it."""
    proxy = TcpProxy(int(conninfo_to_dict(dsn)["port"] or 5432))
    try:
        yield proxy, make_conninfo(dsn, host="127.0.0.1", port=proxy.port)
    finally:
        proxy.close()
