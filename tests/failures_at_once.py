"""A test that fails is told when it does: a run that is ended early has told why, too."""

from __future__ import annotations

import pytest

#: The end of what a failed test says; the whole stands at the end of the run.
CHARACTERS = 4000


class FailuresAtOnce:
    """Writes the end of each failure as it comes, in the process that writes to the terminal."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """One phase of a test."""
        terminal = self._config.pluginmanager.getplugin("terminalreporter")
        if report.failed and terminal is not None:
            terminal.ensure_newline()
            terminal.write_line(f"FAILED {report.nodeid} ({report.when})")
            terminal.write_line(report.longreprtext[-CHARACTERS:])


def pytest_configure(config: pytest.Config) -> None:
    """Not in the processes that run tests for another one, whose output nobody sees."""
    if not hasattr(config, "workerinput"):
        config.pluginmanager.register(FailuresAtOnce(config))
