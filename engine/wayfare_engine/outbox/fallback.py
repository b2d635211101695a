"""Whether the channels' fallbacks lead anywhere, and to an end."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from wayfare_engine.errors import SaidToPeople
from wayfare_engine.outbox.channel import Channel


@dataclass(eq=False)
class FallbackProblem(SaidToPeople):
    """A fallback that there is not, or one that leads back."""

    channel: str
    problem: str

    def __str__(self) -> str:
        return f"channel {self.channel}: {self.problem}"


def checked(channels: Mapping[str, Channel]) -> Mapping[str, Channel]:
    """The same channels. Raises FallbackProblem."""
    for name in channels:
        way = [name]
        while (following := channels[way[-1]].fallback) is not None:
            if following not in channels:
                raise FallbackProblem(way[-1], f"there is no channel {following} to fall back to")
            if following in way:
                raise FallbackProblem(name, f"its fallbacks go in a circle: {', '.join(way)}")
            way.append(following)
    return channels
