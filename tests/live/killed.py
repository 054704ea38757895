"""Processes that migrate until they come to a line of the engine that a number chooses, and kill themselves there."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path

import actingweb.migration
from actingweb.db.settings import Settings
from actingweb.migration.live.dynamodb import DynamoDB
from actingweb.migration.live.forward import ForwardApplier
from actingweb.migration.live.prepare import Preparation, prepare
from actingweb.migration.live.reader import ShardReader
from actingweb.migration.live.scanner import Scanner
from actingweb.migration.live.state import State
from actingweb.migration.source.endpoint import Endpoint
from actingweb.migration.target.connection import Target
from tests.countdown import Countdown
from tests.forked import use_only

_PACKAGE = Path(actingweb.migration.__path__[0])
_WATCHED = {str(path) for room in ("live", "target") for path in (_PACKAGE / room).glob("*.py")}
_QUIET_ROUNDS = 20


def migrate(environment: Mapping[str, str], options: Preparation, holder: str, lines: int) -> None:
    """Do all that there is to do, as the process `holder`, which dies at a line and leaves its leases behind."""
    use_only(environment)
    state = State(Target(Settings.from_environment(environment).postgresql))
    endpoint = Endpoint(environment["AWS_DEFAULT_REGION"], environment["AWS_DB_HOST"], None, 4)
    requests = DynamoDB(endpoint)
    sys.settrace(Countdown(_WATCHED, lines))
    prepare(state, requests, options, lambda _: None)
    scanner = Scanner(state, requests, state.connect, holder)
    reader = ShardReader(state, requests, state.connect, holder, pause=0)
    applier = ForwardApplier(state, requests, state.connect, batch=5)
    quiet = 0
    while quiet < _QUIET_ROUNDS:
        done = [scanner.step(), reader.step(), applier.step()]
        quiet = 0 if any(done) else quiet + 1
