"""Histories by seed, in several processes with servers of their own.

python -m tests.live.histories.run                  # all kinds, 1,000 histories, and the mutants
python -m tests.live.histories.run both 7 8         # the histories of these seeds
"""

from __future__ import annotations

import argparse
import os
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from multiprocessing import get_context
from multiprocessing.util import Finalize
from typing import NamedTuple
from unittest.mock import patch

from actingweb.db.postgresql.migrate import upgrade
from actingweb.db.settings import reset_settings
from testbed.servers import PostgresTables, postgres_target
from tests.live.histories.backward import BackwardHistory
from tests.live.histories.both import BothHistory
from tests.live.histories.environment import Environment, environment
from tests.live.histories.forward import ForwardHistory
from tests.live.histories.history import DivergedError, History
from tests.live.histories.mutants import MUTANTS, Mutant

__all__ = ["KINDS", "divergence", "found_by"]

KINDS: Mapping[str, Callable[[Environment, int], History]] = {
    "forward": ForwardHistory,
    "backward": BackwardHistory,
    "both": BothHistory,
}
_SHARES = {"both": 0.04, "forward": 0.48, "backward": 0.48}
"""Which part of all histories are of a kind. Those of both directions take as long as six others, and come first."""
_MOST_SEEDS = 150
_PREFIX = "histories_"


class Job(NamedTuple):
    """A history, or a mutant that histories have to find."""

    kind: str
    seed: int
    mutant: str | None = None


def divergence(found: Environment, kind: str, seed: int) -> DivergedError | None:
    """Run a history; return how it diverged, None if both sides are equal."""
    try:
        KINDS[kind](found, seed).run()
    except DivergedError as error:
        return error
    return None


def found_by(found: Environment, mutant: Mutant, most: int) -> int | None:
    """Return the seed of a history that diverges with a mutant, and without it does not; None if `most` do not."""
    seeds: list[int] = [mutant.seed, *range(most)]
    for seed in seeds:
        with mutant.applied():
            error = divergence(found, mutant.kind, seed)
        if error is not None and divergence(found, mutant.kind, seed) is None:
            return seed
    return None


@contextmanager
def own_environment() -> Iterator[Environment]:
    """Yield an environment on a PostgreSQL server of its own."""
    with postgres_target({}) as target, patch.dict(os.environ, {**target.environment, "PG_DB_PREFIX": _PREFIX}):
        reset_settings()
        upgrade()
        with environment(PostgresTables(target, _PREFIX, "public")) as found:
            yield found


_environment: Environment | None = None


def _begin() -> None:
    """Start the servers of a process."""
    global _environment
    stack = ExitStack()
    _environment = stack.enter_context(own_environment())
    Finalize(None, stack.close, exitpriority=1)


def _done(job: Job) -> tuple[Job, str | None]:
    """Return what is wrong with a job, None if nothing is."""
    assert _environment is not None
    try:
        if job.mutant is None:
            error = divergence(_environment, job.kind, job.seed)
            return job, None if error is None else str(error)
        (mutant,) = [mutant for mutant in MUTANTS if mutant.name == job.mutant]
        seed = found_by(_environment, mutant, _MOST_SEEDS)
        return job, None if seed is not None else "no history finds it"
    except Exception:  # noqa: BLE001 - printed with its seed
        return job, traceback.format_exc()


def _jobs(histories: int) -> list[Job]:
    mutants = [Job(mutant.kind, mutant.seed, mutant.name) for mutant in MUTANTS]
    return [*mutants, *(Job(kind, seed) for kind, part in _SHARES.items() for seed in range(round(part * histories)))]


def main() -> int:
    """Run what is asked for, and print which seeds failed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("kind", nargs="?", choices=KINDS)
    parser.add_argument("seeds", nargs="*", type=int)
    parser.add_argument("--histories", type=int, default=1000)
    parser.add_argument("--processes", type=int, default=os.cpu_count())
    asked = parser.parse_args()
    jobs = [Job(asked.kind, seed) for seed in asked.seeds] if asked.kind else _jobs(asked.histories)
    started, shown, failed = time.monotonic(), time.monotonic(), 0
    with get_context("spawn").Pool(asked.processes, _begin) as pool:
        for done, (job, problem) in enumerate(pool.imap_unordered(_done, jobs), 1):
            if problem is not None:
                failed += 1
                print(f"{job.mutant or ''} {job.kind} {job.seed}: {problem}", flush=True)
            if time.monotonic() - shown > 15:
                shown = time.monotonic()
                print(f"{done} of {len(jobs)}, {failed} failed", flush=True)
        pool.close()
        pool.join()
    print(f"{len(jobs)} in {time.monotonic() - started:.0f} s, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
