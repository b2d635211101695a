"""Alembic's entry: runs the revisions on the connection that `store.migrate` opened."""

from alembic import context

from wayfare_engine.store.migrate import VERSION_TABLE

context.configure(
    connection=context.config.attributes["connection"],
    version_table=VERSION_TABLE,
    version_table_schema="wayfare",
    transaction_per_migration=True,
)
with context.begin_transaction():
    context.run_migrations()
