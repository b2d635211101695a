"""What people say of sends that ended without effect, or are unknown; and why a send ended."""

from alembic import op

revision = "0015"
down_revision = "0014"

TABLES = """
ALTER TABLE wayfare.outbox ADD COLUMN cause text COLLATE "C";
CREATE INDEX outbox_ended ON wayfare.outbox (outcome_at) WHERE outcome IN ('Rejected', 'Expired');

CREATE TABLE wayfare.rulings (
    send_key text COLLATE "C" PRIMARY KEY,
    epoch bigint NOT NULL,
    number int NOT NULL,
    row_id uuid NOT NULL,
    customer_id text COLLATE "C" NOT NULL,
    action text COLLATE "C" NOT NULL,
    attempt int NOT NULL,
    at timestamptz NOT NULL,
    by text COLLATE "C" NOT NULL,
    reason text COLLATE "C" NOT NULL,
    statement text COLLATE "C",
    expires timestamptz,
    outcome text COLLATE "C",
    ended text COLLATE "C" NOT NULL,
    detail text COLLATE "C" NOT NULL,
    cause text COLLATE "C"
);
CREATE INDEX rulings_customer ON wayfare.rulings (customer_id);

-- Whether a rule held the send back (a cap, quiet hours), or its channel.
ALTER TABLE wayfare.send_holds ADD COLUMN by_rule boolean NOT NULL DEFAULT false;
"""


def upgrade() -> None:
    """Create everything."""
    op.get_bind().exec_driver_sql(TABLES.replace("%", "%%"))
