"""`actingweb-db migrate prepare`, `sync`, `status`, `share`, `cutover`, `rollback` and `finish`: the live migration."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from actingweb.cli.migrate import migrate
from actingweb.cli.migrate_command import Action, Shared, command
from actingweb.cli.migrate_options import (
    Page,
    Prefix,
    Profile,
    Region,
    Segments,
)

__all__ = ["migrate"]

_From = Annotated[
    Literal["dynamodb", "postgresql"],
    typer.Option("--from", help="The side that has the rows. From PostgreSQL, the DynamoDB tables have to be empty."),
]
_EnableStreams = Annotated[
    bool,
    typer.Option("--enable-streams", help="Switch on the streams that are off, with the keys alone (KEYS_ONLY)."),
]
_OnConflict = Annotated[
    Literal["owner", "stop"],
    typer.Option(
        help="What to do about a write to the side that does not own its actor: let the owner's row count and keep the "
        "other in the record, or stop before the cutover until somebody has made both sides equal."
    ),
]
_Workers = Annotated[int, typer.Option(min=1, max=16, help="How many threads read, and how many write.")]
_UntilCaughtUp = Annotated[
    bool, typer.Option("--until-caught-up", help="End as soon as nothing is left to do, instead of following changes.")
]
_Follow = Annotated[
    bool, typer.Option("--follow", help="Refresh until Ctrl-C; without a terminal, a line every 10 seconds.")
]
_Serve = Annotated[
    str | None,
    typer.Option(
        metavar="[HOST]:PORT",
        help="Serve a page at /, /status.json, /metrics for Prometheus and /healthz until Ctrl-C or SIGTERM, such as "
        "at :9187. Without a host only for this machine, because whoever reaches it needs no password.",
    ),
]
_DisableStreams = Annotated[bool, typer.Option("--disable-streams", help="Also switch the streams of the tables off.")]
_Force = Annotated[bool, typer.Option("--force", help="Also if something is still to be done.")]

_Output = Annotated[
    Path | None,
    typer.Option(help="The file to write all rejects to, one JSON object per line, as `accept` reads them."),
]
_AcceptedFiles = Annotated[
    list[Path],
    typer.Argument(help="Lines with `table` and `key`, as `rejects --output` and reports have them, or reject files."),
]
_Undo = Annotated[bool, typer.Option("--undo", help="Accept these rejects no longer.")]
_Percent = Annotated[str | None, typer.Argument(help="The share of the actors that PostgreSQL is to own, such as 10%.")]
_FenceCommand = Annotated[
    str | None,
    typer.Option(
        help="A shell command that stops the writes, and returns when none is under way any more. Its standard "
        "input is how nginx has to split the requests meanwhile."
    ),
]
_OpenFenceCommand = Annotated[
    str | None, typer.Option(help="A shell command that lets the application write again, after --abort.")
]
_FlipCommand = Annotated[
    str | None,
    typer.Option(
        help="A shell command that lets the application use the new side. Its standard input is how nginx has to split "
        "the requests from now on."
    ),
]
_Fenced = Annotated[bool, typer.Option("--fenced", help="Writes are stopped already: do not ask.")]
_Abort = Annotated[bool, typer.Option("--abort", help="Give up what was begun: the owners stay as they are.")]
_Quick = Annotated[bool, typer.Option("--quick", help="Do not compare: rely on the last `validate`.")]
_QuietSeconds = Annotated[
    float | None,
    typer.Option(
        min=1,
        help="Write no marker items to DynamoDB: wait until every stream was read for so long without a record.",
    ),
]
_MaxDirty = Annotated[int, typer.Option(min=0, help="How many changes may be waiting when writes are stopped.")]
_Timeout = Annotated[float, typer.Option(min=1, help="For how many seconds to wait while writes are stopped.")]


@command(migrate)
def prepare(
    shared: Shared,
    aws_profile: Profile = None,
    region: Region = None,
    table_prefix: Prefix = None,
    segments: Segments = 4,
    enable_streams: _EnableStreams = False,
    on_conflict: _OnConflict = "owner",
    from_: _From = "dynamodb",
) -> Action:
    """Begin a live migration: store which streams are read, and from where.

    Writes a schema of its own, named after that of the application with the suffix _migration, into the PostgreSQL
    database, and nothing to DynamoDB but, with --enable-streams, the streams of the tables. It can be repeated.

    With --from postgresql it creates the DynamoDB tables that are missing, and triggers on the tables of the
    application, and marks every row: sync then copies them to DynamoDB.
    """
    from actingweb.migration.cli import live as job
    from actingweb.migration.cli.sources import DynamoDBFlags

    source = DynamoDBFlags(aws_profile, region, table_prefix, segments, None)
    if from_ == "postgresql":
        return lambda _: job.prepare_way_back(source, shared.flags, on_conflict=on_conflict)
    return lambda _: job.prepare_migration(source, shared.flags, enable_streams=enable_streams, on_conflict=on_conflict)


@command(migrate, lines=False)
def sync(
    shared: Shared,
    aws_profile: Profile = None,
    workers: _Workers = 2,
    until_caught_up: _UntilCaughtUp = False,
) -> Action:
    """Load the tables and keep both sides equal, until it is stopped. Any number of processes may run.

    Writes the rows of the application's tables in PostgreSQL, its progress in the schema of the migration and, once
    PostgreSQL owns actors, their items in DynamoDB. If it ends, or is killed, another one goes on. SIGTERM ends it in
    order, with exit code 0.
    """
    from actingweb.migration.cli import live as job
    from actingweb.migration.live.sync import Workers

    threads = Workers(workers, workers, workers, workers)
    return lambda _: job.sync_sides(
        aws_profile, shared.flags, threads, until_caught_up=until_caught_up, as_json=shared.json
    )


@command(migrate, lines=False)
def status(
    shared: Shared,
    follow: _Follow = False,
    serve: _Serve = None,
) -> Action:
    """Show what a live migration has done, what is left, and whether it is safe to cut over. Writes nothing."""
    from actingweb.migration.cli import live as job

    if serve is not None:
        return lambda _: job.serve_status(shared.flags, serve)
    return lambda _: job.show_status(shared.flags, follow=follow)


@command(migrate)
def rejects(
    shared: Shared,
    output: _Output = None,
) -> Action:
    """Show the rows that a live migration could not move so far, with the reasons. Writes nothing but the list.

    Each is tried again by itself, at once when it changes. Those that are not to be moved are accepted with `accept`.
    """
    from actingweb.migration.cli import live_rejects as job

    return lambda _: job.list_rejects(shared.flags, output)


@command(migrate)
def accept(
    shared: Shared,
    files: _AcceptedFiles,
    undo: _Undo = False,
) -> Action:
    """Accept that rejected rows are not moved: they hold up no share, cutover or rollback, and are no differences.

    Writes to the schema of the migration. If an accepted row changes it is tried again, and moved if that is possible.
    """
    from actingweb.migration.cli import live_rejects as job

    return lambda _: job.accept_rejects(shared.flags, files, undo=undo)


@command(migrate)
def share(
    shared: Shared,
    percentage: _Percent = None,
    aws_profile: Profile = None,
    fence_command: _FenceCommand = None,
    open_fence_command: _OpenFenceCommand = None,
    flip_command: _FlipCommand = None,
    fenced: _Fenced = False,
    timeout: _Timeout = 600.0,
    abort: _Abort = False,
) -> Action:
    """Move actors from one side to the other, so that PostgreSQL owns this share of them. Both sides are in use.

    Writes the owners in the schema of the migration and, before the first share, triggers on the tables of the
    application, the DynamoDB tables that are missing, and marker items, which are deleted again. Prints how the load
    balancer has to split the requests.
    """
    from actingweb.migration.cli import live_switch as job
    from actingweb.migration.cli.live import Session

    session = Session(shared.flags, aws_profile)
    commands = job.Commands(fence_command, open_fence_command, flip_command, fenced)
    if abort:
        return lambda _: job.abort_share(session, commands)
    return lambda _: job.move_share(session, job.percent(percentage or ""), commands, timeout)


@command(migrate)
def cutover(
    shared: Shared,
    aws_profile: Profile = None,
    fence_command: _FenceCommand = None,
    open_fence_command: _OpenFenceCommand = None,
    flip_command: _FlipCommand = None,
    fenced: _Fenced = False,
    quick: _Quick = False,
    quiet_seconds: _QuietSeconds = None,
    max_dirty: _MaxDirty = 10_000,
    timeout: _Timeout = 600.0,
    abort: _Abort = False,
    report: Page = None,
) -> Action:
    """Switch to the other side: compare, stop the writes, apply and compare what has changed since, change the owner.

    Writes the owners in the schema of the migration and, on the way to PostgreSQL, triggers on the tables of the
    application and marker items in DynamoDB, which are deleted again. Interrupted anywhere, it can be run again; until
    the owners change, the side that the migration comes from counts, and --abort goes back to that.
    """
    from actingweb.migration.cli import live_switch as job
    from actingweb.migration.cli.live import Session

    session = Session(shared.flags, aws_profile)
    commands = job.Commands(fence_command, open_fence_command, flip_command, fenced)
    switching = job.Switching(quick, max_dirty, timeout, quiet_seconds)
    if abort:
        return lambda _: job.abort_switch(session, commands, back=False)
    return lambda _: job.switch(session, commands, switching, report, back=False)


@command(migrate)
def rollback(
    shared: Shared,
    aws_profile: Profile = None,
    fence_command: _FenceCommand = None,
    open_fence_command: _OpenFenceCommand = None,
    flip_command: _FlipCommand = None,
    fenced: _Fenced = False,
    quick: _Quick = False,
    max_dirty: _MaxDirty = 10_000,
    timeout: _Timeout = 600.0,
    abort: _Abort = False,
    report: Page = None,
) -> Action:
    """Switch back to the side that the migration comes from, with all that was written since the cutover.

    Writes the owners in the schema of the migration and, on the way to PostgreSQL, marker items in DynamoDB, which are
    deleted again. Interrupted anywhere, it can be run again; until the owners change, the other side counts, and
    --abort goes back to that.
    """
    from actingweb.migration.cli import live_switch as job
    from actingweb.migration.cli.live import Session

    session = Session(shared.flags, aws_profile)
    commands = job.Commands(fence_command, open_fence_command, flip_command, fenced)
    switching = job.Switching(quick, max_dirty, timeout)
    if abort:
        return lambda _: job.abort_switch(session, commands, back=True)
    return lambda _: job.switch(session, commands, switching, report, back=True)


@command(migrate)
def finish(
    shared: Shared,
    aws_profile: Profile = None,
    disable_streams: _DisableStreams = False,
    force: _Force = False,
) -> Action:
    """End a live migration: remove its triggers and its schema. Both sides keep their rows.

    There is no way back afterwards. In DynamoDB it changes nothing but, with --disable-streams, the streams.
    """
    from actingweb.migration.cli import live as job

    return lambda _: job.finish_migration(aws_profile, shared.flags, disable_streams=disable_streams, confirmed=force)
