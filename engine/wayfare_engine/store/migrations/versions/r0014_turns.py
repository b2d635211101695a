"""A send's tries, and finding what is due of one channel without passing over the others'."""

from alembic import op

revision = "0014"
down_revision = "0013"

TABLES = """
-- How often the send's channel definitely did not take it.
ALTER TABLE wayfare.send_holds ADD COLUMN tries int NOT NULL DEFAULT 0;
-- As the outbox has it: without that, no look for what is due could use the primary key.
ALTER TABLE wayfare.send_holds ALTER COLUMN send_key TYPE text COLLATE "C";

DROP INDEX wayfare.outbox_open;
CREATE INDEX outbox_turn ON wayfare.outbox ((coalesce(fallback, channel)), due, send_key)
    WHERE (outcome IS NULL OR outcome IN ('NotAccepted', 'Held')) AND attempt <= outcome_attempt;
-- Whether a customer has a send that is due earlier.
CREATE INDEX outbox_turn_customer ON wayfare.outbox (customer_id, due)
    WHERE (outcome IS NULL OR outcome IN ('NotAccepted', 'Held')) AND attempt <= outcome_attempt;
-- Whether a customer has a send that is in doubt.
CREATE INDEX outbox_in_doubt_customer ON wayfare.outbox (customer_id)
    WHERE attempt > outcome_attempt AND outcome IS DISTINCT FROM 'Accepted';
"""


def upgrade() -> None:
    """Create everything."""
    op.get_bind().exec_driver_sql(TABLES.replace("%", "%%"))
