"""The worker pod: the operator's control API, and computing who is in which segment."""
