"""Evaluation-grade PostgreSQL and Valkey, from Python wheels, as child processes.

For `wayfare dev`, for tests, and for an Engine with `stores.managed`. One instance each, no
replication, no TLS: what is in them is as safe as the disk that they lie on.
"""

from wayfare_engine.store.embedded.postgresql import EmbeddedPostgresql
from wayfare_engine.store.embedded.process import StoreError, StoreProcess
from wayfare_engine.store.embedded.valkey import EmbeddedValkey

__all__ = ["EmbeddedPostgresql", "EmbeddedValkey", "StoreError", "StoreProcess"]
