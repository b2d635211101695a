"""Rebuilding the projections from the chains, and cuts in a chain for checkpoints."""

from alembic import op

revision = "0010"
down_revision = "0009"

TABLES = """
-- A rebuild that is under way, or was interrupted. Nobody writes meanwhile; `held` is whether this
-- site held `epoch` before. `before` holds what the tables' digests were.
CREATE TABLE wayfare.rebuild (
    single boolean PRIMARY KEY DEFAULT true CHECK (single),
    began_at timestamptz NOT NULL,
    epoch bigint NOT NULL,
    held boolean NOT NULL,
    discarded bigint NOT NULL,
    step text NOT NULL DEFAULT 'Fenced' CHECK (step IN ('Fenced', 'Replaying')),
    before json
);

-- Rows of the ledger whose effects a person gave up for a rebuild. They are never sealed.
CREATE TABLE wayfare.discarded_rows (
    id uuid PRIMARY KEY,
    at timestamptz NOT NULL
);

-- Whoever wants to write under tables that are half built is told so, whatever the epoch.
CREATE FUNCTION wayfare.refuse_while_rebuilding() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.held AND EXISTS (SELECT FROM wayfare.rebuild) THEN
        RAISE EXCEPTION 'the projections are being rebuilt: run `wayfare ledger rebuild` to its end'
            USING ERRCODE = 'WF003';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER not_while_rebuilding BEFORE INSERT OR UPDATE ON wayfare.site_epoch
    FOR EACH ROW EXECUTE FUNCTION wayfare.refuse_while_rebuilding();

-- A segment of the chain ends before the first row of transaction `below` or a later one: a
-- checkpoint is of what is before it. One that is passed has no effect any more.
CREATE TABLE wayfare.seal_cuts (
    site text NOT NULL,
    epoch bigint NOT NULL,
    below xid8 NOT NULL,
    at timestamptz NOT NULL,
    PRIMARY KEY (site, epoch, below)
);
"""


def upgrade() -> None:
    """Create everything."""
    op.get_bind().exec_driver_sql(TABLES.replace("%", "%%"))
