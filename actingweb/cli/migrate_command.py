"""How a command of `actingweb-db migrate` is declared: it returns what it does, and `command` makes Typer run that."""

import inspect
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

import typer

from actingweb.cli.migrate_options import EXIT_CODES, Database, Host, Json, LogLevel, Password, Port, User

if TYPE_CHECKING:
    from actingweb.migration.cli.display import Display
    from actingweb.migration.cli.options import PostgresFlags
    from actingweb.migration.cli.results import Outcome

__all__ = ["Action", "Shared", "command"]

Action: TypeAlias = "Callable[[Display], Outcome]"


class Shared(NamedTuple):
    """The values of the options that all commands have.

    Attributes:
        flags: where PostgreSQL is.
        json: whether to print the summary as JSON.
    """

    flags: "PostgresFlags"
    json: bool


def _postgresql_options(
    pg_host: Host = None,
    pg_port: Port = None,
    pg_database: Database = None,
    pg_user: User = None,
    pg_password: Password = None,
) -> "PostgresFlags":
    from actingweb.migration.cli.options import PostgresFlags

    return PostgresFlags(pg_host, pg_port, pg_database, pg_user, pg_password)


def _output_options(json: Json = False, log_level: LogLevel = "WARNING") -> tuple[bool, str]:
    return json, log_level


def command(
    app: typer.Typer, *, postgresql: bool = True, lines: bool = True
) -> Callable[[Callable[..., Action]], Callable[..., Action]]:
    """Register a function as the command of its name. Its first parameter takes `Shared`, the others are its options.

    The options of `Shared` are added: those that name PostgreSQL only if `postgresql` is given. Without a terminal the
    command prints a line now and then; without `lines`, its action prints its own.
    """
    groups: list[Callable[..., Any]] = [_postgresql_options, _output_options] if postgresql else [_output_options]
    added = [list(inspect.signature(group).parameters.values()) for group in groups]

    def register(function: Callable[..., Action]) -> Callable[..., Action]:
        name = function.__name__.rstrip("_")
        _, *own = inspect.signature(function).parameters.values()

        def run_command(**values: Any) -> None:
            from actingweb.migration.cli.run import run

            take = partial(_take, values)
            flags = _postgresql_options(**take(added[0])) if postgresql else _postgresql_options()
            json, log_level = _output_options(**take(added[-1]))
            run(name, function(Shared(flags, json), **values), json, log_level, lines=lines)

        parameters = [*own, *(parameter for group in added for parameter in group)]
        run_command.__doc__ = function.__doc__
        run_command.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
        run_command.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
        app.command(name, epilog=EXIT_CODES)(run_command)
        return function

    return register


def _take(values: dict[str, Any], parameters: list[inspect.Parameter]) -> dict[str, Any]:
    return {parameter.name: values.pop(parameter.name) for parameter in parameters}
