"""What `actingweb-db doctor` says of PostgreSQL, of servers and schemas that are good and that are broken."""

from __future__ import annotations

from pathlib import Path
from typing import LiteralString

import pytest

from testbed.servers import PostgresTables, PostgresTarget
from tests.faults.certificates import HOW_TO_GET_IT, Authority, find_openssl
from tests.faults.private_postgres import Standby
from tests.faults.test_tls import ServerOf
from tests.postgresql.test_pooler import Relays
from tests.schema.conftest import BASELINE, Place
from tests.schema.roles import Role
from tests.support import new_id

from .conftest import Doctor, doctor_here, doctor_with

CANARY = "Canary5519"
POSTGRESQL = ("--backend", "postgresql")


class TestPostgreSQLConnection:
    def test_a_wrong_password(self, doctor: Doctor) -> None:
        report = doctor.having(PG_DB_USER=f"nobody{new_id()}", PG_DB_PASSWORD=CANARY).report(*POSTGRESQL)
        assert (report.exit_code, report.stopping()) == (7, ["connection"])
        assert "the password is wrong, or there is no such user" in report.said("connection")
        assert CANARY not in report.text

    def test_a_refused_port(self, doctor: Doctor) -> None:
        report = doctor.having(PG_DB_HOST="127.0.0.1", PG_DB_PORT="1").report(*POSTGRESQL)
        assert (report.exit_code, report.stopping()) == (7, ["connection"])
        assert "check that it is running" in report.said("connection")

    def test_a_name_that_is_not_known(self, doctor: Doctor) -> None:
        report = doctor.having(PG_DB_HOST="database.invalid").report(*POSTGRESQL)
        assert (report.exit_code, report.stopping()) == (7, ["name", "connection"])
        assert "database.invalid" in report.said("name")

    def test_a_missing_database(self, doctor: Doctor) -> None:
        report = doctor.having(PG_DB_NAME=new_id()).report(*POSTGRESQL)
        assert (report.exit_code, report.stopping()) == (7, ["connection"])
        assert "no database of that name" in report.said("connection")

    def test_a_password_command_that_fails(self, doctor: Doctor) -> None:
        report = doctor.having(PG_DB_PASSWORD_COMMAND="false", PG_DB_PASSWORD=None).report(*POSTGRESQL)
        assert report.stopping() == ["connection"]
        assert "PG_DB_PASSWORD_COMMAND ended with 1" in report.said("connection")

    def test_which_of_several_hosts(self, doctor: Doctor, postgres_tables: PostgresTables) -> None:
        port = postgres_tables.environment["PG_DB_PORT"]
        report = doctor.having(PG_DB_HOST="127.0.0.1,localhost", PG_DB_PORT=f"1,{port}").report(*POSTGRESQL)
        assert report.exit_code == 0
        assert f"localhost:{port}" in report.said("connection")
        assert "one of the hosts 127.0.0.1, localhost" in report.said("connection")

    def test_a_pooler_that_the_settings_deny(self, doctor: Doctor, relays: Relays) -> None:
        through = doctor.having(PG_DB_HOST="127.0.0.1", PG_DB_PORT=str(relays.server_address[1]))
        assert "there is one" in through.report(*POSTGRESQL).said("pooler")
        report = through.having(PG_POOLER="off").report(*POSTGRESQL)
        assert (report.exit_code, report.stopping()) == (7, ["pooler"])


class TestPostgreSQLServer:
    def test_no_tls_to_another_machine(self, doctor: Doctor) -> None:
        """This address is this machine's too, which `doctor` does not know."""
        assert doctor.report(*POSTGRESQL).level("tls") == "ok"
        report = doctor.having(PG_DB_HOST="0.0.0.0").report(*POSTGRESQL)
        assert (report.exit_code, report.level("tls")) == (0, "warning")
        assert "PG_DB_SSLMODE=verify-full" in report.said("tls")

    def test_tls(self, tmp_path: Path, tls_server: ServerOf) -> None:
        if find_openssl() is None:
            pytest.skip(HOW_TO_GET_IT)
        authority = Authority(tmp_path, "authority")
        tls_server.show(*authority.issue("localhost"))
        report = doctor_with(tmp_path, tls_server.connection.environment()).report(*POSTGRESQL)
        assert report.said("tls").startswith("on, TLSv1.")
        others = {
            **tls_server.connection.environment(),
            "PG_DB_SSLMODE": "verify-full",
            "PG_DB_SSLROOTCERT": "/nowhere",
        }
        assert doctor_with(tmp_path, others).report(*POSTGRESQL).stopping() == ["connection"]

    def test_a_standby(self, tmp_path: Path, standby: Standby) -> None:
        environment = standby.connection.environment()
        report = doctor_with(tmp_path, environment).report(*POSTGRESQL)
        assert report.exit_code == 7
        assert "a standby" in report.said("writes")
        port = environment["PG_DB_PORT"]
        several = {**environment, "PG_DB_HOST": "127.0.0.1,localhost", "PG_DB_PORT": f"{port},{port}"}
        several = {name: value for name, value in several.items() if not name.endswith("_URL")}
        report = doctor_with(tmp_path, several).report(*POSTGRESQL)
        assert (report.exit_code, report.stopping()) == (7, ["connection"])
        assert "none of the hosts 127.0.0.1, localhost accepts writes" in report.said("connection")

    def test_a_role_that_only_reads(self, tmp_path: Path, role: Role) -> None:
        role.run("ALTER ROLE {role} SET default_transaction_read_only = on")
        report = doctor_here(tmp_path).report(*POSTGRESQL)
        assert (report.exit_code, report.stopping()) == (7, ["writes"])
        assert "default_transaction_read_only" in report.said("writes")

    def test_limits_of_the_session(self, tmp_path: Path, role: Role) -> None:
        role.run(
            "ALTER ROLE {role} SET statement_timeout = '7s'",
            "ALTER ROLE {role} SET default_transaction_isolation = 'serializable'",
            "ALTER ROLE {role} CONNECTION LIMIT 3",
        )
        report = doctor_here(tmp_path).report(*POSTGRESQL)
        assert report.exit_code == 0
        assert any("statement_timeout is 7,000 ms" in found["text"] for found in report.findings)
        assert (report.level("session"), report.level("connections")) == ("warning", "warning")
        assert "serializable" in report.said("session")


class TestSchema:
    def test_a_missing_schema(self, doctor: Doctor) -> None:
        report = doctor.having(PG_DB_PREFIX=new_id("absent")).report(*POSTGRESQL)
        assert (report.exit_code, report.stopping()) == (7, ["schema"])
        assert "alembic upgrade head" in report.said("schema")

    def test_an_old_schema(self, tmp_path: Path, place: Place) -> None:
        place.upgrade(BASELINE)
        report = doctor_here(tmp_path).report(*POSTGRESQL)
        assert (report.exit_code, report.stopping()) == (7, ["schema"])
        assert BASELINE in report.said("schema")

    @pytest.mark.parametrize(
        ("change", "check", "level", "name"),
        [
            ("DROP INDEX idx_trusts_secret", "indexes", "warning", "idx_trusts_secret"),
            ("DROP INDEX idx_properties_value", "indexes", "warning", "idx_properties_value"),
            ("ALTER TABLE trusts DROP CONSTRAINT fk_trusts_actor", "constraints", "stops you", "fk_trusts_actor"),
            ("ALTER TABLE trusts DROP CONSTRAINT trusts_pkey", "constraints", "stops you", "trusts_pkey"),
        ],
    )
    def test_a_missing_part(
        self, tmp_path: Path, made: Place, change: LiteralString, check: str, level: str, name: str
    ) -> None:
        """The statement that is advised brings it back."""
        made.execute(change)
        report = doctor_here(tmp_path).report(*POSTGRESQL)
        assert (report.level(check), report.exit_code) == (level, 0 if level == "warning" else 7)
        assert name in report.said(check)
        statement = report.of(check)["advice"].partition("`")[2].removesuffix("`")
        made.connection.execute(statement.encode())
        assert doctor_here(tmp_path).report(*POSTGRESQL).level(check) == "ok"
        made.check()

    def test_an_index_that_is_not_valid(self, tmp_path: Path, made: Place) -> None:
        made.execute("UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'idx_trusts_secret'::regclass")
        report = doctor_here(tmp_path).report(*POSTGRESQL)
        assert report.level("indexes") == "warning"
        assert "not valid" in report.said("indexes")

    @pytest.mark.parametrize("change", ["DROP TABLE trusts", "ALTER TABLE trusts DROP COLUMN secret"])
    def test_a_missing_table_or_column(self, tmp_path: Path, made: Place, change: LiteralString) -> None:
        made.execute(change)
        report = doctor_here(tmp_path).report(*POSTGRESQL)
        assert (report.exit_code, report.stopping()) == (7, ["schema"])
        assert "trusts.secret" in report.said("schema")

    def test_a_missing_grant(self, tmp_path: Path, role: Role) -> None:
        role.run("REVOKE DELETE ON {schema}.trusts FROM {role}")
        report = doctor_here(tmp_path).report(*POSTGRESQL)
        assert (report.exit_code, report.stopping()) == (7, ["grants"])
        assert "GRANT the role DELETE on trusts" in report.said("grants")

    def test_row_security(self, tmp_path: Path, role: Role) -> None:
        role.run("ALTER TABLE {schema}.trusts ENABLE ROW LEVEL SECURITY")
        report = doctor_here(tmp_path).report(*POSTGRESQL)
        assert (report.exit_code, report.stopping()) == (7, ["row security"])
        assert "trusts" in report.said("row security")
        role.run("CREATE POLICY everything ON {schema}.trusts TO {role} USING (true)")
        assert doctor_here(tmp_path).report(*POSTGRESQL).stopping() == []

    def test_another_encoding(self, tmp_path: Path, latin: PostgresTarget) -> None:
        report = doctor_with(tmp_path, latin.environment).report(*POSTGRESQL)
        assert (report.exit_code, report.stopping()) == (7, ["encoding"])
        assert "UTF8" in report.said("encoding")
        assert {found["check"] for found in report.findings}.isdisjoint({"grants", "indexes", "constraints"})
