"""What a channel's call costs, how many sends leave in a second, and what neighbours suffer."""
