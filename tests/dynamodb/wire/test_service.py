"""Endpoint, region, credentials, certificates and proxies are those that botocore's own client has."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import pytest
from botocore.awsrequest import AWSPreparedRequest, AWSResponse
from botocore.compat import HTTPHeaders
from botocore.exceptions import BotoCoreError, CredentialRetrievalError
from botocore.loaders import Loader
from botocore.session import Session

from actingweb.db.dynamodb.region import region_of
from actingweb.db.dynamodb.wire.client import Client
from actingweb.db.dynamodb.wire.connections import Proxy
from actingweb.db.dynamodb.wire.endpoint import Endpoint
from actingweb.db.dynamodb.wire.failures import ProxyUrlError
from actingweb.db.dynamodb.wire.messages import DYNAMODB, STREAMS, Api
from actingweb.db.dynamodb.wire.service import Service, proxy_of
from actingweb.db.settings import get_settings
from tests.conftest import SetEnv

KEYS = "aws_access_key_id = AKFILE\naws_secret_access_key = file\n"
ACCOUNT = "aws_account_id = 123456789012\n"


class Setup(NamedTuple):
    """Variables, the two files of AWS, and AWS_DB_HOST."""

    variables: dict[str, str] = {}  # noqa: RUF012 - nothing changes it
    config: str = ""
    credentials: str = f"[default]\n{KEYS}"
    host: str | None = None


def services(text: str) -> str:
    return f"[default]\nservices = here\n[services here]\ndynamodb =\n  endpoint_url = {text}\n"


ENVIRONMENT = {"AWS_ACCESS_KEY_ID": "AKENV", "AWS_SECRET_ACCESS_KEY": "env"}
IGNORING = {"AWS_IGNORE_CONFIGURED_ENDPOINT_URLS": "true"}
FIPS, DUAL = {"AWS_USE_FIPS_ENDPOINT": "true"}, {"AWS_USE_DUALSTACK_ENDPOINT": "true"}
BASE, SPECIAL = {"AWS_ENDPOINT_URL": "http://base:1"}, {"AWS_ENDPOINT_URL_DYNAMODB": "https://special:2/path"}
OF_STREAMS = {"AWS_ENDPOINT_URL_DYNAMODB_STREAMS": "http://streams:6"}
IN_FRANKFURT, IN_PEKING = {"AWS_DEFAULT_REGION": "eu-central-1"}, {"AWS_DEFAULT_REGION": "cn-north-1"}
IN_GOVCLOUD = {"AWS_DEFAULT_REGION": "us-gov-west-1"}
OF_ACCOUNT = f"[default]\n{KEYS}{ACCOUNT}"
NEXT = "[profile next]\nregion = ap-south-1\nendpoint_url = http://next:3\n"

SETUPS = {
    "nothing but keys": Setup(),
    "keys of variables": Setup(ENVIRONMENT),
    "keys and token of variables": Setup(ENVIRONMENT | {"AWS_SESSION_TOKEN": "token"}),
    "an older name of the token": Setup(ENVIRONMENT | {"AWS_SECURITY_TOKEN": "older"}),
    "a token in the file": Setup(credentials=f"[default]\n{KEYS}aws_session_token = of-file\n"),
    "keys in the configuration file": Setup(config=f"[default]\n{KEYS}", credentials=""),
    "AWS_PROFILE": Setup({"AWS_PROFILE": "next"}, NEXT, f"[next]\n{KEYS}"),
    "AWS_DEFAULT_PROFILE": Setup({"AWS_DEFAULT_PROFILE": "next"}, NEXT, f"[next]\n{KEYS}"),
    "AWS_PROFILE beside keys of variables": Setup({"AWS_PROFILE": "next"} | ENVIRONMENT, NEXT, f"[next]\n{KEYS}"),
    "a profile that does not exist": Setup({"AWS_PROFILE": "absent"}),
    "no keys": Setup({"AWS_EC2_METADATA_DISABLED": "true"}, credentials=""),
    "half of a key pair": Setup({"AWS_ACCESS_KEY_ID": "x"}),
    "a region of a variable": Setup(IN_FRANKFURT),
    "another variable of the region": Setup({"AWS_REGION": "eu-west-3"}),
    "a region of the profile": Setup(config="[default]\nregion = sa-east-1\n"),
    "a region that AWS does not have yet": Setup({"AWS_DEFAULT_REGION": "eu-future-9"}),
    "a region of no partition": Setup({"AWS_DEFAULT_REGION": "moon"}),
    "the region of DynamoDB Local": Setup({"AWS_DEFAULT_REGION": "local"}),
    "the region of DynamoDB Local with its URL": Setup({"AWS_DEFAULT_REGION": "local"}, host="http://localhost:8000"),
    "China": Setup(IN_PEKING),
    "China with dual stack": Setup(IN_PEKING | DUAL),
    "China with FIPS": Setup(IN_PEKING | FIPS),
    "GovCloud": Setup(IN_GOVCLOUD),
    "GovCloud with FIPS": Setup(IN_GOVCLOUD | FIPS),
    "GovCloud with FIPS and dual stack": Setup(IN_GOVCLOUD | FIPS | DUAL),
    "FIPS": Setup(FIPS),
    "FIPS of the file": Setup(config="[default]\nuse_fips_endpoint = true\n"),
    "a former name of a region with FIPS": Setup({"AWS_DEFAULT_REGION": "us-gov-east-1-fips"}),
    "another former name of a region with FIPS": Setup({"AWS_DEFAULT_REGION": "fips-us-east-1"}),
    "FIPS and dual stack": Setup(FIPS | DUAL),
    "dual stack": Setup(DUAL),
    "dual stack of the file": Setup(config="[default]\nuse_dualstack_endpoint = true\n"),
    "no dual stack": Setup({"AWS_USE_DUALSTACK_ENDPOINT": "false"}),
    "AWS_ENDPOINT_URL": Setup(BASE),
    "AWS_ENDPOINT_URL_DYNAMODB": Setup(SPECIAL),
    "both variables of the URL": Setup(BASE | SPECIAL),
    "the URL of streams": Setup(SPECIAL | OF_STREAMS),
    "a URL with FIPS": Setup(BASE | FIPS),
    "a URL with dual stack": Setup(SPECIAL | DUAL),
    "a URL and the region of China": Setup(BASE | IN_PEKING),
    "a URL in the file": Setup(config="[default]\nendpoint_url = http://file:4\n"),
    "a URL in a section of services": Setup(config=services("http://service:5")),
    "a variable beside a section of services": Setup(BASE, config=services("http://service:5")),
    "the special variable beside a section of services": Setup(SPECIAL, config=services("http://service:5")),
    "URLs that are ignored": Setup(BASE | SPECIAL | IGNORING, config=services("http://service:5")),
    "URLs that are ignored by the file": Setup(BASE, config="[default]\nignore_configured_endpoint_urls = true\n"),
    "AWS_DB_HOST": Setup(host="http://localhost:8000"),
    "AWS_DB_HOST before the variables of AWS": Setup(BASE | SPECIAL, host="http://localhost:8000"),
    "AWS_DB_HOST before a section of services": Setup(config=services("http://service:5"), host="https://db.example/x"),
    "AWS_DB_HOST and FIPS": Setup(FIPS | DUAL, host="http://localhost:8000"),
    "AWS_DB_HOST of IPv6": Setup(host="http://[::1]:8000"),
    "AWS_DB_HOST and an account": Setup(credentials=OF_ACCOUNT, host="http://localhost:8000"),
    "an account": Setup(credentials=OF_ACCOUNT),
    "an account of variables": Setup(ENVIRONMENT | {"AWS_ACCOUNT_ID": "210987654321"}),
    "an account and FIPS": Setup(FIPS, credentials=OF_ACCOUNT),
    "an account and dual stack": Setup(DUAL, credentials=OF_ACCOUNT),
    "an account in China": Setup(IN_PEKING, credentials=OF_ACCOUNT),
    "an account that is not to be used": Setup({"AWS_ACCOUNT_ID_ENDPOINT_MODE": "disabled"}, credentials=OF_ACCOUNT),
    "an account that is required": Setup({"AWS_ACCOUNT_ID_ENDPOINT_MODE": "required"}, credentials=OF_ACCOUNT),
    "an account that is required and unknown": Setup({"AWS_ACCOUNT_ID_ENDPOINT_MODE": "required"}),
    "an account in no known way": Setup({"AWS_ACCOUNT_ID_ENDPOINT_MODE": "sometimes"}, credentials=OF_ACCOUNT),
    "an account and a URL": Setup(BASE, credentials=OF_ACCOUNT),
    "a program": Setup(
        config=(
            "[default]\ncredential_process = printf '%s' "
            '\'{"Version": 1, "AccessKeyId": "AKPROG", "SecretAccessKey": "x", "SessionToken": "t", '
            '"AccountId": "111122223333"}\'\n'
        ),
        credentials="",
    ),
    "a program that does not exist": Setup(config="[default]\ncredential_process = /nowhere/x\n", credentials=""),
    "a role of a profile that does not exist": Setup(
        config="[default]\nrole_arn = arn:aws:iam::1:role/x\nsource_profile = absent\n", credentials=""
    ),
    "a file that is none": Setup(config="nonsense"),
}


class Facts(NamedTuple):
    """Where a request goes and who signs it."""

    url: str
    scope: str
    token: str | None


class _Empty(io.BytesIO):
    def stream(self) -> Iterator[bytes]:
        yield b"{}"


def theirs(session: Session, region: str, host: str | None, api: Api) -> Facts:
    """Return the facts of a request of botocore's client, which is kept from being sent."""
    client: Any = session.create_client(api.name, region, endpoint_url=host)
    kept: list[AWSPreparedRequest] = []

    def keep(request: AWSPreparedRequest, **_: object) -> AWSResponse:
        kept.append(request)
        return AWSResponse(request.url, 200, HTTPHeaders(), _Empty())

    client.meta.events.register("before-send", keep)
    client.list_tables() if api is DYNAMODB else client.list_streams()
    headers = {name.lower(): _text(value) for name, value in kept[0].headers.items()}
    return Facts(kept[0].url, scope_of(headers["authorization"]), headers.get("x-amz-security-token"))


def ours(session: Session, region: str, host: str | None, api: Api) -> Facts:
    """Return the facts of a request of the wire client."""
    client = Client(session, region, host, api=api)
    lane = client._lane
    scheme = urlsplit(client.url).scheme
    authorization = lane.signer.authorization("/", [], b"", "20260101T000000Z")
    return Facts(f"{scheme}://{lane.target.host}{lane.target.path}", scope_of(authorization), lane.signer.token)


def _text(value: str | bytes) -> str:
    return value.decode() if isinstance(value, bytes) else value


def scope_of(authorization: str) -> str:
    """Return access key, region and service."""
    key, _, *rest = authorization.partition("Credential=")[2].partition(",")[0].split("/")
    return "/".join((key, *rest))


def outcome(of: Any, *arguments: object) -> Facts | type[Exception]:
    try:
        facts: Facts = of(*arguments)
    except (BotoCoreError, ValueError, OSError) as error:
        return type(error)
    return facts


LOADER = Loader()


def session_of() -> Session:
    """Return a new session whose loader keeps the model of the service, which only botocore's clients need."""
    session = Session()
    session.register_component("data_loader", LOADER)
    return session


def use(setup: Setup, set_env: SetEnv, directory: Path) -> None:
    """Write the files of a setup and set its variables."""
    (directory / "config").write_text(setup.config)
    (directory / "credentials").write_text(setup.credentials)
    files = {"AWS_CONFIG_FILE": directory / "config", "AWS_SHARED_CREDENTIALS_FILE": directory / "credentials"}
    set_env(**setup.variables, **{name: str(path) for name, path in files.items()})


def test_there_are_many_setups() -> None:
    assert len(SETUPS) >= 60


@pytest.mark.parametrize("api", [DYNAMODB, STREAMS], ids=lambda api: api.name)
@pytest.mark.parametrize("name", SETUPS)
def test_requests_go_where_botocore_sends_them(name: str, api: Api, set_env: SetEnv, tmp_path: Path) -> None:
    setup = SETUPS[name]
    use(setup, set_env, tmp_path)
    try:
        region = region_of(get_settings())
    except Exception:  # noqa: BLE001 - that the files are wrong is noticed again below
        region = "us-west-1"
    expected = outcome(theirs, session_of(), region, setup.host, api)
    # What a source of credentials lets through is one of botocore's exceptions here.
    expected = CredentialRetrievalError if expected is FileNotFoundError else expected
    assert outcome(ours, Session(), region, setup.host, api) == expected


@pytest.mark.parametrize(("api", "operation"), [(DYNAMODB, "ListTables"), (STREAMS, "ListStreams")])
def test_every_region_of_every_partition(api: Api, operation: str, set_env: SetEnv, tmp_path: Path) -> None:
    use(Setup(), set_env, tmp_path)
    session = session_of()
    partitions = session.get_available_partitions()
    regions = {
        region
        for partition in partitions
        for local in (True, False)
        for region in session.get_available_regions(api.name, partition, local)
    }
    assert len(regions) > 30
    for region in sorted(regions):
        client: Any = session.create_client(api.name, region)
        found = Service(session, region, None, api).endpoint(None)
        resolved = client._ruleset_resolver.construct_endpoint(
            client.meta.service_model.operation_model(operation), {}, {}
        )
        schemes = resolved.properties.get("authSchemes", [{}])
        expected = schemes[0].get("signingRegion", client._request_signer.region_name)
        assert found == Endpoint(resolved.url, expected), region


@pytest.mark.parametrize(
    ("variables", "config"),
    [
        ({}, ""),
        ({"AWS_CA_BUNDLE": "/x/ca.pem"}, ""),
        ({}, "[default]\nca_bundle = /y/ca.pem\n"),
        ({"REQUESTS_CA_BUNDLE": "/z/ca.pem"}, ""),
        ({"REQUESTS_CA_BUNDLE": "/z/ca.pem", "AWS_CA_BUNDLE": "/x/ca.pem"}, ""),
    ],
)
def test_certificates(variables: dict[str, str], config: str, set_env: SetEnv, tmp_path: Path) -> None:
    from botocore.httpsession import get_cert_path

    use(Setup(variables, config), set_env, tmp_path)
    client: Any = session_of().create_client("dynamodb", "eu-west-1")
    assert Service(Session(), "eu-west-1", None).authorities == get_cert_path(client._endpoint.http_session._verify)


HTTPS, HTTP = "https://dynamodb.eu-west-1.amazonaws.com", "http://localhost:8000"
PROXY = {"HTTPS_PROXY": "http://user:p%40ss@proxy:3128", "HTTP_PROXY": "http://plain"}


@pytest.mark.parametrize(
    ("variables", "url", "proxy"),
    [
        ({}, HTTPS, None),
        (PROXY, HTTPS, Proxy("proxy", 3128, "Basic dXNlcjpwQHNz")),
        (PROXY, HTTP, Proxy("plain", 80)),
        (PROXY | {"NO_PROXY": "localhost"}, HTTP, None),
        (PROXY | {"NO_PROXY": ".amazonaws.com"}, HTTPS, None),
        (PROXY | {"NO_PROXY": "amazonaws.com,x"}, HTTPS, None),
        (PROXY | {"NO_PROXY": "*"}, HTTPS, None),
        (PROXY | {"NO_PROXY": "elsewhere"}, HTTPS, Proxy("proxy", 3128, "Basic dXNlcjpwQHNz")),
        ({"https_proxy": "proxy:1"}, HTTPS, Proxy("proxy", 1)),
        ({"HTTPS_PROXY": "//proxy:2"}, HTTPS, Proxy("proxy", 2)),
        ({"ALL_PROXY": "http://all"}, HTTPS, None),
    ],
)
def test_proxies(variables: dict[str, str], url: str, proxy: Proxy | None, environment: pytest.MonkeyPatch) -> None:
    from botocore.httpsession import ProxyConfiguration
    from botocore.utils import get_environ_proxies

    without_proxies(environment)
    for name, value in variables.items():
        environment.setenv(name, value)
    found = proxy_of(url)
    assert found == proxy
    configuration: Any = ProxyConfiguration(get_environ_proxies(url))
    named = configuration.proxy_url_for(url)
    assert (found is None) == (named is None)
    if found is not None:
        theirs = configuration.proxy_headers_for(named).get("Proxy-Authorization")
        assert (found.hostname, found.authorization) == (urlsplit(named).hostname, theirs)


@pytest.mark.parametrize("text", ["https://user:secret@proxy:1", "socks5://user:secret@proxy", "http://u:secret@:x"])
def test_a_proxy_that_cannot_be_used_is_named_without_its_password(text: str, environment: pytest.MonkeyPatch) -> None:
    without_proxies(environment)
    environment.setenv("HTTPS_PROXY", text)
    with pytest.raises(ProxyUrlError, match="AWS_DB_TRANSPORT=botocore") as raised:
        proxy_of(HTTPS)
    assert "secret" not in f"{raised.value!r} {raised.value}"
    assert "secret" not in repr(Proxy("proxy", 1, "Basic secret"))


def without_proxies(environment: pytest.MonkeyPatch) -> None:
    """Unset the variables of proxies."""
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "ALL_PROXY"):
        environment.delenv(name, raising=False)
        environment.delenv(name.lower(), raising=False)


def test_no_model_of_the_service_is_loaded(set_env: SetEnv, tmp_path: Path) -> None:
    """It takes most of a cold start."""
    use(Setup(), set_env, tmp_path)
    session = Session()
    loader: Any = session.get_component("data_loader")
    Client(session, "eu-west-1", None)
    loaded = {key[1] for key in loader._cache}
    assert loaded == {"dynamodb/2012-08-10/endpoint-rule-set-1", "partitions"}
