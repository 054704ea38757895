"""The command line: `actingweb-db migrate`, and the same commands as `scripts/migrate_dynamodb_to_postgresql.py`."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from actingweb.cli.format import FORMAT

__all__ = ["migrate"]

_ABOUT = (
    "Move ActingWeb data from DynamoDB to PostgreSQL.\n\n"
    "Options win over the environment, and that over a file .env in the working directory or above: AWS_DB_PREFIX, "
    "AWS_DB_HOST, AWS_DEFAULT_REGION, AWS_REGION, PG_DB_HOST, PG_DB_PORT, PG_DB_NAME, PG_DB_USER, PG_DB_PASSWORD, "
    "PG_DB_URL, PG_DB_PREFIX, PG_DB_SCHEMA, INDEXED_PROPERTIES."
)
_EXIT_CODES = (
    "Exit codes: 0 all well · 2 wrong usage or settings · 3 rows were rejected · 4 differences were found · "
    "6 the source cannot be read · 7 the target cannot be written or read · 130 interrupted."
)

_SEGMENTS_AT_ONCE = 4
migrate = typer.Typer(help=_ABOUT, epilog=_EXIT_CODES, **FORMAT)


_OutputDir = Annotated[Path, typer.Option(help="Where the files go; made if missing, readable by its owner alone.")]
_InputDir = Annotated[Path, typer.Option(help="Where the exported files are.")]
_AnyInputDir = Annotated[Path | None, typer.Option(help="Where the exported files are, unless --source dynamodb.")]
_Profile = Annotated[str | None, typer.Option(help="Profile of the AWS configuration files; else the default one.")]
_Prefix = Annotated[str | None, typer.Option(help="Prefix of the DynamoDB tables, as in prod_; else AWS_DB_PREFIX.")]
_Segments = Annotated[int, typer.Option(min=1, max=1024, help="Segments scanned at the same time, for each table.")]
_Rcu = Annotated[float | None, typer.Option(min=1, help="Read capacity units to use per second; else no limit.")]
_Resume = Annotated[bool, typer.Option("--resume", help="Go on with an interrupted export.")]
_Host = Annotated[str | None, typer.Option(help="PostgreSQL server; else PG_DB_HOST.")]
_Port = Annotated[int | None, typer.Option(min=1, max=65535, help="Its port; else PG_DB_PORT.")]
_Database = Annotated[str | None, typer.Option(help="Its database; else PG_DB_NAME.")]
_User = Annotated[str | None, typer.Option(help="Who logs in; else PG_DB_USER.")]
_Password = Annotated[
    str | None,
    typer.Option(
        help="Better set PG_DB_PASSWORD, or type the password when asked: until the tool has started, which takes a "
        "moment, others on the machine can see this option in the list of processes.",
        show_default=False,
    ),
]
_RejectsDir = Annotated[Path, typer.Option(help="Where rejected rows are: TABLE.ndjson, with reason and content.")]
_ImportRejects = Annotated[
    Path | None, typer.Option("--rejects-dir", help="Where rejected rows go; else INPUT_DIR/rejects.")
]
_KnownRejects = Annotated[
    Path | None, typer.Option("--rejects-dir", help="Where the import put rejected rows; else INPUT_DIR/rejects.")
]
_Format = Annotated[
    Literal["files", "dynamodb-export"],
    typer.Option(
        "--format", help="What the directory holds: a file for each table, or what DynamoDB exported to S3, as copied."
    ),
]
_Skip = Annotated[bool, typer.Option("--skip-duplicates", help="Leave rows as they are whose key is there already.")]
_MaxRejects = Annotated[int | None, typer.Option(min=0, help="Stop when a table has more rejected rows than this.")]
_Source = Annotated[
    Literal["files", "dynamodb"], typer.Option(help="What PostgreSQL is compared with: files or the live tables.")
]
_Report = Annotated[Path, typer.Option(help="The file that gets all differences, one JSON object on a line.")]
_Limit = Annotated[int, typer.Option(min=0, help="How many differences to print.")]
_ShowValues = Annotated[bool, typer.Option("--show-values", help="Print and report the values that differ, too.")]
_Json = Annotated[bool, typer.Option("--json", help="Print the summary as one JSON object on stdout, nothing else.")]
_LogLevel = Annotated[
    Literal["DEBUG", "INFO", "WARNING", "ERROR"], typer.Option(case_sensitive=False, help="What is logged to stderr.")
]


@migrate.command(epilog=_EXIT_CODES)
def export(
    output_dir: _OutputDir,
    aws_profile: _Profile = None,
    table_prefix: _Prefix = None,
    segments: _Segments = _SEGMENTS_AT_ONCE,
    rcu: _Rcu = None,
    resume: _Resume = False,
    json: _Json = False,
    log_level: _LogLevel = "WARNING",
) -> None:
    """Write the rows of DynamoDB to JSON files."""
    from actingweb.migration import commands
    from actingweb.migration.run import run

    source = commands.DynamoDBFlags(aws_profile, table_prefix, segments, rcu)
    run("export", lambda display: commands.export(source, output_dir, resume, display), json, log_level)


@migrate.command("import", epilog=_EXIT_CODES)
def import_(
    input_dir: _InputDir,
    format_: _Format = "files",
    table_prefix: _Prefix = None,
    pg_host: _Host = None,
    pg_port: _Port = None,
    pg_database: _Database = None,
    pg_user: _User = None,
    pg_password: _Password = None,
    skip_duplicates: _Skip = False,
    max_rejects: _MaxRejects = None,
    rejects_dir: _ImportRejects = None,
    json: _Json = False,
    log_level: _LogLevel = "WARNING",
) -> None:
    """Load exported files into PostgreSQL; interrupted, the same command goes on.

    Rows that PostgreSQL cannot hold go to the reject files.
    """
    from actingweb.migration import commands
    from actingweb.migration.run import run

    files = commands.FilesFlags(input_dir, format_ == "dynamodb-export", table_prefix)
    flags = commands.PostgresFlags(pg_host, pg_port, pg_database, pg_user, pg_password)
    rules = commands.LoadFlags(skip_duplicates, max_rejects)
    run("import", lambda display: commands.load(files, flags, rules, rejects_dir, display), json, log_level)


@migrate.command(epilog=_EXIT_CODES)
def validate(
    input_dir: _AnyInputDir = None,
    format_: _Format = "files",
    source: _Source = "files",
    aws_profile: _Profile = None,
    table_prefix: _Prefix = None,
    segments: _Segments = _SEGMENTS_AT_ONCE,
    rcu: _Rcu = None,
    pg_host: _Host = None,
    pg_port: _Port = None,
    pg_database: _Database = None,
    pg_user: _User = None,
    pg_password: _Password = None,
    report: _Report = Path("differences.ndjson"),
    limit: _Limit = 20,
    show_values: _ShowValues = False,
    rejects_dir: _KnownRejects = None,
    json: _Json = False,
    log_level: _LogLevel = "WARNING",
) -> None:
    """Compare every row and column of PostgreSQL with the files, or with DynamoDB."""
    from actingweb.migration import commands
    from actingweb.migration.run import run

    files = None if input_dir is None else commands.FilesFlags(input_dir, format_ == "dynamodb-export", table_prefix)
    tables = None if source == "files" else commands.DynamoDBFlags(aws_profile, table_prefix, segments, rcu)
    flags = commands.PostgresFlags(pg_host, pg_port, pg_database, pg_user, pg_password)
    wishes = commands.ReportFlags(report, limit, show_values, rejects_dir)
    run("validate", lambda display: commands.validate(files, tables, flags, wishes, display), json, log_level)


@migrate.command(epilog=_EXIT_CODES)
def copy(
    aws_profile: _Profile = None,
    table_prefix: _Prefix = None,
    segments: _Segments = _SEGMENTS_AT_ONCE,
    rcu: _Rcu = None,
    pg_host: _Host = None,
    pg_port: _Port = None,
    pg_database: _Database = None,
    pg_user: _User = None,
    pg_password: _Password = None,
    rejects_dir: _RejectsDir = Path("rejects"),
    skip_duplicates: _Skip = False,
    max_rejects: _MaxRejects = None,
    json: _Json = False,
    log_level: _LogLevel = "WARNING",
) -> None:
    """Load the rows of DynamoDB straight into PostgreSQL; interrupted, the same command goes on."""
    from actingweb.migration import commands
    from actingweb.migration.run import run

    source = commands.DynamoDBFlags(aws_profile, table_prefix, segments, rcu)
    flags = commands.PostgresFlags(pg_host, pg_port, pg_database, pg_user, pg_password)
    rules = commands.LoadFlags(skip_duplicates, max_rejects)
    run("copy", lambda display: commands.copy(source, flags, rules, rejects_dir, display), json, log_level)


@migrate.command(epilog=_EXIT_CODES)
def replay(
    rejects_dir: _RejectsDir,
    pg_host: _Host = None,
    pg_port: _Port = None,
    pg_database: _Database = None,
    pg_user: _User = None,
    pg_password: _Password = None,
    json: _Json = False,
    log_level: _LogLevel = "WARNING",
) -> None:
    """Load rejected rows whose documents have been corrected in the reject files.

    What still cannot be loaded stays there.
    """
    from actingweb.migration import commands
    from actingweb.migration.run import run

    flags = commands.PostgresFlags(pg_host, pg_port, pg_database, pg_user, pg_password)
    run("replay", lambda display: commands.replay(rejects_dir, flags, display), json, log_level)
