"""The first calls of a fresh process make no client of botocore and load no PynamoDB, wherever static keys are."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from actingweb.db.registry import Backend

KEYS = "aws_access_key_id = local\naws_secret_access_key = local\n"
SOURCES = {
    "variables": ({"AWS_ACCESS_KEY_ID": "local", "AWS_SECRET_ACCESS_KEY": "local"}, "", ""),
    "variables and a token": (
        {"AWS_ACCESS_KEY_ID": "local", "AWS_SECRET_ACCESS_KEY": "local", "AWS_SESSION_TOKEN": "token"},
        "",
        "",
    ),
    "the credentials file": ({}, "", f"[default]\n{KEYS}"),
    "a token in the credentials file": ({}, "", f"[default]\n{KEYS}aws_session_token = token\n"),
    "the configuration file": ({}, f"[default]\n{KEYS}", ""),
    "a profile": ({"AWS_PROFILE": "app"}, "[profile app]\nregion = eu-west-1\n", f"[app]\n{KEYS}"),
}
"""Variables, configuration file and credentials file."""

CALLS = """
import gc, sys
gc.disable()  # so that a client that is dropped is seen
from actingweb.db import get_actor, get_attribute, get_property, load_backend
config = load_backend()
actor = sys.argv[1]
assert get_property(config).set(actor_id=actor, name="email", value="a@example.com")
assert get_property(config).get_actor_id_from_property(name="email", value="a@example.com") == actor
assert get_attribute(config).set_attr(actor_id=actor, bucket="b", name="n", data=[1])
assert get_actor(config).get(actor)["id"] == actor
clients = sys.modules.get("botocore.client")
print(*sorted({"boto3", "pynamodb"} & sys.modules.keys()))
# Each client that botocore makes is an instance of a class of its own.
print(*[] if clients is None else clients.BaseClient.__subclasses__())
"""


def run(code: str, environment: dict[str, str], actor_id: str) -> list[str]:
    """Return the lines that a program prints."""
    command = [sys.executable, "-c", code, actor_id]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def environment_of(name: str, directory: Path) -> dict[str, str]:
    """Return the variables for a source, whose files are in a directory."""
    variables, config, credentials = SOURCES[name]
    (directory / "config").write_text(config)
    (directory / "credentials").write_text(credentials)
    others = {key: value for key, value in os.environ.items() if not key.startswith("AWS_") or key.startswith("AWS_DB")}
    files = {"AWS_CONFIG_FILE": directory / "config", "AWS_SHARED_CREDENTIALS_FILE": directory / "credentials"}
    return others | variables | {key: str(path) for key, path in files.items() if path.read_text()}


@pytest.mark.backends("dynamodb")
@pytest.mark.parametrize("name", SOURCES)
def test_no_client_is_made(name: str, backend: Backend, actor_id: str, tmp_path: Path) -> None:
    assert run(CALLS, environment_of(name, tmp_path), actor_id) == ["", ""]


@pytest.mark.backends("dynamodb")
def test_a_client_that_is_made_is_seen(backend: Backend, actor_id: str, tmp_path: Path) -> None:
    """So that the test above can fail."""
    code = f"import boto3, gc\ngc.disable()\nboto3.client('dynamodb', 'eu-west-1')\n{CALLS}"
    loaded, made = run(code, environment_of("variables", tmp_path), actor_id)
    assert (loaded, "DynamoDB" in made) == ("boto3", True)
