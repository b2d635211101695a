"""The API server's token issuer and its public keys, for workers to check our token with."""

from __future__ import annotations

import json
from collections.abc import Callable

from wayfare_operator.kube.client import KubeClient

_REFRESH_SECONDS = 300.0


class IssuerKeys:
    """Reads `/.well-known/openid-configuration` and `/openid/v1/jwks`, at most every 5 minutes."""

    def __init__(self, kube: KubeClient, clock: Callable[[], float]) -> None:
        self._kube = kube
        self._clock = clock
        self._read_at: float | None = None
        self._issuer = ""
        self._jwks = ""

    async def current(self) -> tuple[str, str]:
        """(issuer, keys as canonical JSON). Raises ApiError or ApiUnreachable at first only."""
        now = self._clock()
        if self._read_at is not None and now - self._read_at < _REFRESH_SECONDS:
            return self._issuer, self._jwks
        configuration = await self._kube.read("/.well-known/openid-configuration")
        keys = await self._kube.read("/openid/v1/jwks")
        self._issuer = str(configuration["issuer"])
        self._jwks = json.dumps(keys, sort_keys=True, separators=(",", ":"))
        self._read_at = now
        return self._issuer, self._jwks
