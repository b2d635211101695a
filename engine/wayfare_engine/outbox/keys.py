"""Names of sends that are the same wherever, and however often, a node fires.

`send_key = hash(instance, node, visit)` and `instance = hash(journey, customer, entry key)`: no
row id, site, epoch or time goes in. A node that is fired again at another site is the same send.
"""

from __future__ import annotations

import hashlib


def instance_key(journey: str, customer: str, entry_key: str) -> str:
    """The journey instance of one customer's one entry: 40 hexadecimal digits."""
    return _digest("instance", journey, customer, entry_key)


def send_key(instance: str, node: str, visit: int) -> str:
    """The send of one visit to one node: 40 hexadecimal digits, the idempotency key outside."""
    return _digest("send", instance, node, str(visit))


def _digest(*parts: str) -> str:
    # Lengths go in, so that ("ab", "c") and ("a", "bc") differ.
    digest = hashlib.sha256()
    for part in parts:
        data = part.encode()
        digest.update(len(data).to_bytes(8, "big"))
        digest.update(data)
    return digest.hexdigest()[:40]
