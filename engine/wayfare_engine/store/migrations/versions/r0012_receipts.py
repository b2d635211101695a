"""Receipts that match no send yet, and finding a send by its provider's name for it."""

from alembic import op

revision = "0012"
down_revision = "0011"

TABLES = """
CREATE INDEX outbox_provider ON wayfare.outbox (provider_id) WHERE provider_id IS NOT NULL;

-- What providers said of sends that are not known here: too early, of another site, or of nothing.
CREATE TABLE wayfare.unmatched_receipts (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    channel text COLLATE "C" NOT NULL,
    send_key text COLLATE "C",
    provider_id text COLLATE "C",
    state text COLLATE "C" NOT NULL,
    at timestamptz NOT NULL,
    detail text NOT NULL,
    opt_out boolean NOT NULL,
    came_at timestamptz NOT NULL DEFAULT now(),
    UNIQUE NULLS NOT DISTINCT (channel, send_key, provider_id, state)
);
CREATE INDEX unmatched_receipts_came ON wayfare.unmatched_receipts (came_at);
"""


def upgrade() -> None:
    """Create everything."""
    op.get_bind().exec_driver_sql(TABLES.replace("%", "%%"))
