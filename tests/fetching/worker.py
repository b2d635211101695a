"""A worker with pulled channels as its own process: `DSN STORE WINDOW OFFERED`, until killed."""

from __future__ import annotations

import sys
import threading

from tests.fetching.conftest import Site
from wayfare_engine.objectstore import open_store

if __name__ == "__main__":
    dsn, store, window, offered = sys.argv[1:]
    site = Site(dsn, open_store(store), {}, offered=float(offered))
    site.worker(window=float(window)).run(threading.Event())
