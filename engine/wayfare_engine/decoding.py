"""Types that msgspec decodes in several threads, looked at by it beforehand.

msgspec looks at a type when it first decodes one. When two threads do that at the same moment, the
process ends with SIGSEGV (msgspec 0.22.0). So a module whose types are decoded in threads calls
`known` when it is imported, which one thread does.
"""

from __future__ import annotations

from typing import Any

import msgspec

_known: set[Any] = set()


def known(*kinds: Any) -> None:
    """Have msgspec look at these types now. Called at the end of the module that declares them."""
    for kind in kinds:
        msgspec.json.Decoder(kind)
        _known.add(kind)


def is_known(kind: Any) -> bool:
    """Whether `known` was called with it."""
    return kind in _known
