"""Two PostgreSQL servers, `live` and `dr`, emptied for each test, and a folder as the store."""

from __future__ import annotations

from tests.catchup.conftest import dr, dr_server, live, live_server, store

__all__ = ["dr", "dr_server", "live", "live_server", "store"]
