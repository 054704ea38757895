"""Lets the processes of a parallel run send fewer reports to the one that started them.

Otherwise each test sends one for its start, setup, call, teardown and end, which takes both sides about as long as a
small test does. A setup or teardown that went well is nothing to show.
"""

from __future__ import annotations

import pytest
from _pytest.runner import runtestprotocol


def pytest_configure(config: pytest.Config) -> None:
    """Report less in a process of a parallel run, unless an option asks for the time of each step."""
    if hasattr(config, "workerinput") and not (config.option.xmlpath or config.option.durations is not None):
        config.pluginmanager.register(_Brief(), "brief-reports")


class _Brief:
    """Runs tests as pytest does."""

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_protocol(self, item: pytest.Item, nextitem: pytest.Item | None) -> bool:
        """Run a test, and report its call and what did not go well."""
        for report in runtestprotocol(item, log=False, nextitem=nextitem):
            if report.when == "call" or not report.passed:
                item.ihook.pytest_runtest_logreport(report=report)
        # It moves the progress on.
        item.ihook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)
        return True
