"""What a run skipped, and how to get it, in its last line."""

from __future__ import annotations

from collections import Counter

import pytest


def pytest_unconfigure(config: pytest.Config) -> None:
    """Say what was skipped, after the line with the counts."""
    reporter = config.pluginmanager.get_plugin("terminalreporter")
    if reporter is not None and reporter.stats.get("skipped"):
        reporter.write_line(skip_line(reporter.stats["skipped"]))


def skip_line(reports: list[pytest.TestReport]) -> str:
    """Return one line with how many tests were skipped for which reason."""
    counts = Counter(_reason(report) for report in reports)
    return "skipped: " + "; ".join(f"{count} ({reason})" for reason, count in counts.most_common())


def _reason(report: pytest.TestReport) -> str:
    text = report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longreprtext
    return " ".join(text.removeprefix("Skipped: ").split())
