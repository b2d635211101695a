"""Real processes that start in a hundredth of a second: forked from one that has loaded all.

There is one such process a test run, so what it loads is listed here, for all who use it.
"""

from __future__ import annotations

import multiprocessing

context = multiprocessing.get_context("forkserver")
# A child also imports what the program imports that started it, so that is loaded once too.
context.set_forkserver_preload(
    [
        "pytest",
        "tests.servers.command",
        "tests.servers.channel_host",
        "tests.servers.operating",
        "tests.lease.processes",
        "tests.harness.site",
        "tests.harness.sites",
        "tests.chaos_recovery.invariants",
        "tests.chaos_recovery.stage",
        "tests.misbehaving.stage",
    ]
)
