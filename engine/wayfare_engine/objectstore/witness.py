"""Whether the object store can be the witness between two sites: pure functions over what the
plan declares."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Condition:
    """The facts of a condition of the plan; `status` as in Kubernetes."""

    type: str
    status: Literal["True", "False", "Unknown"]
    reason: str
    message: str


def witness_shared(store_domain: str | None, site_domains: Mapping[str, str | None]) -> Condition:
    """`WitnessShared`: whether losing some site's failure domain also loses the store.

    `site_domains` maps a site's name to its failure domain. What is not declared is Unknown.
    """
    if store_domain is None:
        return Condition(
            "WitnessShared",
            "Unknown",
            "NotDeclared",
            "objectStore.failureDomain is not declared, so nobody can tell whose loss would take "
            "the store along",
        )
    shared = sorted(s for s, domain in site_domains.items() if domain == store_domain)
    if shared:
        others = sorted(s for s in site_domains if s not in shared)
        return Condition(
            "WitnessShared",
            "True",
            "SameFailureDomain",
            f"the object store is in {store_domain}, as is {_and(shared)}: when that is lost, "
            f"{_and(others) or 'no other site'} cannot take over",
        )
    silent = sorted(s for s, domain in site_domains.items() if domain is None)
    if silent:
        return Condition(
            "WitnessShared",
            "Unknown",
            "NotDeclared",
            f"the failure domain of {_and(silent)} is not declared",
        )
    return Condition(
        "WitnessShared",
        "False",
        "OwnFailureDomain",
        f"the object store is in {store_domain}, and no site is",
    )


def _and(names: list[str]) -> str:
    return (
        names[0]
        if len(names) == 1
        else ", ".join(names[:-1]) + " and " + names[-1]
        if names
        else ""
    )
