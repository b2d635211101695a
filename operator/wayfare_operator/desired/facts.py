"""What the builders need to know beside the Engine itself."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class RecoveryFacts:
    """What the RecoveryPlan of an engine says to its pods. Times in seconds, the error a ratio."""

    take_first: bool
    """Whether this site takes the first epoch: the primary alone does."""
    ttl: float
    hand_over: float
    clock_error: float
    takeover: str
    follow: bool
    """Whether a worker that stands by follows the journal by itself, as where it stays up."""


@dataclass(frozen=True, slots=True)
class Facts:
    """The installation: the same for every engine, but for its recovery plan."""

    image: str
    image_pull_policy: str
    site: str
    operator_namespace: str
    operator_service_account: str
    issuer: str
    jwks: str
    recovery: RecoveryFacts | None = None

    @property
    def control_subject(self) -> str:
        """The only subject that an engine's control API accepts."""
        return f"system:serviceaccount:{self.operator_namespace}:{self.operator_service_account}"
