"""Put the figures of `make test-faults` into docs/reliability.md: `python -m tests.faults.report`."""

import json
from pathlib import Path

__all__ = ["FIGURES", "PAGE", "page"]

_DOCS = Path(__file__).parents[2] / "docs"
FIGURES = _DOCS / "reliability.json"
PAGE = _DOCS / "reliability.md"
_BEGIN, _END = "<!-- figures -->", "<!-- end of figures -->"
_COLUMNS = ("seconds", "tried", "faults", "lost", "doubled", "wrong")


def table(figures: dict[str, dict[str, float]]) -> str:
    """Return a Markdown table of the figures, one line for each name."""
    lines = [f"| test | {' | '.join(_COLUMNS)} | other figures |", f"|---|{'---:|' * len(_COLUMNS)}---|"]
    for name, numbers in figures.items():
        cells = [_shown(numbers[column]) if column in numbers else "" for column in _COLUMNS]
        others = ", ".join(f"{key} {_shown(value)}" for key, value in numbers.items() if key not in _COLUMNS)
        lines.append(f"| {name} | {' | '.join(cells)} | {others.replace('_', ' ')} |")
    return "\n".join(lines)


def page() -> str:
    """Return docs/reliability.md with the table of the figures in docs/reliability.json."""
    text = PAGE.read_text()
    before, _, rest = text.partition(_BEGIN)
    _, _, after = rest.partition(_END)
    return f"{before}{_BEGIN}\n{table(json.loads(FIGURES.read_text()))}\n{_END}{after}"


def _shown(value: float) -> str:
    """Return a count in full, a measurement with three digits."""
    return f"{value:,}" if isinstance(value, int) else f"{value:,.3g}"


def main() -> None:
    """Write the page."""
    PAGE.write_text(page())


if __name__ == "__main__":
    main()
