"""What a site remembers of the right to act."""

from alembic import op

revision = "0008"
down_revision = "0007"

TABLES = """
-- Epochs that this site set out to take. The nonce is here before the lease object is written, so
-- that a process that was killed in between goes on as the same taker. `step` is for people; each
-- step can be repeated.
CREATE TABLE wayfare.epochs_taken (
    plan text NOT NULL,
    epoch bigint NOT NULL CHECK (epoch > 0),
    site text NOT NULL,
    nonce text NOT NULL,
    reason text NOT NULL,
    statement text,
    at timestamptz NOT NULL,
    step text NOT NULL DEFAULT 'Planned'
        CHECK (step IN ('Planned', 'Taken', 'Closed', 'Raised', 'Acting')),
    PRIMARY KEY (plan, epoch)
);
"""


def upgrade() -> None:
    """Create everything."""
    op.get_bind().exec_driver_sql(TABLES.replace("%", "%%"))
