"""Real servers that tests start, and ways to wait for them."""
