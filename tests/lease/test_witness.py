"""Whose loss would take the store along, and stores that can have no lease."""

from __future__ import annotations

import pytest

from wayfare_engine.lease.problems import Replicated
from wayfare_engine.lease.witness import Replication, refuse_replicated, witness_shared


@pytest.mark.parametrize(
    ("store", "sites", "status", "message"),
    [
        ("dc3", {"east": "dc1", "west": "dc2"}, "False", "in dc3, and no site is"),
        ("dc1", {"east": "dc1", "west": "dc2"}, "True", "as is east: when that is lost, west"),
        ("dc2", {"east": "dc1", "west": "dc2"}, "True", "as is west: when that is lost, east"),
        ("dc1", {"east": "dc1", "west": "dc1"}, "True", "east and west.*no other site cannot"),
        (None, {"east": "dc1", "west": "dc2"}, "Unknown", "failureDomain is not declared"),
        ("dc3", {"east": None, "west": "dc2"}, "Unknown", "failure domain of east"),
        # What is known to be shared is said, whatever else is not known.
        ("dc2", {"east": None, "west": "dc2"}, "True", "east cannot take over"),
    ],
)
def test_witness_shared(
    store: str | None, sites: dict[str, str | None], status: str, message: str
) -> None:
    found = witness_shared(store, sites)
    assert (found.type, found.status) == ("WitnessShared", status)
    import re

    assert re.search(message, found.message), found.message


def test_an_asynchronous_copy_is_refused() -> None:
    for good in (Replication.NONE, Replication.SYNCHRONOUS):
        refuse_replicated("s3://a", good)
    with pytest.raises(Replicated, match="s3://a is declared as asynchronously replicated"):
        refuse_replicated("s3://a", Replication.ASYNCHRONOUS)
