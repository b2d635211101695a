"""Putting back what a lost site had and never shipped: stranded rows, merge, conflict rules."""
