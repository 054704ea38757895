"""Markdown tables."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any

from benchmarks.figures import Figure

__all__ = ["cell", "number", "table"]

_NUMBERS = re.compile(r"[*≤≥ -]*\d[\d,.]*( – -?\d[\d,.]*)?\**")


def table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """Return the lines of a table; a column of numbers stands to the right."""
    body = list(rows)
    numeric = [all(_is_numeric(row[column]) for row in body) for column in range(len(heads))]
    return [
        _line(heads),
        _line(["---:" if right else "---" for right in numeric]),
        *(_line([text.replace("|", "\\|") for text in row]) for row in body),
    ]


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _is_numeric(text: str) -> bool:
    return not text or _NUMBERS.fullmatch(text) is not None


def cell(value: Any) -> str:
    """Return a value as the text of a cell: of a figure the median, of None nothing."""
    if value is None:
        return ""
    if isinstance(value, Figure):
        return number(value.median)
    return value if isinstance(value, str) else number(value)


def number(value: float) -> str:
    """Return a number with as many digits as it is worth."""
    if isinstance(value, int) or abs(value) >= 100 or value == int(value):
        return f"{value:,.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"
