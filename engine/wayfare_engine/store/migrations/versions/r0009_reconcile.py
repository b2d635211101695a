"""What a merge of stranded rows needs to remember."""

from alembic import op

revision = "0009"
down_revision = "0008"

TABLES = """
-- The written rule by which a stranded row's resolution was found.
ALTER TABLE wayfare.merged_rows ADD COLUMN rule text COLLATE "C" NOT NULL DEFAULT '';

-- Tails that were merged whole.
CREATE TABLE wayfare.merges (
    tail text COLLATE "C" PRIMARY KEY,
    epoch bigint NOT NULL,
    row_id uuid NOT NULL,
    origin_site text COLLATE "C" NOT NULL,
    origin_epoch bigint NOT NULL,
    rows bigint NOT NULL
);

-- Tails of this site that were recovered here. Until `rebuilt` the projections of this database
-- hold what those rows say, which no chain does.
CREATE TABLE wayfare.recovered_tails (
    digest text PRIMARY KEY,
    site text NOT NULL,
    epoch bigint NOT NULL,
    rows bigint NOT NULL,
    rebuilt boolean NOT NULL DEFAULT false
);
"""


def upgrade() -> None:
    """Create everything."""
    op.get_bind().exec_driver_sql(TABLES.replace("%", "%%"))
