"""What a pooler shows of itself: the process id that it tells its client is not the server's."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

from psycopg.conninfo import conninfo_to_dict, make_conninfo

from tests.servers.tcpproxy import TcpProxy

#: BackendKeyData: a tag, a length of 12, the process id, the key for cancelling.
_KEY = re.compile(rb"K\x00\x00\x00\x0c(....)", re.DOTALL)


class Pooler(TcpProxy):
    """Forwards as PgBouncer does, with a BackendKeyData of its own."""

    def changed(self, data: bytes) -> bytes:
        return _KEY.sub(b"K\x00\x00\x00\x0c\x7f\x00\x00\x01", data)


@contextmanager
def pooled(dsn: str) -> Iterator[str]:
    """The address of a pooler in front of a PostgreSQL."""
    proxy = Pooler(int(conninfo_to_dict(dsn)["port"] or 5432))
    try:
        yield make_conninfo(dsn, host="127.0.0.1", port=proxy.port)
    finally:
        proxy.close()
