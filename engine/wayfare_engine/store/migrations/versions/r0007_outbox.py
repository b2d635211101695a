"""What the outbox needs beside its projections."""

from alembic import op

revision = "0007"
down_revision = "0006"

TABLES = """
-- Which of 64 partitions a customer's sends are in. Only ever compared within one database, so it
-- does not matter that another version of PostgreSQL may hash otherwise.
CREATE FUNCTION wayfare.send_partition(customer text) RETURNS int
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE RETURN hashtext(customer) & 63;

-- Pauses between attempts and checks that said "later". Not facts: a takeover starts without them.
CREATE TABLE wayfare.send_holds (
    send_key text PRIMARY KEY,
    until timestamptz NOT NULL,
    reason text NOT NULL
);

CREATE INDEX outbox_open ON wayfare.outbox (due)
    WHERE outcome IS NULL OR outcome IN ('NotAccepted', 'Held');
CREATE INDEX outbox_expiring ON wayfare.outbox (expires)
    WHERE outcome IS NULL OR outcome IN ('NotAccepted', 'Held');
CREATE INDEX outbox_in_doubt ON wayfare.outbox (dispatched_at)
    WHERE attempt > outcome_attempt AND outcome IS DISTINCT FROM 'Accepted';
CREATE INDEX outbox_unknown ON wayfare.outbox (dispatched_at) WHERE outcome = 'Unknown';
"""


def upgrade() -> None:
    """Create everything."""
    op.get_bind().exec_driver_sql(TABLES.replace("%", "%%"))
