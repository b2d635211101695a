"""What the sealer and catch-up remember: intents to seal, positions in chains, the instance."""

from alembic import op

revision = "0004"
down_revision = "0003"

TABLES = """
-- Written in the session that holds the sealer's lock, before the object is put; `sealed_at` after.
-- Positions are numbers from 1; `last` of one is `first` of the next less 1. `from_tx` and `to_tx`
-- are those of the segment's first and last row.
CREATE TABLE wayfare.seal_intents (
    site text NOT NULL,
    epoch bigint NOT NULL,
    first bigint NOT NULL,
    last bigint NOT NULL,
    from_tx xid8 NOT NULL,
    to_tx xid8 NOT NULL,
    rows_digest text NOT NULL,
    previous text NOT NULL,
    object_digest text,
    sealed_at timestamptz,
    PRIMARY KEY (site, epoch, first)
);
-- The chains that this database seals. `over`: nothing more is sealed under it, because its tail
-- is sealed or, with `closed_by`, because a higher epoch was taken.
CREATE TABLE wayfare.sealed_epochs (
    site text NOT NULL,
    epoch bigint NOT NULL,
    over boolean NOT NULL DEFAULT false,
    closed_by bigint,
    PRIMARY KEY (site, epoch)
);
-- How far each chain was applied here: the watermark. This site's own chains too.
CREATE TABLE wayfare.chain_positions (
    site text NOT NULL,
    epoch bigint NOT NULL,
    seq bigint NOT NULL,
    segment text NOT NULL,
    closed_by bigint,
    PRIMARY KEY (site, epoch)
);
-- How far each chain's rows were brought back into the ledger.
CREATE TABLE wayfare.history_positions (
    site text NOT NULL,
    epoch bigint NOT NULL,
    seq bigint NOT NULL,
    segment text NOT NULL,
    PRIMARY KEY (site, epoch)
);
-- Which PostgreSQL instance this schema was last sealed from.
CREATE TABLE wayfare.sealed_instance (
    single boolean PRIMARY KEY DEFAULT true CHECK (single),
    system_identifier text NOT NULL,
    timeline int NOT NULL
);
-- After a change of instance: rows that are in a chain, and whose transaction ids say nothing
-- about that in this instance.
CREATE TABLE wayfare.settled_rows (
    id uuid PRIMARY KEY,
    tx xid8 NOT NULL
);
-- What last went wrong with sealing; the row is gone when sealing works.
CREATE TABLE wayfare.sealing_problem (
    single boolean PRIMARY KEY DEFAULT true CHECK (single),
    kind text NOT NULL,
    message text NOT NULL,
    since timestamptz NOT NULL
);
"""


def upgrade() -> None:
    """Create everything."""
    op.get_bind().exec_driver_sql(TABLES.replace("%", "%%"))
