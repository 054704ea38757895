"""What came of a load: nothing may be lost, doubled or wrong."""

from __future__ import annotations

import time

from .conftest import Figures
from .workload import Verdict


def checked(verdict: Verdict, name: str, figures: Figures, began: float, **more: float) -> None:
    """Record what came of a load since the moment `began`, and fail if anything is lost, doubled or wrong."""
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
