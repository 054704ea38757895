"""The status over HTTP: for programs and probes."""

from __future__ import annotations

import os
import re
import select
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from itertools import pairwise

import pytest
from prometheus_client.parser import text_string_to_metric_families

from actingweb.db.settings import Settings
from actingweb.embedded.process import free_port
from actingweb.migration.cli.live_display import LiveDisplay
from actingweb.migration.cli.metrics import exposition
from actingweb.migration.cli.serve import Monitor, address_of, serving
from actingweb.migration.errors import UsageError
from actingweb.migration.live.state import State
from actingweb.migration.live.status import Status, read_status
from actingweb.migration.target.connection import Connection, Target
from testbed.servers import PostgresTables
from tests.live.served import SAMPLES, SECRET, ask, change, create, drop, served
from tests.support import PATIENCE

PATHS = ("/", "/status.json", "/metrics", "/healthz")
PREFIX = "actingweb_migration_"
LABELS = ("phase", "table", "side")


def metrics(text: str) -> dict[tuple[str, ...], float]:
    """Return the values by name, without the prefix, and by phase, table and side, as far as they have these."""
    return {
        (
            sample.name.removeprefix(PREFIX),
            *(sample.labels[name] for name in LABELS if name in sample.labels),
        ): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_metrics(filled: State, url: str) -> None:
    answer = ask(url, "/metrics")
    assert answer.status == 200
    assert answer.headers["Content-Type"].startswith("text/plain; version=")
    found = metrics(answer.text)
    expected = {
        ("up",): 1,
        ("phase", "syncing"): 1,
        ("phase", "flipped"): 0,
        ("safe_to_cut_over",): 0,
        ("sync_processes",): 1,
        ("postgresql_owned_ratio",): 0.1,
        ("rows_scanned_total", "properties"): 1500,
        ("rows_written_total", "actors"): 998,
        ("changes_applied_total", "actors", "postgresql"): 50,
        ("changes_applied_total", "actors", "dynamodb"): 7,
        ("changes_waiting", "properties", "postgresql"): 3,
        ("changes_waiting", "actors", "dynamodb"): 2,
        ("rejected_rows", "properties", "postgresql"): 1,
        ("accepted_rows", "properties", "postgresql"): 1,
        ("conflicts_total", "actors"): 1,
        ("unsettled_conflicts", "properties"): 1,
        ("unsettled_conflicts", "actors"): 0,
        ("gaps", "properties"): 1,
        ("table_present", "property_lookup_v1"): 0,
        ("last_comparison_differences", "actors"): 2,
    }
    assert {key: found.get(key) for key in expected} == expected
    assert found["oldest_change_age_seconds", "properties", "postgresql"] >= 90
    assert found["unread_record_age_seconds", "properties"] >= 6 * 3600
    assert found["retention_used_ratio",] == pytest.approx(0.25, abs=0.1)
    # What is not known has no sample.
    assert ("estimated_rows", "property_lookup_v1") not in found
    assert ("unread_record_age_seconds", "actors") not in found


def test_a_scrape_reads_the_state_once(filled: State) -> None:
    monitor, calls = Monitor(filled), list[Status]()

    def read() -> Status:
        calls.append(monitor.status())
        return calls[-1]

    with closing(monitor):
        exposition(read)
    assert len(calls) == 1


def test_names_of_metrics_follow_the_conventions_of_prometheus(filled: State, url: str) -> None:
    families = list(text_string_to_metric_families(ask(url, "/metrics").text))
    assert len(families) > 20
    for family in families:
        assert re.fullmatch(f"{PREFIX}[a-z_]+", family.name)
        assert family.documentation.endswith(".")
        assert not family.name.endswith(("_percent", "_milliseconds", "_ms", "_minutes", "_hours", "_count", "_total"))
        suffix = "_total" if family.type == "counter" else ""
        assert {sample.name for sample in family.samples} == {family.name + suffix}


def test_a_migration_that_is_missing_is_no_value_of_zero(state: State, url: str) -> None:
    assert metrics(ask(url, "/metrics").text) == {("up",): 0}
    for path in ("/healthz", "/status.json"):
        answer = ask(url, path)
        assert answer.status == 503
        assert "there is no live migration" in answer.text


def test_metrics_without_their_package(filled: State, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "actingweb.migration.cli.metrics", raising=False)
    monkeypatch.setitem(sys.modules, "prometheus_client", None)
    answer = ask(url, "/metrics")
    assert (answer.status, "pip install 'actingweb-db[metrics]'" in answer.text) == (501, True)
    assert ask(url, "/healthz").status == 200


def test_health(state: State, url: str) -> None:
    create(state)
    try:
        answer = ask(url, "/healthz")
        assert (answer.status, answer.text) == (503, "no `migrate sync` is running\n")
        change(state, "INSERT INTO {state}.leases VALUES ('process one', 'one', now() + interval '1 hour')")
        answer = ask(url, "/healthz")
        assert (answer.status, answer.text) == (200, "ok\n")
        change(state, "INSERT INTO {state}.tables (name, present) VALUES ('actors', true)")
        change(
            state,
            "INSERT INTO {state}.shards (stream_arn, shard_id, table_name, read_at) "
            "VALUES ('arn', 'shard', 'actors', now() - interval '31 s')",
        )
        answer = ask(url, "/healthz")
        assert (answer.status, answer.text) == (503, "the streams of actors are not read\n")
    finally:
        drop(state)


def test_status_as_json(filled: State, url: str) -> None:
    found = ask(url, "/status.json").json
    with filled.connect() as connection:
        status = read_status(filled, connection).asdict()
    assert found.keys() == status.keys() | {"samples", "audit", "conflicts"}
    assert found["reasons"] == status["reasons"]
    assert len(found["samples"]) == SAMPLES
    assert [sample["done"] for sample in found["samples"]] == sorted(sample["done"] for sample in found["samples"])
    assert found["samples"][-1] | {"at": None} == {"at": None, "done": 6000, "waiting": 1, "lag": 0.0}
    assert [line["event"] for line in found["audit"]] == ["share moved", "prepare"]
    assert [conflict["table"] for conflict in found["conflicts"]] == ["actors", "properties"]


def test_a_day_of_samples_has_no_more_points_than_a_plot(filled: State, url: str) -> None:
    change(
        filled,
        """INSERT INTO {state}.samples SELECT now() - number * interval '15 s', '{{"done": 1, "dirty": 5, "marks": 6}}'
        FROM generate_series(1, 5700) AS number""",
    )
    found = ask(url, "/status.json").json["samples"]
    assert 200 <= len(found) <= 242
    assert {sample["waiting"] for sample in found} >= {11}


def test_no_answer_has_a_stored_value_or_a_password(filled: State, url: str, postgres_tables: PostgresTables) -> None:
    password = postgres_tables.environment.get("PG_DB_PASSWORD") or SECRET
    for path in PATHS:
        text = ask(url, path).text
        assert SECRET not in text
        assert password not in text


@pytest.mark.parametrize("path", [*PATHS, "/nothing", "//["])
def test_headers(filled: State, url: str, path: str) -> None:
    answer = ask(url, f"{path}?query")
    assert answer.status == (200 if path in PATHS else 404)
    policy = answer.headers["Content-Security-Policy"]
    assert policy.startswith("default-src 'none'; connect-src 'self'")
    assert "unsafe" not in policy
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.headers["Access-Control-Allow-Origin"] is None
    assert answer.headers["Server"] == "actingweb-db"


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "HEAD"])
def test_only_get_is_allowed(url: str, method: str) -> None:
    answer = ask(url, "/status.json", method)
    assert (answer.status, answer.headers["Allow"]) == (405, "GET")


def test_a_lost_connection_is_replaced(filled: State, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    connections: list[Connection] = []

    def connect(state: State) -> Connection:
        connections.append(state.target.connect())
        return connections[-1]

    with monkeypatch.context() as patch:
        patch.setattr(State, "connect", connect)
        assert ask(url, "/healthz").status == 200
    (connection,) = connections
    change(filled, "SELECT pg_terminate_backend(%(pid)s)", pid=connection.info.backend_pid)
    assert ask(url, "/healthz").status == 503
    assert ask(url, "/healthz").status == 200


@pytest.mark.parametrize(
    ("text", "address"),
    [
        (":9187", ("127.0.0.1", 9187)),
        ("0.0.0.0:80", ("0.0.0.0", 80)),
        ("[::1]:9187", ("::1", 9187)),
        ("localhost:0", ("localhost", 0)),
    ],
)
def test_addresses(text: str, address: tuple[str, int]) -> None:
    assert address_of(text) == address


@pytest.mark.parametrize("text", ["", "9187", "host", ":x", ":70000", "http://host:1", "a@host:1", "host:1/path"])
def test_what_is_no_address(text: str) -> None:
    with pytest.raises(UsageError, match="an address to listen on is"):
        address_of(text)


@contextmanager
def command(environment: dict[str, str], *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """Run `migrate status`."""
    process = subprocess.Popen(
        [sys.executable, "-m", "actingweb_db", "migrate", "status", *arguments],
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def line_of(process: subprocess.Popen[str]) -> str:
    """Return the next line of a command."""
    assert process.stderr is not None
    assert select.select([process.stderr], [], [], PATIENCE)[0]
    return process.stderr.readline()


def test_the_command_ends_in_order(filled: State, postgres_tables: PostgresTables) -> None:
    with (
        command(postgres_tables.environment, "--serve", ":0") as terminated,
        command(postgres_tables.environment, "--serve", ":0") as interrupted,
    ):
        for process, number in ((terminated, signal.SIGTERM), (interrupted, signal.SIGINT)):
            found = re.match(r"listening on (http://127\.0\.0\.1:\d+/) ", line_of(process))
            assert found
            assert ask(found[1], "/healthz").status == 200
            # Without a terminal it says how things are, too.
            assert line_of(process).startswith("syncing: 2,500 rows scanned")
            process.send_signal(number)
            out, err = process.communicate(timeout=PATIENCE)
            assert (process.returncode, "Error" in err) == (0, False)
            assert f"no longer listening on {found[1]}" in out


def test_a_server_that_cannot_be_reached(postgres_tables: PostgresTables) -> None:
    nowhere = {**postgres_tables.environment, "PG_DB_HOST": "127.0.0.1", "PG_DB_PORT": str(free_port())}
    with served(State(Target(Settings.from_environment(nowhere).postgresql))) as url:
        answer = ask(url, "/healthz")
        assert (answer.status, "Error" in answer.text) == (503, True)
        assert metrics(ask(url, "/metrics").text) == {("up",): 0}


def test_an_address_that_is_taken(state: State, url: str) -> None:
    port = int(url.rstrip("/").rpartition(":")[2])
    with (
        pytest.raises(UsageError, match=f"cannot listen on 127.0.0.1:{port}"),
        serving(Monitor(state), "127.0.0.1", port),
    ):
        pass


def test_a_line_comes_at_least_every_15_seconds(
    filled: State, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with filled.connect() as connection:
        status = read_status(filled, connection)
    printed = []
    with LiveDisplay(plain=True) as display:
        for tenth in range(0, 1200, 13):
            monkeypatch.setattr("actingweb.migration.cli.live_display.time.monotonic", lambda now=tenth / 10: now)
            display.show(status)
            if capsys.readouterr().err:
                printed.append(tenth / 10)
    gaps = [later - earlier for earlier, later in pairwise(printed)]
    assert printed[0] == 0
    assert 10 <= min(gaps) <= max(gaps) <= 15
