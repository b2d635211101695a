"""Free ports on loopback."""

from __future__ import annotations

import itertools
import os
import random
import socket

#: Below the ports that systems give to outgoing connections (32768 on Linux), so that none of those
#: takes a port between its choice and its use; node ports of the lab are in its own namespaces.
_FIRST, _LAST = 12_000, 32_000
#: Test processes that run side by side each have a part of the range.
_PROCESSES = 8


def _mine() -> list[int]:
    number = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) % _PROCESSES
    size = (_LAST - _FIRST) // _PROCESSES
    ports = list(range(_FIRST + number * size, _FIRST + (number + 1) * size))
    random.shuffle(ports)
    return ports


_ports = itertools.cycle(_mine())


def free_port() -> int:
    """A TCP port on 127.0.0.1 that nothing listens on. Raises OSError when there is none."""
    for port in itertools.islice(_ports, _LAST - _FIRST):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise OSError("every port of this process's range is taken")
