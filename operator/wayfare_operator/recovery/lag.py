"""How far this site is behind the one that acts. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from wayfare_engine.runs.authority import SeenBeat
from wayfare_operator.control import ToldFollow
from wayfare_operator.recovery.record import CaughtUp


@dataclass(frozen=True, slots=True)
class Lag:
    """Rows that are not applied here, and for how many seconds this site's data has been as it is;
    `as_of`: when the acting site was last heard of, or the site itself looked."""

    rows: int
    seconds: float
    as_of: datetime
    follows: bool = False
    """Whether the site applies the journal as it comes, and says so itself."""


def lag_of(
    beat: SeenBeat | None,
    caught_up: CaughtUp | None,
    follow: ToldFollow | None,
    now: datetime,
) -> Lag | None:
    """None when it is not known. A site that follows says it by itself; of one that sleeps it is
    what the acting site has, less what was applied here last."""
    if follow is not None and follow.lag_rows is not None:
        return Lag(follow.lag_rows, follow.lag_seconds or 0.0, follow.as_of or now, follows=True)
    if beat is None or caught_up is None:
        return None
    applied = caught_up.watermark.get(f"{beat.site}/{beat.epoch}", 0)
    rows = max(0, beat.sealed_seq + beat.unsealed - applied)
    seconds = max(0.0, (now - caught_up.at).total_seconds()) if rows else 0.0
    return Lag(rows, seconds, beat.at)


def at_risk(beat: SeenBeat | None) -> float | None:
    """Seconds that the acting site's oldest unsealed record was old when it said so; both times
    are its own clock's. 0 when all is sealed."""
    if beat is None:
        return None
    if not beat.unsealed or beat.oldest_unsealed_at is None:
        return 0.0
    return max(0.0, (beat.at - beat.oldest_unsealed_at).total_seconds())
