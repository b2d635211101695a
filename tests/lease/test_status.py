"""Whether a database agrees with the store, and what a person reads before they sign."""

from __future__ import annotations

import pytest

from tests.lease.clocks import AT
from wayfare_engine.lease import Lease, Takeover, Terms
from wayfare_engine.lease.signing import ToSign
from wayfare_engine.lease.status import agreement
from wayfare_engine.ledger.fence import SiteEpoch


def lease(site: str, epoch: int) -> Lease:
    return Lease(plan="retail", epoch=epoch, site=site, nonce="n", reason="", at=AT)


@pytest.mark.parametrize(
    ("holder", "database", "wrote", "agrees", "words"),
    [
        (None, SiteEpoch(1, 1, True), True, True, "no epoch was taken"),
        (lease("west", 2), SiteEpoch(2, 2, True), True, True, "this site holds"),
        (lease("west", 2), SiteEpoch(1, 2, True), True, False, "goes on where that stopped"),
        (lease("west", 2), SiteEpoch(2, 2, False), True, False, "does not write under it yet"),
        (lease("east", 1), SiteEpoch(1, 1, True), False, True, "nothing is written here"),
        (lease("east", 1), SiteEpoch(1, 1, True), True, False, "rows were written here"),
        (lease("east", 2), SiteEpoch(1, 1, True), True, False, "never heard of epoch 2"),
        (lease("east", 2), SiteEpoch(1, 2, True), True, True, "nothing is written here"),
        (lease("east", 2), SiteEpoch(2, 2, False), True, True, "nothing is written here"),
    ],
)
def test_agreement(
    holder: Lease | None, database: SiteEpoch, wrote: bool, agrees: bool, words: str
) -> None:
    found, detail = agreement(holder, database, "west", wrote=wrote)
    assert found is agrees
    assert words in detail


@pytest.mark.parametrize("takeover", list(Takeover))
@pytest.mark.parametrize("stated", [True, False])
def test_what_is_read_before_signing_fits_the_plan(takeover: Takeover, stated: bool) -> None:
    terms = Terms(30, 0.001, 5)
    text = "\n".join(
        ToSign("retail", "west", 2, lease("east", 1), None, terms, takeover, stated).lines()
    )
    assert terms.arithmetic() in text
    assert ("Nobody checks that site east is off" in text) is stated
    assert ("contacted twice" in text) is (takeover is Takeover.STATEMENT)
    assert ("at the latest 30 s after it last read the store" in text) is (
        takeover is Takeover.LEASE
    )
