"""Sends that are tests, and the address that a test has of its own."""

from alembic import op

revision = "0016"
down_revision = "0015"

TABLES = """
ALTER TABLE wayfare.outbox ADD COLUMN test boolean, ADD COLUMN address text COLLATE "C";
"""


def upgrade() -> None:
    """Create everything."""
    op.get_bind().exec_driver_sql(TABLES.replace("%", "%%"))
