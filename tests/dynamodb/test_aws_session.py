"""Credentials of a role: they are the ones that need a client of botocore."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from urllib.parse import parse_qs

import pytest

from actingweb.db.dynamodb.aws_session import AWSSession
from actingweb.db.dynamodb.transport import Transport
from tests.conftest import SetEnv
from tests.dynamodb.wire.servers import ScriptedServer, Seen, scripted

ROLE = "arn:aws:iam::123456789012:role/application"
CONFIG = f"""
[profile application]
role_arn = {ROLE}
region = eu-west-1
source_profile = base

[profile base]
aws_access_key_id = AKBASE
aws_secret_access_key = secret
"""
ANSWER = """
<{0}Response xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><{0}Result><Credentials>
<AccessKeyId>ASROLE</AccessKeyId><SecretAccessKey>secret</SecretAccessKey><SessionToken>token</SessionToken>
<Expiration>2099-01-01T00:00:00Z</Expiration></Credentials></{0}Result></{0}Response>
"""


def asked(seen: Seen) -> dict[str, str]:
    """Return the parameters of a request to the token service."""
    return {name: value for name, (value,) in parse_qs(seen.body.decode()).items()}


@pytest.fixture
def token_service() -> Iterator[ScriptedServer]:
    """Start a service that gives everybody the credentials of the role."""

    def answer(seen: Seen) -> bytes:
        body = ANSWER.format(asked(seen)["Action"]).encode()
        return b"HTTP/1.1 200 OK\r\nContent-Type: text/xml\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)

    with scripted(answer) as server:
        yield server


@pytest.mark.parametrize("web_identity", [False, True])
def test_a_role_is_assumed(web_identity: bool, token_service: ScriptedServer, set_env: SetEnv, tmp_path: Path) -> None:
    (tmp_path / "config").write_text(CONFIG)
    (tmp_path / "token").write_text("the-identity")
    set_env(AWS_CONFIG_FILE=str(tmp_path / "config"), AWS_ENDPOINT_URL_STS=token_service.url)
    set_env(AWS_SHARED_CREDENTIALS_FILE="/nowhere", AWS_EC2_METADATA_DISABLED="true")
    if web_identity:
        set_env(AWS_ROLE_ARN=ROLE, AWS_WEB_IDENTITY_TOKEN_FILE=str(tmp_path / "token"))
    else:
        set_env(AWS_PROFILE="application")
    transport = Transport("eu-west-1", "http://127.0.0.1:1", 1.0, 1)
    assert transport.broken is None
    assert transport._client.credentials.keys()[:3] == ("ASROLE", "secret", "token")
    (seen,) = token_service.seen
    assert asked(seen)["RoleArn"] == ROLE
    # The identity proves itself; the other request is signed.
    assert asked(seen).get("WebIdentityToken") == ("the-identity" if web_identity else None)
    assert ("AKBASE" in seen.headers.get("authorization", "")) is not web_identity


def test_a_session_that_needs_no_client_has_no_handlers(set_env: SetEnv) -> None:
    set_env(AWS_ACCESS_KEY_ID="local", AWS_SECRET_ACCESS_KEY="local")
    session = AWSSession()
    credentials = session.get_credentials()
    assert credentials is not None
    assert credentials.access_key == "local"
    assert session.emit("creating-client-class.dynamodb", class_attributes={}, base_classes=[]) == []
