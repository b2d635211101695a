"""The channel that a send goes on through when its own definitely did not take it."""

from alembic import op

revision = "0013"
down_revision = "0012"

TABLES = """
ALTER TABLE wayfare.outbox ADD COLUMN fallback text COLLATE "C";
"""


def upgrade() -> None:
    """Create everything."""
    op.get_bind().exec_driver_sql(TABLES.replace("%", "%%"))
