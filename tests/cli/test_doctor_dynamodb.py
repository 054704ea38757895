"""What `actingweb-db doctor` says of DynamoDB, of tables that are good and that are broken."""

from __future__ import annotations

import json
import time
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler
from typing import TYPE_CHECKING

import pytest

from testbed.dynamodb_proxy import Answer, Send, SpoilingProxy, failing
from testbed.servers import DynamoDBTables, DynamoDBTarget
from tests.support import new_id

from .conftest import Doctor

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

CANARY = "Canary5519"
DYNAMODB = ("--backend", "dynamodb")


class TestDynamoDB:
    def test_an_unreachable_endpoint(self, doctor: Doctor) -> None:
        changed = doctor.having(AWS_DB_HOST="http://127.0.0.1:1", AWS_DB_MAX_ATTEMPTS="1")
        report = changed.report(*DYNAMODB)
        assert (report.exit_code, report.stopping()) == (6, ["connection"])
        assert "AWS_DB_HOST" in report.said("connection")

    def test_no_credentials(self, doctor: Doctor) -> None:
        report = doctor.having(
            AWS_ACCESS_KEY_ID=None, AWS_SECRET_ACCESS_KEY=None, AWS_EC2_METADATA_DISABLED="true", HOME="/nowhere"
        ).report(*DYNAMODB)
        assert (report.exit_code, report.stopping()) == (6, ["credentials"])
        assert "no AWS credentials were found" in report.said("credentials")

    def test_a_profile_that_does_not_exist(self, doctor: Doctor) -> None:
        report = doctor.having(AWS_PROFILE="none", AWS_DEFAULT_REGION=None, HOME="/nowhere").report(*DYNAMODB)
        assert report.exit_code == 2
        assert "AWS_PROFILE" in report.said("DynamoDB")

    def test_region_and_credentials_of_a_profile(self, doctor: Doctor) -> None:
        directory = doctor.tool.directory / ".aws"
        directory.mkdir()
        (directory / "config").write_text("[default]\nregion = eu-north-1\n")
        (directory / "credentials").write_text(f"[default]\naws_access_key_id = a\naws_secret_access_key = {CANARY}\n")
        report = doctor.having(
            HOME=str(doctor.tool.directory),
            AWS_DEFAULT_REGION=None,
            AWS_ACCESS_KEY_ID=None,
            AWS_SECRET_ACCESS_KEY=None,
        ).report(*DYNAMODB)
        assert report.of("region")["text"] == "eu-north-1 (AWS profile)"
        assert report.of("credentials")["text"] == "found by shared-credentials-file"
        assert CANARY not in report.text

    def test_a_region_that_nothing_names(self, doctor: Doctor) -> None:
        report = doctor.having(HOME="/nowhere", AWS_DEFAULT_REGION=None).report(*DYNAMODB)
        assert report.of("region")["text"] == "us-west-1 (default)"

    @pytest.mark.parametrize("creates", ["true", "false"])
    def test_a_mistyped_prefix(
        self, doctor: Doctor, dynamodb_tables: DynamoDBTables, ddb: DynamoDBClient, creates: str
    ) -> None:
        prefix = new_id("absent")
        report = doctor.having(AWS_DB_PREFIX=prefix, AWS_DB_AUTO_CREATE_TABLES=creates).report(*DYNAMODB)
        assert (report.exit_code, report.stopping()) == ((0, []) if creates == "true" else (6, ["tables"]))
        assert f"{prefix}_actors" in report.said("tables")
        assert dynamodb_tables.environment["AWS_DB_PREFIX"] in report.said("prefix")
        assert report.level("auto-create") == ("warning" if creates == "true" else "ok")
        assert not [name for name in ddb.list_tables()["TableNames"] if name.startswith(prefix)]

    def test_another_region(self, doctor: Doctor, regional: DynamoDBTarget) -> None:
        changed = doctor.having(**regional.environment, AWS_DB_PREFIX="here", AWS_DB_AUTO_CREATE_TABLES="false")
        assert changed.report(*DYNAMODB).level("table here_actors") == "ok"
        report = changed.having(AWS_DEFAULT_REGION="eu-north-1").report(*DYNAMODB)
        assert (report.exit_code, report.stopping()) == (6, ["tables"])
        assert "here_actors" in report.said("tables")
        assert "AWS_DEFAULT_REGION" in report.said("tables")
        assert report.of("region")["text"] == "eu-north-1 (AWS_DEFAULT_REGION, environment)"

    def test_nothing_is_written(self, doctor: Doctor, proxied: SpoilingProxy) -> None:
        doctor.having(AWS_DB_HOST=proxied.url).report(*DYNAMODB)
        doctor.having(AWS_DB_HOST=proxied.url, AWS_DB_PREFIX=new_id("absent")).report(*DYNAMODB)
        reads = {"GetItem", "DescribeTable", "DescribeTimeToLive", "DescribeContinuousBackups", "ListTables"}
        assert {request.operation for request in proxied.seen} == reads

    def test_a_missing_index(self, doctor: Doctor, aside: str, ddb: DynamoDBClient) -> None:
        name = f"{aside}_actors"
        ddb.delete_table(TableName=name)
        ddb.create_table(
            TableName=name,
            KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
            AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
            BillingMode="PAY_PER_REQUEST",
        )
        report = doctor.having(AWS_DB_PREFIX=aside).report(*DYNAMODB)
        assert (report.exit_code, report.stopping()) == (6, [f"table {name}"])
        assert "creator-index with the hash key creator (S)" in report.said(f"table {name}")

    def test_a_table_with_another_key(self, doctor: Doctor, aside: str, ddb: DynamoDBClient) -> None:
        name = f"{aside}_trusts"
        ddb.delete_table(TableName=name)
        ddb.create_table(
            TableName=name,
            KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}],
            AttributeDefinitions=[{"AttributeName": "pk", "AttributeType": "S"}],
            BillingMode="PAY_PER_REQUEST",
        )
        report = doctor.having(AWS_DB_PREFIX=aside).report(*DYNAMODB)
        assert (report.exit_code, set(report.stopping())) == (6, {f"table {name}"})
        assert "not ActingWeb's" in report.said(f"table {name}")

    def test_time_to_live_is_off(self, doctor: Doctor, aside: str, ddb: DynamoDBClient) -> None:
        table = f"{aside}_attributes"
        ddb.update_time_to_live(
            TableName=table, TimeToLiveSpecification={"Enabled": False, "AttributeName": "ttl_timestamp"}
        )
        report = doctor.having(AWS_DB_PREFIX=aside).report(*DYNAMODB)
        assert (report.exit_code, report.level("time to live")) == (0, "warning")
        assert "ttl_timestamp" in report.said("time to live")

    @pytest.mark.parametrize("denied", ["DescribeTable", "DescribeTimeToLive", "DescribeContinuousBackups"])
    def test_a_right_that_only_a_check_needs(self, doctor: Doctor, proxied: SpoilingProxy, denied: str) -> None:
        def spoil(send: Send) -> Answer | None:
            return failing("AccessDeniedException")(send) if send.request.operation == denied else send()

        proxied.always = spoil
        report = doctor.having(AWS_DB_HOST=proxied.url).report(*DYNAMODB)
        assert (report.exit_code, report.stopping()) == (0, [])
        assert f"could not check: needs dynamodb:{denied}" in report.text or "which needs" in report.text

    def test_another_clock(self, doctor: Doctor, proxied: SpoilingProxy, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(
            BaseHTTPRequestHandler, "date_time_string", lambda _: formatdate(time.time() - 100, usegmt=True)
        )
        report = doctor.having(AWS_DB_HOST=proxied.url).report(*DYNAMODB)
        assert (report.exit_code, report.level("clock")) == (0, "warning")
        assert "NTP" in report.said("clock")

    def test_a_right_to_list_tables(self, doctor: Doctor, proxied: SpoilingProxy) -> None:
        def spoil(send: Send) -> Answer | None:
            return failing("AccessDeniedException")(send) if send.request.operation == "ListTables" else send()

        proxied.always = spoil
        report = doctor.having(AWS_DB_HOST=proxied.url, AWS_DB_PREFIX=new_id("absent")).report(*DYNAMODB)
        assert "needs dynamodb:ListTables" in report.said("prefix")

    def test_a_right_that_the_application_needs(self, doctor: Doctor, proxied: SpoilingProxy) -> None:
        proxied.always = failing("AccessDeniedException")
        report = doctor.having(AWS_DB_HOST=proxied.url).report(*DYNAMODB)
        assert (report.exit_code, report.stopping()) == (6, ["connection"])
        assert "dynamodb:GetItem" in report.said("connection")

    @pytest.mark.parametrize("status", ["DISABLED", "ENABLED"])
    def test_recovery(self, doctor: Doctor, proxied: SpoilingProxy, status: str) -> None:
        told = {
            "ContinuousBackupsDescription": {
                "ContinuousBackupsStatus": "ENABLED",
                "PointInTimeRecoveryDescription": {"PointInTimeRecoveryStatus": status},
            }
        }

        def spoil(send: Send) -> Answer | None:
            if send.request.operation != "DescribeContinuousBackups":
                return send()
            return Answer(200, json.dumps(told).encode())

        proxied.always = spoil
        report = doctor.having(AWS_DB_HOST=proxied.url).report(*DYNAMODB)
        assert report.level("recovery") == {"DISABLED": "warning", "ENABLED": "ok"}[status]
