"""What an Engine should consist of: pure functions from its spec and a few facts to objects."""

from wayfare_operator.desired.children import children
from wayfare_operator.desired.facts import Facts

__all__ = ["Facts", "children"]
