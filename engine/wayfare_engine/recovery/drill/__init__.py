"""A drill: a copy of the database in an instance of its own, an engine on it that reaches nobody,
the canary that tries to get out, and what would have been lost."""
