"""How far a command is, and how fast: what its progress line says."""

import time
from collections.abc import Callable, Mapping

__all__ = ["Meter"]


class Meter:
    """Counts rows of tables. The rate is that of this run, whatever earlier runs did."""

    def __init__(self, command: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._command = command
        self._clock = clock
        self._started = clock()
        self._counting_since: float | None = None
        self._expected: dict[str, int] = {}
        self._before: dict[str, int] = {}
        self._reached: dict[str, int] = {}
        self.table = ""

    def expect(self, rows: Mapping[str, int]) -> None:
        """Set the approximate numbers of rows of the tables for which they are known."""
        self._expected |= rows

    def reached(self, table: str, rows: int) -> None:
        """Report how many rows of a table are done; the first report says where this run begins."""
        if self._counting_since is None:
            self._counting_since = self._clock()
        self._before.setdefault(table, rows)
        self._reached[table] = rows
        self.table = table

    @property
    def done(self) -> int:
        """How many rows are done, by earlier runs too."""
        return sum(self._reached.values())

    @property
    def total(self) -> int | None:
        """About how many rows there are, None if that is not known."""
        total = 0
        for table in self._expected | self._reached:
            expected = self._expected.get(table)
            if expected is None:
                return None
            # The numbers are approximate and may be too low.
            total += max(expected, self._reached.get(table, 0))
        return total

    @property
    def rate(self) -> float | None:
        """How many rows a second this run does, None if it has done none."""
        seconds = 0.0 if self._counting_since is None else self._clock() - self._counting_since
        rows = self.done - sum(self._before.values())
        return rows / seconds if rows and seconds > 0 else None

    @property
    def remaining(self) -> float | None:
        """About how many seconds the rest takes, None if that is not known."""
        return None if self.total is None or not self.rate else (self.total - self.done) / self.rate

    def line(self) -> str:
        """Return a line that says all of it."""
        parts = [f"{self._command}: {_minutes(self._clock() - self._started)}"]
        if self.table:
            of = "" if self.total is None else f" of about {self.total:,}"
            parts.append(f"{self.table}, {self.done:,}{of} rows")
        if self.rate:
            parts.append(f"{self.rate:,.0f} rows/s")
        if self.remaining:
            parts.append(f"about {_minutes(self.remaining)} left")
        return " · ".join(parts)


def _minutes(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"
