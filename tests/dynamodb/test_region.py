"""The region: the application and the tool take the same, by the order of the contract (2.3)."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from actingweb.db import ConfigurationError, get_settings
from actingweb.db.dynamodb.actor import Actor
from actingweb.db.dynamodb.aws_session import AWSSession
from actingweb.migration.errors import UsageError
from actingweb.migration.source.endpoint import Endpoint
from tests.conftest import SetEnv

CONFIG = "[default]\nregion = ca-central-1\n[profile work]\nregion = eu-north-1\n[profile bare]\noutput = json\n"
ADDRESS = "https://dynamodb.{}.amazonaws.com"


def tool_address(profile: str | None = None) -> str:
    return Endpoint(None, None, profile, 1).address


@pytest.mark.parametrize(
    ("variables", "region"),
    [
        ({"AWS_DEFAULT_REGION": "eu-west-1", "AWS_REGION": "eu-west-2", "AWS_PROFILE": "work"}, "eu-west-1"),
        ({"AWS_REGION": "eu-west-2", "AWS_PROFILE": "work"}, "eu-west-2"),
        ({"AWS_DEFAULT_REGION": "", "AWS_REGION": "eu-west-2\n"}, "eu-west-2"),
        ({"AWS_PROFILE": "work"}, "eu-north-1"),
        ({"AWS_DEFAULT_PROFILE": "work"}, "eu-north-1"),
        ({}, "ca-central-1"),
        ({"AWS_PROFILE": "bare"}, "us-west-1"),
        ({"AWS_CONFIG_FILE": "/nowhere"}, "us-west-1"),
    ],
)
def test_application_and_tool(variables: dict[str, str], region: str, set_env: SetEnv, tmp_path: Path) -> None:
    (tmp_path / "config").write_text(CONFIG)
    keys = {"AWS_ACCESS_KEY_ID": "local", "AWS_SECRET_ACCESS_KEY": "local"}
    set_env(**keys | {"AWS_CONFIG_FILE": str(tmp_path / "config")} | variables)
    assert get_settings().aws_default_region == region
    assert Actor.Meta.region == region
    assert tool_address() == ADDRESS.format(region)


def test_the_profile_of_the_command_line(set_env: SetEnv, tmp_path: Path) -> None:
    (tmp_path / "config").write_text(CONFIG)
    keys = {"AWS_ACCESS_KEY_ID": "local", "AWS_SECRET_ACCESS_KEY": "local"}
    set_env(**keys, AWS_CONFIG_FILE=str(tmp_path / "config"))
    assert tool_address("work") == ADDRESS.format("eu-north-1")
    set_env(AWS_REGION="eu-west-2")
    assert tool_address("work") == ADDRESS.format("eu-west-2")


def test_a_profile_that_does_not_exist_is_named(set_env: SetEnv, tmp_path: Path) -> None:
    (tmp_path / "config").write_text(CONFIG)
    set_env(AWS_CONFIG_FILE=str(tmp_path / "config"), AWS_PROFILE="absent")
    with pytest.raises(ConfigurationError, match=r"AWS_PROFILE.*absent"):
        _ = get_settings().aws_default_region
    with pytest.raises(UsageError, match="absent"):
        tool_address()


def test_the_files_of_aws_are_read_once_and_only_if_no_variable_names_a_region(
    set_env: SetEnv, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "config").write_text(CONFIG)
    set_env(AWS_CONFIG_FILE=str(tmp_path / "config"))
    made: list[AWSSession] = []

    class Counted(AWSSession):
        def __init__(self, profile: str | None = None) -> None:
            super().__init__(profile)
            made.append(self)

    monkeypatch.setattr("actingweb.db.dynamodb.aws_session.AWSSession", Counted)
    for _ in range(3):
        assert get_settings().aws_default_region == "ca-central-1"
    assert len(made) == 1
    set_env(AWS_REGION="eu-west-2")
    assert get_settings().aws_default_region == "eu-west-2"
    assert len(made) == 1


def test_no_import_reads_them(tmp_path: Path) -> None:
    (tmp_path / "config").write_text("[default\n")
    program = "import actingweb.db, actingweb.db.dynamodb, actingweb.db.verify_tables, actingweb.migration.cli.load"
    environment = {"AWS_CONFIG_FILE": str(tmp_path / "config"), "PATH": "/usr/bin:/bin"}
    subprocess.run([sys.executable, "-c", program], env=environment, check=True)
