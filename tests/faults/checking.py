"""What came of loads: nothing may be lost, doubled or wrong."""

from __future__ import annotations

import time
from collections.abc import Sequence

from .conftest import Figures
from .workload import Load, Verdict


def checked(loads: Sequence[Load], name: str, figures: Figures, began: float, **more: float) -> Verdict:
    """Record what came of loads since the moment `began`, and fail if anything is lost, doubled or wrong."""
    verdict = sum((load.verdict() for load in loads), Verdict())
    figures(
        name,
        seconds=time.monotonic() - began,
        tried=verdict.tried,
        lost=verdict.lost,
        doubled=verdict.doubled,
        wrong=verdict.wrong,
        unknown=verdict.unknown,
        failed=verdict.failed,
        **more,
    )
    assert verdict.faultless, verdict
    return verdict
