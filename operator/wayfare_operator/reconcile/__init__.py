"""One level-based reconcile a kind: look, decide by pure functions, apply, write status once."""
