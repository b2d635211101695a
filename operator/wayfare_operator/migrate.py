"""Stored objects rewritten in their kind's storage version, after a change of CRDs."""

from __future__ import annotations

from collections.abc import Callable

from wayfare_operator.kube.client import ApiError, KubeClient
from wayfare_operator.kube.config import load_configuration
from wayfare_operator.kube.kinds import OURS


async def migrate(progress: Callable[[str, int], None]) -> dict[str, int]:
    """Write every object back as it is; the count by kind. One that changed meanwhile is new
    enough already, and one that is gone needs nothing.

    `progress` is told each kind that is done. Raises ApiError, ApiUnreachable."""
    kube = KubeClient(await load_configuration())
    counts: dict[str, int] = {}
    try:
        for kind in OURS:
            counts[kind.name] = 0
            async for obj in kube.list(kind, None):
                try:
                    await kube.replace(kind, obj)
                except ApiError as error:
                    if error.status not in (404, 409):
                        raise
                else:
                    counts[kind.name] += 1
            progress(kind.name, counts[kind.name])
    finally:
        await kube.close()
    return counts
