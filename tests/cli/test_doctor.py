"""`actingweb-db doctor`: its report, its exit codes, and that it shows no secret."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest
from psycopg.conninfo import make_conninfo

from actingweb.cli.checks.settings import VARIABLES
from actingweb.migration.errors import ExitCode
from actingweb.migration.findings import Level, exit_code, good, stopper, warning
from testbed.servers import PostgresTables

from .conftest import Doctor

CANARY = "Canary5519"
POSTGRESQL = ("--backend", "postgresql")
GREEN = "\x1b[32m"
ROOT = Path(__file__).parents[2]
SETTINGS = ROOT / "docs" / "settings.md"
POSTGRES_CHECKS = {
    *("connection", "version", "latency", "tls", "pooler", "writes", "session", "connections", "clock", "engine"),
    *("encoding", "schema", "row security", "grants", "indexes", "constraints"),
}
DYNAMODB_CHECKS = {
    *("region", "credentials", "endpoint", "connection", "latency", "clock", "auto-create", "time to live"),
    *("recovery", "streams"),
}


class TestReport:
    def test_a_good_set_up_of_both(self, doctor: Doctor) -> None:
        report = doctor.having(AWS_DB_AUTO_CREATE_TABLES="false").report("--backend", "both")
        assert (report.exit_code, report.stopping()) == (0, [])
        checks = {finding["check"] for finding in report.findings}
        assert checks >= POSTGRES_CHECKS | DYNAMODB_CHECKS
        # DynamoDB Local knows nothing of backups.
        assert {found["check"] for found in report.findings if found["level"] == "warning"} <= {"recovery"}
        assert all(finding["text"] for finding in report.findings)

    @pytest.mark.parametrize("name", ["dynamodb", "postgresql"])
    def test_the_backend_of_the_settings_is_the_default(self, doctor: Doctor, name: str) -> None:
        report = doctor.having(DATABASE_BACKEND=name).report()
        other = {"dynamodb": "PG_", "postgresql": "AWS_"}[name]
        assert {found["side"] for found in report.findings} == {"settings", "packages", name}
        assert [found for found in report.findings if found["check"].startswith(other)] == []
        assert report.exit_code == 0

    def test_lines_for_people(self, doctor: Doctor) -> None:
        code, text = doctor.having(DATABASE_BACKEND="postgresql").print()
        assert code == 0
        lines = [line for line in text.splitlines() if line]
        assert [line for line in lines if not line.startswith(" ")][:3] == ["Settings", "Packages", "PostgreSQL"]
        assert all(re.match(r"  (ok|warning|stops you) +\S", line) for line in lines if line.startswith(" "))
        assert re.fullmatch(r"\d+ ok, 0 with a warning, 0 that stop you", lines[-1])
        assert "\x1b" not in text

    def test_colours_are_for_terminals(self, doctor: Doctor) -> None:
        colourful = doctor.having(DATABASE_BACKEND="postgresql", TERM="xterm")
        code, shown = colourful.tool.run_on_terminal(typed={})
        assert (code, GREEN in shown) == (0, True)
        code, shown = colourful.having(NO_COLOR="1").tool.run_on_terminal(typed={})
        assert (code, GREEN in shown) == (0, False)

    def test_a_backend_of_another_make(self, doctor: Doctor) -> None:
        path = f"{ROOT}:{ROOT / 'tests' / 'plugins'}"
        report = doctor.having(DATABASE_BACKEND="memory", PYTHONPATH=path).report()
        assert (report.exit_code, report.level("backend")) == (0, "ok")
        assert "no health check of its own" in report.said("backend")

    def test_every_setting_of_the_page_is_looked_at(self) -> None:
        settings = SETTINGS.read_text().partition("## Variables")[2].partition("\n## ")[0]
        named = {name for row in re.findall(r"^\| (.*?) \|", settings, re.M) for name in re.findall(r"`(\w+)`", row)}
        assert named == {name for side in VARIABLES.values() for name in side}

    def test_where_settings_come_from(self, doctor: Doctor) -> None:
        (doctor.tool.directory / ".env").write_text("PG_POOL_MAX_SIZE=7\nPG_DB_TIMEOUT=9\n")
        report = doctor.having(PG_DB_TIMEOUT="8").report(*POSTGRESQL)
        assert report.of("PG_POOL_MAX_SIZE")["text"] == "7 (file .env)"
        assert report.of("PG_DB_TIMEOUT")["text"] == "8 (environment)"
        assert report.of("PG_POOL_TIMEOUT")["text"] == "30 (default)"

    @pytest.mark.parametrize(
        ("variable", "value"),
        [("PG_DB_PORT", "none"), ("AWS_DB_TIMEOUT", "none"), ("DATABASE_BACKEND", "none")],
    )
    def test_a_wrong_setting(self, doctor: Doctor, variable: str, value: str) -> None:
        backend = () if variable == "DATABASE_BACKEND" else ("--backend", "both")
        report = doctor.having(**{variable: value}).report(*backend)
        assert report.exit_code == 2
        stops = [found for found in report.findings if found["level"] == "stops you"]
        assert [found["side"] for found in stops] == ["settings"]
        assert variable in stops[0]["text"]

    def test_wrong_settings_of_one_side_leave_the_other_looked_at(self, doctor: Doctor) -> None:
        report = doctor.having(PG_DB_PORT="none").report("--backend", "both")
        assert report.level("credentials") == "ok"

    def test_an_unreadable_env_file(self, doctor: Doctor) -> None:
        (doctor.tool.directory / ".env").write_text(f"PG_DB_PASSWORD={CANARY}`x`\n")
        report = doctor.report()
        assert report.exit_code == 2
        assert "line 1" in report.said("settings")
        assert CANARY not in report.text

    def test_a_wrong_option(self, doctor: Doctor) -> None:
        assert doctor.tool.run("--backend", "none").returncode == 2

    def test_a_missing_driver(self, doctor: Doctor) -> None:
        directory = doctor.tool.directory
        (directory / "sitecustomize.py").write_text("import sys; sys.modules['psycopg'] = None\n")
        lacking = Doctor(replace(doctor.tool, fresh=True)).having(PYTHONPATH=str(directory))
        report = lacking.report("--backend", "both")
        assert report.exit_code == 2
        assert "actingweb-db[postgresql]" in report.said("libpq")
        assert report.level("credentials") == "ok"

    def test_exit_codes(self) -> None:
        mild = [good("settings", "c", "t"), warning("dynamodb", "c", "t", "a")]
        on_dynamodb, on_postgresql = stopper("dynamodb", "c", "t"), stopper("postgresql", "c", "t")
        assert exit_code(mild) is ExitCode.OK
        assert exit_code([*mild, on_postgresql]) is ExitCode.TARGET
        assert exit_code([on_postgresql, on_dynamodb]) is ExitCode.SOURCE
        assert exit_code([on_postgresql, stopper("packages", "c", "t")]) is ExitCode.USAGE
        assert {*Level} == {"ok", "warning", "stops you"}


class TestSecrets:
    def test_nothing_secret_is_shown(self, doctor: Doctor, postgres_tables: PostgresTables) -> None:
        """Passwords where they belong and where they do not."""
        password = postgres_tables.environment.get("PG_DB_PASSWORD", CANARY)
        with postgres_tables.connect() as connection:
            url = make_conninfo(connection.info.dsn, password=password)
        shown = ""
        for variables in (
            {"PG_DB_URL": url, "PG_MIGRATION_URL": f"postgresql://me:{CANARY}@localhost/x", "PGPASSWORD": CANARY},
            {"PG_DB_URL": f"postgresql://me:{CANARY}@127.0.0.1:1/x", "AWS_SECRET_ACCESS_KEY": CANARY},
            {"PG_DB_URL": f"postgresql://me:a@{CANARY}@127.0.0.1:1/x", "AWS_SESSION_TOKEN": CANARY},
            {"PG_DB_HOST": f"me:{CANARY}@127.0.0.1", "AWS_ACCESS_KEY_ID": CANARY},
            {"PG_DB_PASSWORD": CANARY, "AWS_DB_HOST": f"http://me:{CANARY}@127.0.0.1:1", "AWS_DB_TIMEOUT": "1"},
            {"PG_DB_PASSWORD_COMMAND": f"sh -c 'echo {CANARY}; exit 1'", "PGHOST": f"me:{CANARY}@x"},
            {"PG_DB_PASSWORD_COMMAND": f"/nowhere/{CANARY}", "AWS_ENDPOINT_URL": f"http://me:{CANARY}@x"},
        ):
            changed = doctor.having(**variables)
            shown += changed.report("--backend", "both").text + changed.print("--backend", "both")[1]
        assert "set, hidden" in shown
        assert CANARY not in shown
        assert password not in shown
        assert json.dumps(password)[1:-1] not in shown
