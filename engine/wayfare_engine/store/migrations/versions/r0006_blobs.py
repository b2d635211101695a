"""Blobs: customers and memberships by reference."""

from alembic import op

revision = "0006"
down_revision = "0005"

BLOBS = """
-- Immutable bytes by their SHA-256 (64 hexadecimal digits), in parts of 8 MiB: the local copy of
-- what is in the object store under `blobs/`. They do not compress any further.
CREATE TABLE wayfare.blobs (
    digest text NOT NULL,
    part int NOT NULL,
    data bytea NOT NULL,
    PRIMARY KEY (digest, part)
);
ALTER TABLE wayfare.blobs ALTER COLUMN data SET STORAGE EXTERNAL;

-- Which blobs are here; `parts` is null while they are being written. `at` is the last time that
-- somebody put it, and what nobody refers to goes some time after that.
CREATE TABLE wayfare.blob_copies (
    digest text PRIMARY KEY,
    size bigint NOT NULL,
    parts int,
    at timestamptz NOT NULL DEFAULT now()
);
"""

# Customers as rows are gone: all of them, at one version, are one blob (see `customers.base`).
CUSTOMERS = """
DROP TABLE wayfare.customers;

-- `capacity` is one more than the largest dense id, `epoch` the one that made this version.
ALTER TABLE wayfare.customer_version
    ADD COLUMN capacity bigint NOT NULL DEFAULT 0,
    ADD COLUMN epoch bigint NOT NULL DEFAULT 0,
    ADD COLUMN blob text,
    ADD COLUMN previous_blob text;

ALTER TABLE wayfare.customer_schema ADD COLUMN sensitive boolean NOT NULL DEFAULT false;

-- `blob` is null where another site made the newest and could not put it: it is computed again.
ALTER TABLE wayfare.segment_memberships
    DROP COLUMN bitmap,
    ADD COLUMN blob text,
    ADD COLUMN epoch bigint NOT NULL DEFAULT 0;
"""


def upgrade() -> None:
    """Create everything."""
    for part in (BLOBS, CUSTOMERS):
        op.get_bind().exec_driver_sql(part.replace("%", "%%"))
