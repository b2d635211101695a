"""Servers that tests of more than one folder share: one of each for the whole session."""

from tests.servers.apiserver import apiserver
from tests.servers.lab import _lab_session, lab, lab_site

__all__ = ["_lab_session", "apiserver", "lab", "lab_site"]
