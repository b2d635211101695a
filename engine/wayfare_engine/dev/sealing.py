"""Sealing while customers are loaded: their ids may be used once their block is in the store."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator

from wayfare_engine.clock import now
from wayfare_engine.journal.sealer import Sealer
from wayfare_engine.objectstore import open_store
from wayfare_engine.settings import Settings


@contextlib.contextmanager
def sealing(settings: Settings) -> Iterator[None]:
    """Seal meanwhile, where an object store is configured. The worker's own sealer comes later."""
    if settings.object_store_url is None:
        yield
        return
    sealer = Sealer(
        settings.direct_dsn,
        open_store(settings.object_store_url),
        plan=settings.recovery_plan,
        site=settings.site,
        clock=now,
        seconds=settings.seal_seconds,
    )
    stop = threading.Event()
    thread = threading.Thread(target=sealer.run, args=(stop,), daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
