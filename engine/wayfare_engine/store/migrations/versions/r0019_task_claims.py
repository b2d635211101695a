"""Which task of a run may write here."""

from alembic import op

revision = "0019"
down_revision = "0018"

TABLES = """
-- The run of a plan whose tasks may write to this database: the highest that claimed. `revoked`:
-- it was abandoned, and of its tasks only those may that take back what it did.
CREATE TABLE wayfare.task_runs (
    plan text COLLATE "C" PRIMARY KEY,
    run bigint NOT NULL CHECK (run >= 0),
    revoked boolean NOT NULL DEFAULT false
);

-- Who has a step of it: the highest attempt that claimed, and its pod. A task holds the rows shared
-- in each transaction that writes; who comes after it updates them, and so waits for that
-- transaction, and is seen by the next.
CREATE TABLE wayfare.task_claims (
    plan text COLLATE "C" NOT NULL,
    run bigint NOT NULL,
    step text COLLATE "C" NOT NULL,
    attempt int NOT NULL CHECK (attempt > 0),
    pod text COLLATE "C" NOT NULL,
    -- Whether it takes back what the run did.
    undo boolean NOT NULL DEFAULT false,
    claimed_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (plan, run, step)
);
"""


def upgrade() -> None:
    """Create everything."""
    op.get_bind().exec_driver_sql(TABLES.replace("%", "%%"))
