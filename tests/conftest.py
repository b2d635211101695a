"""Servers that tests of more than one folder share, one of each for the whole session; which tests
share a process; and what is left out when time is short."""

import signal

import hypothesis

from tests.failures_at_once import pytest_configure
from tests.scheduling import pytest_collection_modifyitems, pytest_xdist_make_scheduler
from tests.servers.apiserver import apiserver
from tests.servers.lab import _lab_session, lab, lab_site
from tests.time_limit import pytest_runtest_setup

# A shell that starts the tests in the background has them ignore SIGINT, and the processes that
# they start would ignore it with them.
signal.signal(signal.SIGINT, signal.default_int_handler)

# How long an example takes says more of who else works on this machine than of the code.
hypothesis.settings.register_profile(
    "wayfare", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("wayfare")

__all__ = [
    "_lab_session",
    "apiserver",
    "lab",
    "lab_site",
    "pytest_collection_modifyitems",
    "pytest_configure",
    "pytest_runtest_setup",
    "pytest_xdist_make_scheduler",
]
