"""The object store: opened by URL, put-if-absent, and errors that say what to do."""

from wayfare_engine.objectstore.problems import (
    ForeignStore,
    StoreFull,
    StoreProblem,
    StoreUnavailable,
    StoreUnfit,
)
from wayfare_engine.objectstore.store import ObjectStore, open_store

__all__ = [
    "ForeignStore",
    "ObjectStore",
    "StoreFull",
    "StoreProblem",
    "StoreUnavailable",
    "StoreUnfit",
    "open_store",
]
