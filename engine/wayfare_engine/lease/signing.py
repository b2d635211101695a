"""What a person reads before they take an epoch: figures, and what may go wrong (pure)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from wayfare_engine.lease.beats import Beat
from wayfare_engine.lease.epochs import Lease
from wayfare_engine.lease.terms import Takeover, Terms


@dataclass(frozen=True)
class Holding:
    """Who holds the epoch, where its lease cannot be read."""

    site: str
    epoch: int
    at: datetime | None = None


@dataclass(frozen=True)
class Behind:
    """What a plan's status says of the standby, where the holder's beat cannot be read: how many
    records it has not applied; None is unknown. Most of these may be in the store."""

    rows: int | None
    as_of: datetime | None


@dataclass(frozen=True)
class ToSign:
    """The facts of one taking. `beat` is the holder's newest; `stated`: on a person's word."""

    plan: str
    site: str
    epoch: int
    holder: Lease | Holding
    beat: Beat | Behind | None
    terms: Terms
    takeover: Takeover
    stated: bool

    def lines(self) -> tuple[str, ...]:
        """One sentence each. They are kept with the statement, as what was read."""
        old, mine = self.holder.site, self.site
        since = f" since {self.holder.at:%Y-%m-%d %H:%M:%S} UTC" if self.holder.at else ""
        said = [
            f"Site {mine} takes epoch {self.epoch} of plan {self.plan} from site {old}, which "
            f"holds epoch {self.holder.epoch}{since}. There "
            "is no way back: from then on it is finished, or a third epoch is taken.",
            self._figures(),
            f"Nobody sends for {self.terms.wait:.2f} s: {self.terms.arithmetic()}. A statement "
            "does not make that shorter.",
        ]
        if self.stated:
            said.append(
                f"Nobody checks that site {old} is off. While it runs it answers inline decisions "
                "until its traffic is moved; those rows are stranded too, and caps may be "
                "exceeded by them."
            )
        if self.takeover is Takeover.STATEMENT:
            said.append(
                f"The plan has takeover: Statement, so a store that is away does not stop site "
                f"{old}: if it runs and does not reach the store, it goes on sending for as long "
                "as it likes, while this site sends too. Then a customer may be contacted twice "
                "on a channel without a dedupe key, and caps count each site alone. Only your "
                "word keeps that from happening: be sure that it is off or cut off."
            )
        else:
            said.append(
                f"Site {old} stops sending by its own clock, at the latest {self.terms.ttl:g} s "
                "after it last read the store. That holds while its clock's rate is right within "
                f"{self.terms.clock_error:.2%} and no process pauses between its check and its "
                f"send for more than {self.terms.hand_over:g} s."
            )
        return tuple(said)

    def _figures(self) -> str:
        old = self.holder.site
        if self.beat is None:
            return (
                f"Site {old} never wrote a beat, so how many of its rows are not in the store is "
                "unknown. They stay on its disk, and are put back at the failback if that can be "
                "read."
            )
        if isinstance(self.beat, Behind):
            rows, as_of = self.beat.rows, self.beat.as_of
            known = "an unknown number of" if rows is None else f"{rows:,}"
            told = f", as of {as_of:%Y-%m-%d %H:%M:%S} UTC" if as_of else ""
            return (
                f"By the plan's status{told}, {known} records of site {old} are not applied here. "
                "How many of them are not in the store either, and would be lost, is not known "
                "here: --store shows it. Such rows stay on its disk, and are put back at the "
                "failback if that can be read."
            )
        oldest = self.beat.oldest_unsealed_at
        since = f", the oldest of {oldest:%Y-%m-%d %H:%M:%S} UTC" if oldest else ""
        return (
            f"By its newest beat, written {self.beat.at:%Y-%m-%d %H:%M:%S} UTC by its own clock, "
            f"site {old} had sealed {self.beat.sealed_seq:,} rows, and {self.beat.unsealed:,} were "
            f"not in the store{since}. What it wrote since is unknown. Such rows stay on its disk, "
            "and are put back at the failback if that can be read."
        )
