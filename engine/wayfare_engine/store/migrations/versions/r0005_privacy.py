"""Keys of customers' sensitive fields, wrapped. Outside the journal and its snapshots."""

from alembic import op

revision = "0005"
down_revision = "0004"

TABLES = """
-- A customer's data key, wrapped by a master key that PostgreSQL never sees. `batch` names the
-- object `keys/<batch>` that copies it to the other site; null where no store is configured.
CREATE TABLE wayfare.customer_keys (
    kid bytea PRIMARY KEY CHECK (octet_length(kid) = 16),
    customer_id text COLLATE "C" NOT NULL,
    wrapped bytea NOT NULL,
    batch text COLLATE "C"
);
CREATE INDEX customer_keys_customer ON wayfare.customer_keys (customer_id);

-- The batches that were read here, and their sizes then: one that shrank lost a key.
CREATE TABLE wayfare.key_batches (
    name text COLLATE "C" PRIMARY KEY,
    size bigint NOT NULL
);

-- Keys that were destroyed here and that an object of the store still holds.
CREATE TABLE wayfare.key_purges (
    batch text COLLATE "C" NOT NULL,
    kid bytea NOT NULL,
    PRIMARY KEY (batch, kid)
);
"""


def upgrade() -> None:
    """Create everything."""
    op.get_bind().exec_driver_sql(TABLES.replace("%", "%%"))
