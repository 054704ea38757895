"""The ways between the framework's own storage layer and this one, with the same actors before and after.

The application stops for each change and starts again on the same port, since actors name one another by address.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from actingweb.db.postgresql.revision import EARLIER
from actingweb.embedded.postgres import postgres_environment
from tests.framework.databases import open_database
from tests.framework.installation import FRAMEWORK_STORAGE, OWN_STORAGE, Environment
from tests.framework.process import application, run_command
from tests.framework.scenario import LIFE_ON_ANY_LAYER, Stage, delete_actors, find_again

__all__ = ["WAYS"]

_LAYOUT_OF_3_15 = EARLIER[0]


def under_the_application(environment: Environment) -> None:
    """PostgreSQL, from the framework's own layer to this one: install the wheel, `alembic upgrade head`."""
    with _postgresql() as settings:
        _remove(environment)
        _alembic(environment, settings, "upgrade", "head")
        stage = _lived(environment, settings)
        _install(environment)
        _alembic(environment, settings, "upgrade", "head")
        _go_on(environment, settings, stage)


def back_to_the_frameworks_layer(environment: Environment) -> None:
    """PostgreSQL, from this layer to the framework's own: `alembic downgrade`, remove the wheel."""
    with _postgresql() as settings:
        _install(environment)
        _alembic(environment, settings, "upgrade", "head")
        stage = _lived(environment, settings)
        _alembic(environment, settings, "downgrade", _LAYOUT_OF_3_15)
        _remove(environment)
        _go_on(environment, settings, stage)


def there_and_back_on_dynamodb(environment: Environment) -> None:
    """DynamoDB, from the framework's own layer to this one and back: install the wheel, remove it."""
    with open_database("dynamodb") as database:
        settings = {**database.environment, "DATABASE_BACKEND": "dynamodb"}
        _remove(environment)
        stage = _lived(environment, settings)
        _install(environment)
        _play(environment, settings, stage, [find_again])
        _remove(environment)
        _go_on(environment, settings, stage)


def data_only(environment: Environment) -> None:
    """From DynamoDB to PostgreSQL, the framework's own layer on both: this wheel only moves the data."""
    with open_database("dynamodb") as source, _postgresql() as settings:
        _remove(environment)
        stage = _lived(environment, {**source.environment, "DATABASE_BACKEND": "dynamodb"})
        _install(environment)
        _alembic(environment, settings, "upgrade", "head")
        _move(environment, {**source.environment, **settings})
        _alembic(environment, settings, "downgrade", _LAYOUT_OF_3_15)
        _remove(environment)
        stage.backend = "postgresql"
        _go_on(environment, settings, stage)


WAYS: tuple[Callable[[Environment], None], ...] = (
    under_the_application,
    back_to_the_frameworks_layer,
    there_and_back_on_dynamodb,
    data_only,
)


@contextmanager
def _postgresql() -> Iterator[Mapping[str, str]]:
    """Yield the settings of a private server; the framework's own layer does not take every password."""
    with postgres_environment({}, password="simple", fsync=False, settings={}) as settings:
        yield {**settings, "DATABASE_BACKEND": "postgresql"}


def _lived(environment: Environment, settings: Mapping[str, str]) -> Stage:
    """Let actors live in the application, and return them."""
    stage = Stage(settings["DATABASE_BACKEND"], "")
    _play(environment, settings, stage, LIFE_ON_ANY_LAYER)
    return stage


def _go_on(environment: Environment, settings: Mapping[str, str], stage: Stage) -> None:
    """Find the actors as they were, and delete them."""
    _play(environment, settings, stage, [find_again, delete_actors])


def _play(
    environment: Environment, settings: Mapping[str, str], stage: Stage, steps: Iterable[Callable[[Stage], None]]
) -> None:
    with application(environment.python, settings, stage.port) as running:
        stage.url = running.url
        try:
            for step in steps:
                step(stage)
        except BaseException:
            print(running.log.read_text()[-3000:], flush=True)
            raise


def _install(environment: Environment) -> None:
    environment.install_wheel()
    environment.expect_storage(OWN_STORAGE)


def _remove(environment: Environment) -> None:
    environment.uninstall_wheel()
    environment.expect_storage(FRAMEWORK_STORAGE)


def _alembic(environment: Environment, settings: Mapping[str, str], *arguments: str) -> None:
    """Run Alembic with the chain of the layer that is installed."""
    run_command(environment.python, ["alembic", "-c", str(environment.alembic_ini), *arguments], settings)


def _move(environment: Environment, settings: Mapping[str, str]) -> None:
    with tempfile.TemporaryDirectory() as name:
        rejects = str(Path(name) / "rejects")
        migrate = ["actingweb_db", "migrate"]
        run_command(environment.python, [*migrate, "copy", "--rejects-dir", rejects], settings)
        report = str(Path(name) / "differences.ndjson")
        run_command(environment.python, [*migrate, "validate", "--source", "dynamodb", "--report", report], settings)
