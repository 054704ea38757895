"""Rehearse a live migration: an application stays under load while its actors move to PostgreSQL, and back again."""

import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from threading import Condition, Event, Lock, Thread
from typing import Any

from actingweb.db.program import run
from actingweb.embedded.dynamodb import dynamodb_environment
from actingweb.embedded.postgres import postgres_environment
from actingweb.migration.live.ownership import EVERYTHING, boundary_of, murmur2

_ROOT = Path(__file__).parent.parent
_MIGRATIONS = _ROOT / "actingweb" / "db" / "postgresql"
_ACTORS = 500
_THREADS = 3
# At most 300 writes a second in all: without it the three write more than two cores can carry over beside them.
_PAUSE_SECONDS = 0.01
_WRITES = 5_000
_SYNCED_SECONDS = 120.0

Environment = Mapping[str, str]


class Application:
    """One process of the application, on one database."""

    def __init__(self, environment: Environment) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "examples/live_application.py"],
            cwd=_ROOT,
            env={**os.environ, **environment},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def ask(self, **request: Any) -> Any:
        """Return the answer to a request."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        return json.loads(self._process.stdout.readline())

    def close(self) -> None:
        """End the process."""
        self._process.communicate()


@dataclass
class Balancer:
    """The load balancer: it sends the requests of an actor to the side that owns it, and holds those back that move.

    Attributes:
        boundary: the hash below which requests go to PostgreSQL.
        held: the hashes whose requests are held back: from the first up to the second.
    """

    boundary: int = 0
    held: tuple[int, int] = (0, 0)
    _active: list[int] = field(default_factory=list)
    _changed: Condition = field(default_factory=Condition)

    @contextmanager
    def routed(self, actor: str) -> Iterator[str]:
        """Yield the side that answers a request of an actor, once it may be sent."""
        number = murmur2(actor.encode())
        with self._changed:
            self._changed.wait_for(lambda: not self._is_held(number))
            self._active.append(number)
            side = "postgresql" if number < self.boundary else "dynamodb"
        try:
            yield side
        finally:
            with self._changed:
                self._active.remove(number)
                self._changed.notify_all()

    def hold(self, boundary: int) -> None:
        """Hold the requests back whose side changes with another boundary, and wait for those under way."""
        with self._changed:
            self.held = min(self.boundary, boundary), max(self.boundary, boundary)
            self._changed.wait_for(lambda: not any(map(self._is_held, self._active)))

    def split(self, boundary: int) -> None:
        """Split the requests at a boundary, and hold none back any more."""
        with self._changed:
            self.boundary, self.held = boundary, (0, 0)
            self._changed.notify_all()

    def _is_held(self, number: int) -> bool:
        return self.held[0] <= number < self.held[1]


class Load:
    """Writes of the application, and what has to be read in the end."""

    def __init__(self, balancer: Balancer, sides: Mapping[str, Environment]) -> None:
        self.balancer = balancer
        self.expected: dict[str, dict[str, Any]] = {f"live-{number:05}": {} for number in range(_ACTORS)}
        self.acknowledged = 0
        self._sides = sides
        self._stop = Event()
        self._lock = Lock()
        self._actors = {actor: Lock() for actor in self.expected}
        self._threads = [Thread(target=self._write, args=(number,)) for number in range(_THREADS)]

    def __enter__(self) -> "Load":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def wait_for(self, writes: int) -> None:
        """Wait until so many more writes are acknowledged."""
        wanted = self.acknowledged + writes
        while self.acknowledged < wanted:
            if not any(thread.is_alive() for thread in self._threads):
                raise RuntimeError("the application has ended")
            time.sleep(0.02)

    def lost(self) -> int:
        """Return how many acknowledged writes cannot be read at the side that answers now."""
        lost = 0
        with ExitStack() as stack:
            sides = self._applications(stack)
            for actor, expected in self.expected.items():
                with self.balancer.routed(actor) as side:
                    found = sides[side].ask(operation="read", actor=actor)
                stored = {f"set {name}": value for name, value in found["properties"].items()}
                stored |= {f"attribute {name}": value for name, value in found["attributes"].items()}
                stored["trust secret"] = found["secret"]
                lost += sum(stored.get(key) != value for key, value in expected.items())
        return lost

    def _applications(self, stack: ExitStack) -> dict[str, Application]:
        sides = {side: Application(environment) for side, environment in self._sides.items()}
        for application in sides.values():
            stack.callback(application.close)
        return sides

    def _write(self, seed: int) -> None:
        choices, actors = random.Random(seed), list(self.expected)
        with ExitStack() as stack:
            sides = self._applications(stack)
            number = 0
            while not self._stop.wait(_PAUSE_SECONDS):
                number += 1
                actor, value = choices.choice(actors), f"{seed}-{number}"
                operation, name = choices.choice(
                    [("set", f"p{number % 3}"), ("attribute", f"a{number % 2}"), ("trust", "secret")]
                )
                # One request of an actor at a time, so that it is known which write was the last.
                with self._actors[actor], self.balancer.routed(actor) as side:
                    sides[side].ask(operation=operation, actor=actor, name=name, value=value)
                    self.expected[actor][f"{operation} {name}"] = value
                with self._lock:
                    self.acknowledged += 1


class Control:
    """Lets shell commands of the tool drive the load balancer, through two named pipes."""

    def __init__(self, directory: Path, balancer: Balancer) -> None:
        self._orders, self._answers, self._balancer = directory / "orders", directory / "answers", balancer
        os.mkfifo(self._orders)
        os.mkfifo(self._answers)
        Thread(target=self._serve, daemon=True).start()

    def command(self, order: str, boundary: int) -> str:
        """Return the shell command that gives an order and waits until it is carried out."""
        return f"echo {order} {boundary} > {self._orders} && cat {self._answers} > /dev/null"

    def _serve(self) -> None:
        while True:
            order, boundary = self._orders.read_text().split()
            (self._balancer.hold if order == "hold" else self._balancer.split)(int(boundary))
            self._answers.write_text("done\n")


@dataclass
class Tool:
    """The command line tool."""

    environment: Environment
    control: Control

    def migrate(self, *arguments: str) -> dict[str, Any]:
        """Run a command of `migrate` and return its summary."""
        command = [sys.executable, "-m", "actingweb.migration", *arguments, "--json"]
        done = subprocess.run(
            command, cwd=_ROOT, env={**os.environ, **self.environment}, capture_output=True, text=True, check=False
        )
        if done.returncode:
            sys.stderr.write(done.stderr)
            raise RuntimeError(f"migrate {arguments[0]} ended with exit code {done.returncode}")
        summary: dict[str, Any] = json.loads(done.stdout)
        return summary

    def switch(self, *arguments: str, boundary: int) -> dict[str, Any]:
        """Run a command that changes owners; the load balancer holds requests back and splits them anew."""
        commands = ["--fence-command", self.control.command("hold", boundary)]
        return self.migrate(*arguments, *commands, "--flip-command", self.control.command("split", boundary))

    def sync(self) -> subprocess.Popen[bytes]:
        """Start the process that keeps both sides equal."""
        command = [sys.executable, "-m", "actingweb.migration", "sync"]
        environment = {**os.environ, **self.environment}
        return subprocess.Popen(command, cwd=_ROOT, env=environment, stdout=subprocess.DEVNULL)

    def wait_until_synced(self) -> dict[str, Any]:
        """Wait until the gate is open; return the status."""
        deadline = time.monotonic() + _SYNCED_SECONDS
        while True:
            status: dict[str, Any] = self.migrate("status")["status"]
            if status["safe"]:
                return status
            if time.monotonic() > deadline:
                raise RuntimeError(f"not safe to cut over: {'; '.join(status['reasons'])}")
            time.sleep(0.5)


def _run(command: list[str], environment: Environment, directory: Path = _ROOT) -> None:
    variables = {**os.environ, **environment}
    subprocess.run([sys.executable, *command], cwd=directory, env=variables, check=True, capture_output=True)


def _say(what: str, text: str) -> None:
    print(f"{what:<10} {text}", flush=True)


def _rehearse(tool: Tool, load: Load) -> None:
    plan = tool.migrate("plan", "--way-back")
    warnings = sum(found["level"] == "warning" for found in plan["findings"])
    _say("plan", f"nothing stops the migration; {warnings} warnings")
    with load:
        load.wait_for(200)
        tool.migrate("prepare", "--enable-streams")
        _say("prepare", "the streams are on, and their shards are stored")
        sync = tool.sync()
        try:
            _move(tool, load)
        finally:
            sync.terminate()
            sync.wait()


def _move(tool: Tool, load: Load) -> None:
    status = tool.wait_until_synced()
    rows = sum(table["read"] for table in status["tables"])
    applied = sum(table["applied"] for table in status["tables"])
    _say("sync", f"{rows:,} rows scanned, {applied:,} changes applied, while the application went on writing")
    for percent in (10, 50, 100):
        moved = tool.switch("share", f"{percent}%", boundary=boundary_of(Decimal(percent)))
        load.wait_for(200)
        _say("share", f"{percent}% on PostgreSQL; the moving actors paused for {moved['pause']:.1f} s")
    tool.switch("cutover", boundary=EVERYTHING)
    _say("cutover", "0 differences; PostgreSQL counts")
    before = time.monotonic()
    load.wait_for(_WRITES)
    _say("write", f"{_WRITES:,} writes on PostgreSQL in {time.monotonic() - before:.1f} s, sent back to DynamoDB")
    tool.wait_until_synced()
    back = tool.switch("rollback", boundary=0)
    load.wait_for(200)
    _say("rollback", f"0 differences; DynamoDB counts again; writes paused for {back['pause']:.1f} s")


def main() -> int:
    """Print a line for each step; return 0 if no acknowledged write was lost, else 1."""
    began = time.monotonic()
    with ExitStack() as stack:
        server = stack.enter_context(dynamodb_environment(prefer_docker=True))
        target = stack.enter_context(postgres_environment())
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        both = {**server, **target, "AWS_DB_PREFIX": "live", "PG_DB_PREFIX": "live_", "INDEXED_PROPERTIES": "email"}
        sides = {side: {**both, "DATABASE_BACKEND": side} for side in ("dynamodb", "postgresql")}
        upgrade = [sys.executable, "-m", "alembic", "upgrade", "head"]
        subprocess.run(
            upgrade, cwd=_MIGRATIONS, env={**os.environ, **sides["postgresql"]}, check=True, capture_output=True
        )
        crowd = [sys.executable, "examples/crowd.py", "write", str(_ACTORS)]
        subprocess.run(crowd, cwd=_ROOT, env={**os.environ, **sides["dynamodb"]}, check=True, capture_output=True)
        balancer = Balancer()
        load = Load(balancer, sides)
        _create_actors(load, sides["dynamodb"])
        _rehearse(Tool(both, Control(directory, balancer)), load)
        lost = load.lost()
    _say("result", f"{load.acknowledged:,} acknowledged writes, {lost} lost, in {time.monotonic() - began:.0f} s")
    return 0 if lost == 0 else 1


def _create_actors(load: Load, environment: Environment) -> None:
    """Create the actors that the load writes to."""
    application = Application(environment)
    for actor in load.expected:
        application.ask(operation="create", actor=actor)
    application.close()


if __name__ == "__main__":
    run(main, 1)
