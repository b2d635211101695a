"""What the engine keeps: PostgreSQL's tables and their SQL, Valkey, and both as child processes."""
