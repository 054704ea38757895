"""DynamoDB with wrong settings: each mistake is an error of its own, in time, that says what to do."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from actingweb.db import (
    DbConnectionError,
    DbError,
    DbOutcomeUnknownError,
    DbSchemaError,
    DbTimeoutError,
    get_actor,
    get_property_list,
)
from actingweb.db.registry import Backend
from testbed.dynamodb_proxy import failing, spoiling_proxy
from tests.conftest import SetEnv
from tests.contract.support.calls import Call, requesting
from tests.dynamodb.wire.servers import reply, scripted

pytestmark = pytest.mark.backends("dynamodb")

TIMEOUT = 2.0
GRACE = 48.0
"""Seconds that a busy machine may add, most of them for making a client."""

REFUSING = "http://127.0.0.1:1"

# Error code, what is raised, what its reason says.
ANSWERS: list[tuple[str, type[DbError], str]] = [
    ("ExpiredTokenException", DbError, "the AWS credentials have expired: renew them"),
    ("UnrecognizedClientException", DbError, "AWS does not know the credentials: check access key"),
    ("InvalidSignatureException", DbError, "the signature is wrong: check the AWS secret key and the clock"),
    ("IncompleteSignatureException", DbError, "the signature is wrong"),
    ("MissingAuthenticationTokenException", DbError, "no AWS credentials were found: set AWS_ACCESS_KEY_ID"),
    ("AccessDeniedException", DbError, "access denied: the IAM policy lacks a permission"),
    ("ResourceNotFoundException", DbSchemaError, "a table is missing: python -m actingweb.db.verify_tables names it"),
]


@pytest.fixture
def limited(backend: Backend, set_env: SetEnv) -> SetEnv:
    """Set a time limit, and let tables be known to exist."""
    set_env(AWS_DB_TIMEOUT=str(TIMEOUT), AWS_DB_AUTO_CREATE_TABLES="0")
    return set_env


@pytest.fixture
def raised(limited: SetEnv, backend: Backend) -> Callable[[], list[DbError]]:
    """Return a function that returns what a read, a write and a list raise, each within the limit."""

    def call() -> list[DbError]:
        return [
            _in_time(lambda: get_actor(backend).get("a")),
            _in_time(lambda: get_actor(backend).create("a", "me@example.com", "secret")),
            _in_time(lambda: get_property_list(backend).fetch("a")),
        ]

    return call


def _in_time(call: Call) -> DbError:
    began = time.monotonic()
    with pytest.raises(DbError) as caught:
        call()
    assert time.monotonic() - began < TIMEOUT + GRACE
    return caught.value


@pytest.mark.parametrize(("code", "error", "reason"), ANSWERS)
def test_what_the_service_refuses_says_what_to_do(
    code: str, error: type[DbError], reason: str, backend: Backend, actor_id: str, limited: SetEnv
) -> None:
    with spoiling_proxy(os.environ["AWS_DB_HOST"]) as proxy:
        limited(AWS_DB_HOST=proxy.url)
        calls = requesting(backend, actor_id)
        # A v1 table need not exist or be readable.
        del calls["DbPropertyLookup.get_v1"]
        proxy.always = failing(code)
        for name, call in calls.items():
            before = len(proxy.seen)
            caught = _in_time(call)
            assert type(caught) is error, name
            assert reason in str(caught), name
            assert len(proxy.seen) == before + 1, f"{name} was repeated, which is hopeless"


def test_a_missing_table(raised: Callable[[], list[DbError]], limited: SetEnv) -> None:
    limited(AWS_DB_PREFIX=f"{os.environ['AWS_DB_PREFIX']}absent")
    for error in raised():
        assert type(error) is DbSchemaError
        assert all(part in str(error) for part in ("verify_tables", "AWS_DB_PREFIX", "AWS_DEFAULT_REGION"))


@pytest.mark.parametrize(
    ("host", "to_check"),
    [
        (REFUSING, ["AWS_DB_HOST"]),
        ("http://dynamodb.nowhere-1.invalid", ["AWS_DB_HOST", "AWS_DEFAULT_REGION"]),
    ],
    ids=["refuses", "unknown"],
)
@pytest.mark.parametrize("creating", ["0", "1"])
def test_an_endpoint_out_of_reach(
    host: str, to_check: list[str], creating: str, raised: Callable[[], list[DbError]], limited: SetEnv
) -> None:
    """The second one is what a wrong region makes of the address of AWS."""
    limited(AWS_DB_HOST=host, AWS_DB_AUTO_CREATE_TABLES=creating)
    for error in raised():
        assert type(error) is DbConnectionError
        assert all(part in str(error) for part in to_check)


def test_an_endpoint_that_is_silent(raised: Callable[[], list[DbError]], limited: SetEnv) -> None:
    with silent() as address:
        limited(AWS_DB_HOST=address)
        read, write, listed = raised()
    assert type(read) is type(listed) is DbTimeoutError
    assert type(write) is DbOutcomeUnknownError


@pytest.fixture
def without_credentials(limited: SetEnv, tmp_path: Path) -> SetEnv:
    """Take all credentials away; nothing serves those of a role."""
    limited(
        AWS_ACCESS_KEY_ID=None,
        AWS_SECRET_ACCESS_KEY=None,
        AWS_CONFIG_FILE=str(tmp_path / "config"),
        AWS_SHARED_CREDENTIALS_FILE=str(tmp_path / "credentials"),
        AWS_EC2_METADATA_SERVICE_ENDPOINT=REFUSING,
    )
    return limited


@pytest.mark.parametrize("settings", [{}, {"AWS_EC2_METADATA_DISABLED": "true"}, {"AWS_DB_AUTO_CREATE_TABLES": "1"}])
def test_no_credentials_and_no_role(
    settings: dict[str, str], raised: Callable[[], list[DbError]], without_credentials: SetEnv
) -> None:
    without_credentials(**settings)
    _are(raised(), "no AWS credentials were found")


def test_a_role_whose_credentials_do_not_come(backend: Backend, without_credentials: SetEnv) -> None:
    """The driver would wait for a minute, again and again."""
    without_credentials(AWS_METADATA_SERVICE_TIMEOUT="60", AWS_METADATA_SERVICE_NUM_ATTEMPTS="5")
    for place in (silent, unreachable):
        with place() as address:
            without_credentials(AWS_EC2_METADATA_SERVICE_ENDPOINT=address)
            _are([_in_time(lambda: get_actor(backend).get("a"))], "no AWS credentials were found")


def test_threads_wait_for_credentials_together(backend: Backend, without_credentials: SetEnv) -> None:
    with silent() as address, ThreadPoolExecutor(8) as threads:
        without_credentials(AWS_EC2_METADATA_SERVICE_ENDPOINT=address)
        _are(list(threads.map(lambda _: _in_time(lambda: get_actor(backend).get("a")), range(8))), "no AWS credentials")


def test_credentials_that_turn_up_are_used(backend: Backend, without_credentials: SetEnv, tmp_path: Path) -> None:
    with pytest.raises(DbError):
        get_actor(backend).get("a")
    (tmp_path / "credentials").write_text("[default]\naws_access_key_id = x\naws_secret_access_key = y\n")
    assert get_actor(backend).get("a") is None


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"AWS_ACCESS_KEY_ID": "x"}, "the AWS credentials are incomplete"),
        ({"AWS_PROFILE": "absent"}, "AWS_PROFILE"),
        ({"AWS_CONTAINER_CREDENTIALS_FULL_URI": "http://192.0.2.1/x"}, "could not be fetched"),
        ({"AWS_EC2_METADATA_SERVICE_ENDPOINT": "http://dynamodb.invalid:x"}, "could not be fetched"),
    ],
)
def test_credentials_that_are_set_up_wrongly(
    settings: dict[str, str], reason: str, raised: Callable[[], list[DbError]], without_credentials: SetEnv
) -> None:
    without_credentials(**settings)
    _are(raised(), reason)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("[default]\ncredential_process = /nonexistent/program\n", "could not be fetched"),
        ("[default]\nrole_arn = x\nsource_profile = absent\n", "the AWS configuration file is wrong"),
        ("nonsense", "the AWS configuration file is wrong"),
    ],
)
def test_a_configuration_file_that_is_wrong(
    text: str, reason: str, raised: Callable[[], list[DbError]], without_credentials: SetEnv, tmp_path: Path
) -> None:
    (tmp_path / "config").write_text(text)
    without_credentials()
    _are(raised(), reason)


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (
            b"<ErrorResponse><Error><Code>AccessDenied</Code></Error></ErrorResponse>",
            "the service that gives the AWS credentials refused with AccessDenied",
        ),
        (b"a page of a proxy", "could not be fetched"),
    ],
)
def test_a_role_that_may_not_be_assumed(
    answer: bytes, reason: str, raised: Callable[[], list[DbError]], without_credentials: SetEnv, tmp_path: Path
) -> None:
    (tmp_path / "config").write_text("[default]\nrole_arn = arn:aws:iam::123456789012:role/app\nsource_profile = app\n")
    (tmp_path / "credentials").write_text("[app]\naws_access_key_id = x\naws_secret_access_key = y\n")
    with scripted(lambda _: reply(answer, 403)) as server:
        without_credentials(AWS_ENDPOINT_URL_STS=server.url)
        _are(raised(), reason)
    without_credentials(AWS_ENDPOINT_URL_STS=REFUSING, AWS_MAX_ATTEMPTS="1")
    _are(raised(), "could not be fetched")


KEYS = '{"Version": 1, "AccessKeyId": "x", "SecretAccessKey": "y", "SessionToken": "z", "Expiration": '


@pytest.mark.parametrize(
    "printed", ["nonsense", "[]", '{"Version": 1}', f'{KEYS}"long ago"}}', f'{KEYS}"2020-01-01T00:00:00Z"}}']
)
def test_a_program_that_gives_nonsense_or_expired_credentials(
    printed: str, raised: Callable[[], list[DbError]], without_credentials: SetEnv, tmp_path: Path
) -> None:
    (tmp_path / "printed").write_text(printed)
    (tmp_path / "config").write_text(f"[default]\ncredential_process = cat {tmp_path / 'printed'}\n")
    without_credentials()
    _are(raised(), "could not be fetched")


def test_a_bundle_of_certificates_that_does_not_exist(
    raised: Callable[[], list[DbError]], limited: SetEnv, tmp_path: Path
) -> None:
    for bundle in ("absent", "nonsense"):
        (tmp_path / "nonsense").write_text("nonsense")
        limited(AWS_DB_HOST="https://localhost:1", AWS_CA_BUNDLE=str(tmp_path / bundle))
        _are(raised(), "the trusted certificates cannot be read: check AWS_CA_BUNDLE")


def test_an_endpoint_of_the_aws_settings_that_is_no_url(raised: Callable[[], list[DbError]], limited: SetEnv) -> None:
    limited(AWS_DB_HOST=None, AWS_ENDPOINT_URL_DYNAMODB="not a URL")
    _are(raised(), "the URL of the endpoint is not valid: check AWS_DB_HOST")


def test_a_proxy_that_only_botocore_can_use(
    raised: Callable[[], list[DbError]], limited: SetEnv, environment: pytest.MonkeyPatch
) -> None:
    environment.setenv("HTTPS_PROXY", "https://127.0.0.1:1")
    limited(AWS_DB_HOST="https://localhost:1", AWS_DB_TRANSPORT="wire")
    for error in raised():
        assert type(error) is DbConnectionError
        assert "does not begin with http://" in str(error)


def _are(errors: list[DbError], reason: str) -> None:
    assert [(type(error), reason in str(error)) for error in errors] == [(DbError, True)] * len(errors)


@contextmanager
def silent() -> Iterator[str]:
    """Yield an address that takes connections and never answers."""
    with socket.create_server(("127.0.0.1", 0), backlog=64) as server:
        yield _url(server)


@contextmanager
def unreachable() -> Iterator[str]:
    """Yield an address that lets no connection come about: its queue is full."""
    with ExitStack() as stack:
        server = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))
        for _ in range(4):
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(server.getsockname())
        yield _url(server)


def _url(server: socket.socket) -> str:
    return f"http://127.0.0.1:{server.getsockname()[1]}"
