"""Restoring a snapshot over several connections."""

from alembic import op

revision = "0011"
down_revision = "0010"

TABLES = """
-- A snapshot of which some tables may be here, each whole, and no watermark: its restoring is under
-- way or was interrupted. The next catch-up empties them first.
CREATE TABLE wayfare.restore (
    single boolean PRIMARY KEY DEFAULT true CHECK (single),
    snapshot text NOT NULL
);

CREATE OR REPLACE FUNCTION wayfare.refuse_while_rebuilding() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.held AND EXISTS (SELECT FROM wayfare.rebuild) THEN
        RAISE EXCEPTION 'the projections are being rebuilt: run `wayfare ledger rebuild` to its end'
            USING ERRCODE = 'WF003';
    END IF;
    IF NEW.held AND EXISTS (SELECT FROM wayfare.restore) THEN
        RAISE EXCEPTION 'a snapshot is being restored: run `wayfare journal catch-up` to its end'
            USING ERRCODE = 'WF003';
    END IF;
    RETURN NEW;
END $$;
"""


def upgrade() -> None:
    """Create everything."""
    op.get_bind().exec_driver_sql(TABLES.replace("%", "%%"))
