"""Whether a channel host, in any language, keeps the contract: what it promises is tried."""

from wayfare_engine.channels.conform.run import Outcome, Unreachable, conform

__all__ = ["Outcome", "Unreachable", "conform"]
