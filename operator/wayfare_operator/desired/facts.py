"""What the builders need to know beside the Engine itself."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Facts:
    """The installation: the same for every engine."""

    image: str
    image_pull_policy: str
    site: str
    operator_namespace: str
    operator_service_account: str
    issuer: str
    jwks: str

    @property
    def control_subject(self) -> str:
        """The only subject that an engine's control API accepts."""
        return f"system:serviceaccount:{self.operator_namespace}:{self.operator_service_account}"
