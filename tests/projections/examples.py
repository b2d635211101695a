"""How many examples properties are tried with: the same ones each time where `CI` is set.

`HYPOTHESIS_PROFILE=thorough` tries ten times as many, and others each time.
"""

from __future__ import annotations

import os

from hypothesis import HealthCheck, Phase, settings

settings.register_profile(
    "quick",
    max_examples=100,
    deadline=None,
    derandomize=bool(os.environ.get("CI")),
    print_blob=True,
    # A server that is busy with other tests makes examples slow, not wrong.
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
settings.register_profile(
    "thorough", settings.get_profile("quick"), max_examples=1000, derandomize=False
)
PROFILE = settings.get_profile(os.environ.get("HYPOTHESIS_PROFILE", "quick"))


def examples(share: float) -> settings:
    """So many of the profile's examples: `share` of them."""
    return settings(PROFILE, max_examples=max(1, round(PROFILE.max_examples * share)))


def interleavings(share: float) -> settings:
    """The same for machines over real servers. Making a failure smaller takes minutes there, so
    only the thorough profile does it; each failure says how to try it again."""
    found = examples(share)
    if PROFILE.max_examples > 100:
        return found
    return settings(found, phases=(Phase.explicit, Phase.reuse, Phase.generate))
