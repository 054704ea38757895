"""The options that commands of `actingweb-db migrate` share, and their exit codes."""

from pathlib import Path
from typing import Annotated, Literal

import typer

__all__ = [
    "EXIT_CODES",
    "Accepted",
    "AnyInputDir",
    "Database",
    "DeleteExtra",
    "Format",
    "Host",
    "ImportRejects",
    "InputDir",
    "Json",
    "KnownRejects",
    "Limit",
    "LogLevel",
    "MaxRejects",
    "OutputDir",
    "Page",
    "Password",
    "Port",
    "Prefix",
    "Profile",
    "Rcu",
    "Region",
    "RejectsDir",
    "Repair",
    "Report",
    "Restart",
    "Resume",
    "SampleRows",
    "Segments",
    "ShowValues",
    "Skip",
    "Source",
    "Tables",
    "User",
    "WayBack",
]

EXIT_CODES = (
    "Exit codes: 0 success · 2 wrong usage or settings · 3 rows were rejected · 4 differences were found · "
    "6 the source cannot be read · 7 the target cannot be written or read · 130 interrupted · 143 terminated."
)

OutputDir = Annotated[Path, typer.Option(help="The directory for the files; created if missing, private to its owner.")]
InputDir = Annotated[Path, typer.Option(help="The directory with the exported files.")]
AnyInputDir = Annotated[
    Path | None, typer.Option(help="The directory with the exported files, unless --source is dynamodb.")
]
Profile = Annotated[str | None, typer.Option(help="Profile of the AWS configuration. Default: the default profile.")]
Prefix = Annotated[str | None, typer.Option(help="Prefix of the tables, such as prod_. Default: AWS_DB_PREFIX.")]
Segments = Annotated[int, typer.Option(min=1, max=1024, help="Number of segments of the parallel scan of each table.")]
Rcu = Annotated[float | None, typer.Option(min=1, help="Read capacity units per second to consume. Default: no limit.")]
Resume = Annotated[bool, typer.Option("--resume", help="Continue an interrupted export.")]
Host = Annotated[str | None, typer.Option(help="Host of the PostgreSQL server. Default: PG_DB_HOST.")]
Port = Annotated[int | None, typer.Option(min=1, max=65535, help="Port of the server. Default: PG_DB_PORT.")]
Database = Annotated[str | None, typer.Option(help="Name of the database. Default: PG_DB_NAME.")]
User = Annotated[str | None, typer.Option(help="User to log in as. Default: PG_DB_USER.")]
Password = Annotated[
    str | None,
    typer.Option(
        help="Prefer PG_DB_PASSWORD, or type the password when asked: until the tool has started, which takes a "
        "moment, other users of the machine can see this option in the list of processes.",
        show_default=False,
    ),
]
RejectsDir = Annotated[
    Path,
    typer.Option(help="The directory of the reject files, TABLE.ndjson."),
]
ImportRejects = Annotated[
    Path | None, typer.Option("--rejects-dir", help="The directory for the reject files. Default: INPUT_DIR/rejects.")
]
KnownRejects = Annotated[
    Path | None,
    typer.Option("--rejects-dir", help="The import's reject files. Default: INPUT_DIR/rejects."),
]
Format = Annotated[
    Literal["files", "dynamodb-export"],
    typer.Option(
        "--format", help="What the directory contains: one file per table, or copies of exports of DynamoDB to S3."
    ),
]
Skip = Annotated[bool, typer.Option("--skip-duplicates", help="Keep existing rows that have the same key.")]
MaxRejects = Annotated[int | None, typer.Option(min=0, help="Stop when a table has more rejected rows than this.")]
SampleRows = Annotated[int, typer.Option(min=8, help="How many rows of each table to examine.")]
WayBack = Annotated[
    bool,
    typer.Option(
        "--way-back", help="Also try whether the credentials allow writing to DynamoDB, which the way back needs."
    ),
]
Source = Annotated[
    Literal["files", "dynamodb"], typer.Option(help="What to compare PostgreSQL with: files or the live tables.")
]
Report = Annotated[
    Path,
    typer.Option(
        help="The file to write all differences to, one JSON object per line. If it is NAME.html, a page without keys "
        "and values to hand on; then the differences are in NAME.ndjson. Without differences there is no such file."
    ),
]
Page = Annotated[
    Path | None,
    typer.Option("--report", help="Also write a page without keys and values of rows to hand on, NAME.html."),
]
Limit = Annotated[int, typer.Option(min=0, help="How many differences to print.")]
ShowValues = Annotated[bool, typer.Option("--show-values", help="Also print and report the values that differ.")]
Json = Annotated[
    bool, typer.Option("--json", help="Print the summary as one JSON object, and nothing else, to stdout.")
]
LogLevel = Annotated[
    Literal["DEBUG", "INFO", "WARNING", "ERROR"],
    typer.Option(case_sensitive=False, help="The lowest level to log to stderr."),
]
Region = Annotated[
    str | None, typer.Option(help="AWS region. Default: AWS_DEFAULT_REGION, AWS_REGION, that of the profile.")
]
Tables = Annotated[
    str | None,
    typer.Option(
        help="Only these tables, separated by commas, by the names of the files, such as actors,properties. The claims "
        "come with properties; without properties, look-up rows are neither written nor compared. Default: all."
    ),
]
Restart = Annotated[
    bool,
    typer.Option(
        "--restart",
        help="Forget an unfinished load and DELETE all rows that it has loaded, then begin again; with "
        "--skip-duplicates these rows stay. Without an unfinished load, or if a table has rows that the load did not "
        "write, nothing is deleted.",
    ),
]
Accepted = Annotated[
    list[Path] | None,
    typer.Option(
        "--accept-rejects",
        help="Rows that are not to be moved: a reject file, a directory of them, or lines with `table` and `key`, as "
        "in the report. They do not count as differences while PostgreSQL does not have them. May be repeated.",
    ),
]
Repair = Annotated[
    bool,
    typer.Option(
        "--repair",
        help="CHANGE PostgreSQL to equal the source: insert rows that are missing, update those that differ, correct "
        "look-up rows. Nothing else may write meanwhile, unless a live migration exists: then the side that does not "
        "own the row is changed, by `migrate sync`. After an interruption, the same command continues.",
    ),
]
DeleteExtra = Annotated[
    bool,
    typer.Option(
        "--delete-extra",
        help="With --repair, also DELETE the rows that only PostgreSQL has; of an actor, all that belongs to it. Rows "
        "of a table that the source lacks stay. In a live migration: the rows that only the side has that does not own "
        "them.",
    ),
]
