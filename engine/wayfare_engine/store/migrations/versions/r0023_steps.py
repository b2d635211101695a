"""What the steps of a recovery run note at a site."""

from alembic import op

revision = "0023"
down_revision = "0020"

TABLES = """
-- Comparisons of this database with checkpoints of the acting chain. It is past a checkpoint soon,
-- and cannot be compared with it again.
CREATE TABLE wayfare.compared_checkpoints (
    path text PRIMARY KEY,
    answer text NOT NULL CHECK (answer IN ('equal', 'different')),
    as_of timestamptz NOT NULL,
    at timestamptz NOT NULL
);

-- That the wait after taking an epoch is over: it stays over, also for a process that starts later.
ALTER TABLE wayfare.epochs_taken ADD COLUMN waited boolean NOT NULL DEFAULT false;
"""


def upgrade() -> None:
    """Create everything."""
    op.get_bind().exec_driver_sql(TABLES.replace("%", "%%"))
