"""Put the figures of `make test-faults` into docs/reliability.md: `python -m tests.faults.report`."""

import json
from pathlib import Path

__all__ = ["FIGURES"]

_DOCS = Path(__file__).parents[2] / "docs"
FIGURES = _DOCS / "reliability.json"
_PAGE = _DOCS / "reliability.md"
_BEGIN, _END = "<!-- figures -->", "<!-- end of figures -->"
_COLUMNS = ("seconds", "tried", "faults", "lost", "doubled", "wrong")


def table(figures: dict[str, dict[str, float]]) -> str:
    """Return a Markdown table of the figures, a line for each name."""
    lines = [f"| test | {' | '.join(_COLUMNS)} | else |", f"|---|{'---:|' * len(_COLUMNS)}---|"]
    for name, numbers in figures.items():
        cells = [f"{numbers[column]:,.6g}" if column in numbers else "" for column in _COLUMNS]
        rest = ", ".join(f"{key} {value:,.6g}" for key, value in numbers.items() if key not in _COLUMNS)
        lines.append(f"| {name} | {' | '.join(cells)} | {rest.replace('_', ' ')} |")
    return "\n".join(lines)


def main() -> None:
    """Write the table."""
    text = _PAGE.read_text()
    before, _, rest = text.partition(_BEGIN)
    _, _, after = rest.partition(_END)
    _PAGE.write_text(f"{before}{_BEGIN}\n{table(json.loads(FIGURES.read_text()))}\n{_END}{after}")


if __name__ == "__main__":
    main()
