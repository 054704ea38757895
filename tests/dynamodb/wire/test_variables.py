"""Variables that say all are taken as botocore takes them; everything else is left to botocore."""

from __future__ import annotations

from pathlib import Path

import certifi
import pytest
from botocore.session import Session

from actingweb.db.dynamodb.wire.client import Client
from actingweb.db.dynamodb.wire.variables import Variables
from actingweb.db.settings import get_settings
from tests.conftest import SetEnv
from tests.support import use_variables_alone

KEYS = {"AWS_ACCESS_KEY_ID": "AKTEST", "AWS_SECRET_ACCESS_KEY": "the-secret-key"}
OF_LAMBDA = {
    "AWS_REGION": "eu-north-1",
    "AWS_DEFAULT_REGION": "eu-north-1",
    "AWS_EXECUTION_ENV": "AWS_Lambda_python3.13",
    "AWS_LAMBDA_FUNCTION_NAME": "actors",
    "AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand",
    "AWS_SESSION_TOKEN": "token",
    "AWS_XRAY_DAEMON_ADDRESS": "169.254.79.129:2000",
}
LOCAL = "http://localhost:8000"


@pytest.fixture(autouse=True)
def nothing_else(environment: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Unset all other variables of AWS and those of proxies, in a home without files."""
    use_variables_alone(environment, tmp_path)


def alone(region: str = "eu-west-1", host: str | None = None) -> Variables | None:
    return Variables.alone(get_settings().environment, region, host)


def facts(client: Client) -> tuple[object, ...]:
    """Return where the requests of a client go, how, and who signs them."""
    lane = client._lane
    authorization = lane.signer.authorization(lane.target.signed_path, [], b"", "20260101T000000Z")
    route = lane.connections.route
    facts = (client.url, lane.keys, lane.target, authorization, route._replace(tls=None), route.tls is None)
    return (*facts, client.credentials.method, client._service.authorities)


def assert_as_botocore(region: str, host: str | None = None) -> None:
    found = alone(region, host)
    assert found is not None
    assert facts(Client(found, region, host)) == facts(Client(Session(), region, host))


@pytest.mark.parametrize("host", [None, LOCAL, "http://db.example/", "https://db.example:8443"])
@pytest.mark.parametrize(
    "variables",
    [
        {},
        {"AWS_SESSION_TOKEN": "new"},
        {"AWS_SESSION_TOKEN": "new", "AWS_SECURITY_TOKEN": "old"},
        OF_LAMBDA,
        {"REQUESTS_CA_BUNDLE": certifi.where()},
        {"REQUESTS_CA_BUNDLE": str(Path(certifi.where()).parent)},
    ],
    ids=["keys", "token", "both tokens", "lambda", "file of certificates", "directory of certificates"],
)
def test_they_are_taken_as_botocore_takes_them(variables: dict[str, str], host: str | None, set_env: SetEnv) -> None:
    set_env(**KEYS, **variables)
    assert_as_botocore("eu-north-1", host)


def test_in_every_region_that_is_not_left_to_botocore(set_env: SetEnv) -> None:
    set_env(**KEYS)
    session = Session()
    regions = {region for name in session.get_available_partitions() for region in _regions(session, name)}
    taken = {region for region in regions if alone(region) is not None}
    assert taken == set(_regions(session, "aws")) - {"aws-global"}
    for region in sorted(taken):
        found = alone(region)
        assert found is not None
        assert found.endpoint(None) == Client(Session(), region, None)._service.endpoint(None)


def _regions(session: Session, partition: str) -> list[str]:
    return session.get_available_regions("dynamodb", partition)


@pytest.mark.parametrize(
    "variables",
    [
        {"AWS_ACCESS_KEY_ID": ""},
        {"AWS_SECRET_ACCESS_KEY": ""},
        {"AWS_CREDENTIAL_EXPIRATION": "2026-01-01T00:00:00Z"},
        {"AWS_ACCOUNT_ID": "123456789012"},
        {"AWS_PROFILE": "work"},
        {"AWS_CONFIG_FILE": "/x"},
        {"AWS_SHARED_CREDENTIALS_FILE": "/x"},
        {"AWS_ENDPOINT_URL": "http://base:1"},
        {"AWS_ENDPOINT_URL_DYNAMODB": "http://special:2"},
        {"AWS_USE_FIPS_ENDPOINT": "true"},
        {"AWS_USE_DUALSTACK_ENDPOINT": "true"},
        {"AWS_CA_BUNDLE": "/x.pem"},
        {"AWS_SOMETHING_NEW": "1"},
        {"HTTPS_PROXY": "http://proxy:3128"},
        {"http_proxy": "http://proxy:3128"},
        {"ALL_PROXY": "http://proxy:3128"},
    ],
    ids=lambda variables: next(iter(variables)),
)
def test_another_variable_leaves_it_to_botocore(variables: dict[str, str], set_env: SetEnv) -> None:
    set_env(**KEYS)
    assert alone() is not None
    set_env(**variables)
    assert alone() is None


@pytest.mark.parametrize("name", ["config", "credentials"])
def test_a_file_leaves_it_to_botocore(name: str, set_env: SetEnv, tmp_path: Path) -> None:
    set_env(**KEYS)
    (tmp_path / ".aws").mkdir()
    (tmp_path / ".aws" / name).touch()
    assert alone() is None


@pytest.mark.parametrize("region", ["cn-north-1", "us-gov-west-1", "us-iso-east-1", "local", "fips-us-east-1", "moon"])
def test_another_partition_is_left_to_botocore(region: str, set_env: SetEnv) -> None:
    set_env(**KEYS)
    assert alone(region) is None


@pytest.mark.parametrize("host", ["http://[::1]:8000", "http://host/path", "http://user:word@host", "http://a_b"])
def test_an_unusual_url_is_left_to_botocore(host: str, set_env: SetEnv) -> None:
    set_env(**KEYS)
    assert alone("eu-west-1", host) is None
