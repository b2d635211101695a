"""What an Engine or a Channel should consist of: pure functions from specs and facts to objects."""

from wayfare_operator.desired.channel import channel_children
from wayfare_operator.desired.children import children
from wayfare_operator.desired.facts import Facts, RecoveryFacts

__all__ = ["Facts", "RecoveryFacts", "channel_children", "children"]
