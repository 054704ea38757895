"""The commands `rejects` and `accept`: the rows that a live migration could not move."""

import json
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

from actingweb.migration.cli.display import Rows
from actingweb.migration.cli.live import Session
from actingweb.migration.cli.options import PostgresFlags
from actingweb.migration.cli.results import Outcome
from actingweb.migration.errors import ExitCode
from actingweb.migration.jobs.known_rows import AcceptedRows
from actingweb.migration.live.rejects import accept, identities
from actingweb.migration.private_files import open_private
from actingweb.migration.target.connection import target_errors

__all__ = ["accept_rejects", "list_rejects"]


def list_rejects(flags: PostgresFlags, output: Path | None) -> Outcome:
    """Show the rejects by table and reason; write all of them to a file if that is asked for."""
    found = Session(flags).rejects()
    if output is not None:
        with open_private(output) as file:
            file.writelines(json.dumps(reject.fields()).encode() + b"\n" for reject in found)
    groups: dict[tuple[str, str, str], list[bool]] = {}
    for reject in found:
        groups.setdefault((reject.key.table, reject.reason, reject.side), []).append(reject.accepted)
    rows: Rows = [
        {"table": table, "rejected by": side, "reason": reason, "rows": len(group), "accepted": sum(group)}
        for (table, reason, side), group in sorted(groups.items())
    ]
    lines = [json.dumps({name: reject.fields()[name] for name in ("table", "key", "reason")}) for reject in found[:20]]
    lines.append(
        "no rejects" if not found else f"{len(found):,} rejects" + (f"; all are in {output}" if output else "")
    )
    return Outcome(ExitCode.OK, rows, {"rejects": [reject.fields() for reject in found]}, tuple(lines))


def accept_rejects(flags: PostgresFlags, paths: Sequence[Path], *, undo: bool) -> Outcome:
    """Accept the rejects that files name, or no longer."""
    session = Session(flags)
    keys = identities(AcceptedRows(tuple(paths)))
    with closing(session.state.connect()) as connection, target_errors():
        session.state.read(connection)
        missing = accept(session.state, connection, keys, not undo)
        count = len(keys) - len(missing)
        session.state.audit(connection, session.by, "accept", {"rejects": count, "undo": undo})
    notes = (f"{count:,} rejects are {'no longer ' if undo else ''}accepted", session.status().gate().line)
    warnings = (f"{len(missing):,} lines name no row that is rejected now",) if missing else ()
    return Outcome(ExitCode.OK, [], {"accepted": 0 if undo else count, "unknown": len(missing)}, notes, warnings)
