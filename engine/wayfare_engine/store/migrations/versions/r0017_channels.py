"""What hosts say of themselves, and what workers report of channels: of this site alone."""

from alembic import op

revision = "0017"
down_revision = "0016"

TABLES = """
CREATE TABLE wayfare.channel_descriptions (
    channel text COLLATE "C" PRIMARY KEY,
    url text NOT NULL,
    description jsonb NOT NULL,
    at timestamptz NOT NULL
);
CREATE TABLE wayfare.channel_reports (
    worker text COLLATE "C",
    channel text COLLATE "C",
    at timestamptz NOT NULL,
    spec text NOT NULL,
    problem text,
    breaker text NOT NULL,
    breaker_since timestamptz NOT NULL,
    breaker_why text NOT NULL,
    accepted_per_minute float8 NOT NULL,
    failed_per_minute float8 NOT NULL,
    p99_ms float8,
    last_error text,
    last_error_at timestamptz,
    PRIMARY KEY (worker, channel)
);
"""


def upgrade() -> None:
    """Create everything."""
    op.get_bind().exec_driver_sql(TABLES.replace("%", "%%"))
