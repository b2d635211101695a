"""What a recovery run does with data: its steps, its checks, and what is reported of it."""
