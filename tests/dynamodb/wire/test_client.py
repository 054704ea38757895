"""TLS, proxies, credentials that change, wrong clocks, and what nobody may read."""

from __future__ import annotations

import gc
import json
import logging
import re
import ssl
import sys
import threading
import time
import traceback
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from email.utils import formatdate
from hashlib import sha1
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import pytest
from botocore.exceptions import CredentialRetrievalError
from botocore.session import Session

import actingweb.db
from actingweb.db.dynamodb.transport import forget_transports, transport_to
from actingweb.db.dynamodb.wire.client import Client
from actingweb.db.dynamodb.wire.connections import Limits
from actingweb.db.dynamodb.wire.failures import (
    NotConnectedError,
    ProxyError,
    ProxyRefusedError,
    ProxyUrlError,
    ServiceError,
    TlsError,
    WireError,
)
from actingweb.db.dynamodb.wire.fallback import FallbackClient
from actingweb.migration.source.endpoint import Endpoint
from tests.conftest import SetEnv
from tests.faults.certificates import Authority

from .conftest import Make
from .servers import Reply, ScriptedServer, Seen, forward_proxy, reply, scripted

AMPLE = Limits(60, 60)


def echo(seen: Seen) -> Reply:
    return reply(json.loads(seen.body))


def get(client: Client, **request: object) -> dict[str, object]:
    return client.send("GetItem", request, AMPLE)


def signed_by(seen: Seen) -> str:
    """Return the access key that signed a request."""
    return seen.headers["authorization"].partition("Credential=")[2].partition("/")[0]


def served(authority: Authority, host: str) -> ssl.SSLContext:
    """Return what serves with a certificate for a host."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*authority.issue(host))
    return context


@pytest.fixture
def trusted(authority: Authority, set_env: SetEnv) -> Authority:
    """Let AWS_CA_BUNDLE name the authority."""
    set_env(AWS_CA_BUNDLE=str(authority.certificate))
    return authority


def local(server: ScriptedServer) -> str:
    """Return the URL of a server by the name of this machine."""
    return f"{server.url.partition('://')[0]}://localhost:{server.port}"


class TestTls:
    def test_a_certificate_that_is_trusted(self, make: Make, trusted: Authority) -> None:
        with scripted(echo, served(trusted, "localhost")) as server:
            client = make(local(server))
            assert [get(client, Number=number) for number in range(3)] == [{"Number": number} for number in range(3)]
            assert server.accepted == 1
            assert server.seen[0].headers["host"] == f"localhost:{server.port}"

    def test_an_address_in_a_certificate(self, make: Make, trusted: Authority) -> None:
        with scripted(echo, served(trusted, "127.0.0.1")) as server:
            assert get(make(server.url)) == {}

    @pytest.mark.parametrize("host", ["another.example", "127.0.0.1"])
    def test_a_certificate_of_another_host(self, make: Make, trusted: Authority, host: str) -> None:
        with scripted(echo, served(trusted, host)) as server:
            self._is_refused(make(local(server)), server)

    def test_a_certificate_of_an_authority_that_nobody_trusts(self, make: Make, authority: Authority) -> None:
        with scripted(echo, served(authority, "localhost")) as server:
            self._is_refused(make(local(server)), server)

    def test_a_server_without_tls(self, make: Make, trusted: Authority) -> None:
        with scripted(echo) as server:
            self._is_refused(make(local(server).replace("http:", "https:")), server)

    def test_a_server_that_hangs_up_in_the_handshake(self, wire: Make, trusted: Authority) -> None:
        context = served(trusted, "localhost")
        context.minimum_version = ssl.TLSVersion.TLSv1_3
        with scripted(lambda _: None) as server, pytest.raises((NotConnectedError, TlsError)) as raised:
            get(wire(local(server).replace("http:", "https:")))
        assert not raised.value.executed

    def test_a_bundle_that_does_not_exist(self, make: Make, set_env: SetEnv) -> None:
        set_env(AWS_CA_BUNDLE="/nowhere/ca.pem")
        with pytest.raises(FileNotFoundError):
            make("https://localhost:1")

    def test_a_large_request_and_answer(self, make: Make, trusted: Authority) -> None:
        with scripted(echo, served(trusted, "localhost")) as server:
            request = {"Value": {"S": "x" * 4_000_000}}
            assert get(make(local(server)), **request) == request

    def test_a_connection_that_was_closed_while_idle(self, wire: Make, trusted: Authority) -> None:
        with scripted(lambda seen: [*_one(echo(seen)), b""], served(trusted, "localhost")) as server:
            client = wire(local(server))
            for number in range(4):
                assert get(client, Number=number) == {"Number": number}
                time.sleep(0.1)
            assert len(server.seen) == 4

    def test_many_threads(self, make: Make, trusted: Authority) -> None:
        with scripted(echo, served(trusted, "localhost")) as server, ThreadPoolExecutor(8) as threads:
            client = make(local(server))
            found = list(threads.map(lambda number: get(client, Number=number), range(200)))
            assert found == [{"Number": number} for number in range(200)]

    @staticmethod
    def _is_refused(client: Client, server: ScriptedServer) -> None:
        with pytest.raises(TlsError) as raised:
            get(client)
        assert not raised.value.executed
        assert server.seen == []


def _one(pieces: Reply) -> list[bytes]:
    return [pieces] if isinstance(pieces, bytes) else list(pieces or ())


class TestProxies:
    @pytest.mark.parametrize("password", [None, "p@ss:w/ord"])
    def test_a_tunnel(
        self, make: Make, trusted: Authority, environment: pytest.MonkeyPatch, password: str | None
    ) -> None:
        with scripted(echo, served(trusted, "localhost")) as server, forward_proxy(password) as proxy:
            user = "user:p%40ss%3Aw%2Ford@" if password else ""
            environment.setenv("HTTPS_PROXY", f"http://{user}{proxy.place}")
            client = make(local(server))
            assert [get(client, Number=number) for number in range(3)] == [{"Number": number} for number in range(3)]
            assert proxy.tunnels == [f"localhost:{server.port}"]
            assert "proxy-authorization" not in server.seen[0].headers

    def test_the_host_is_checked_behind_a_proxy(
        self, make: Make, trusted: Authority, environment: pytest.MonkeyPatch
    ) -> None:
        with scripted(echo, served(trusted, "another.example")) as server, forward_proxy() as proxy:
            environment.setenv("HTTPS_PROXY", f"http://{proxy.place}")
            with pytest.raises(TlsError):
                get(make(local(server)))
            assert proxy.tunnels
            assert server.seen == []

    @pytest.mark.parametrize("password", [None, "secret"])
    def test_forwarding(self, make: Make, environment: pytest.MonkeyPatch, password: str | None) -> None:
        with scripted(echo) as server, forward_proxy(password) as proxy:
            user = f"user:{password}@" if password else ""
            environment.setenv("HTTP_PROXY", f"http://{user}{proxy.place}")
            client = make(server.url)
            assert [get(client, Number=number) for number in range(3)] == [{"Number": number} for number in range(3)]
            assert [url.rstrip("/") for url in proxy.forwarded] == [server.url] * 3
            assert "proxy-authorization" not in server.seen[0].headers

    @pytest.mark.parametrize("secured", [True, False])
    def test_a_wrong_password(
        self, wire: Make, trusted: Authority, environment: pytest.MonkeyPatch, secured: bool
    ) -> None:
        tls = served(trusted, "localhost") if secured else None
        with scripted(echo, tls) as server, forward_proxy("right") as proxy:
            for name in ("HTTPS_PROXY", "HTTP_PROXY"):
                environment.setenv(name, f"http://user:the-wrong-one@{proxy.place}")
            with pytest.raises(ProxyRefusedError, match="407") as raised:
                get(wire(local(server)))
            assert not raised.value.executed
            assert "the-wrong-one" not in "".join(traceback.format_exception(raised.value))
            assert server.seen == []

    def test_a_proxy_that_is_not_there(self, make: Make, environment: pytest.MonkeyPatch) -> None:
        environment.setenv("HTTPS_PROXY", "http://user:secret@127.0.0.1:1")
        with pytest.raises(ProxyError) as raised:
            get(make("https://localhost:2"))
        assert type(raised.value) is ProxyError
        assert not raised.value.executed
        assert "secret" not in "".join(traceback.format_exception(raised.value))

    def test_a_server_that_the_proxy_does_not_reach(self, make: Make, environment: pytest.MonkeyPatch) -> None:
        with forward_proxy() as proxy:
            environment.setenv("HTTPS_PROXY", f"http://{proxy.place}")
            with pytest.raises(ProxyError) as raised:
                get(make("https://localhost:1"))
            assert type(raised.value) is ProxyError
            assert not raised.value.executed

    def test_a_proxy_that_speaks_tls_is_for_the_fallback(
        self, keys: None, trusted: Authority, environment: pytest.MonkeyPatch
    ) -> None:
        """The wire client would have to speak TLS within TLS."""
        tls = served(trusted, "localhost")
        with scripted(echo, tls) as server, forward_proxy("secret", tls) as proxy:
            environment.setenv("HTTPS_PROXY", f"https://user:secret@localhost:{proxy.server_address[1]}")
            with pytest.raises(ProxyUrlError, match="AWS_DB_TRANSPORT=botocore"):
                Client(Session(), "eu-west-1", local(server))
            with closing(FallbackClient(Session(), "eu-west-1", local(server))) as client:
                assert [get(client, Number=number) for number in range(2)] == [{"Number": 0}, {"Number": 1}]
            assert proxy.tunnels == [f"localhost:{server.port}"]

    def test_no_proxy(self, make: Make, environment: pytest.MonkeyPatch) -> None:
        environment.setenv("HTTP_PROXY", "http://127.0.0.1:1")
        environment.setenv("NO_PROXY", "127.0.0.1")
        with scripted(echo) as server:
            assert get(make(server.url)) == {}


PROGRAM = """
import datetime, json, pathlib
count = pathlib.Path(__file__).with_suffix(".count")
number = int(count.read_text()) + 1 if count.exists() else 1
count.write_text(str(number))
if number >= {last}:
    raise SystemExit("no more")
expires = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(seconds={seconds})
keys = {{"AccessKeyId": f"AKPROG{{number}}", "SecretAccessKey": "secret", "SessionToken": f"token{{number}}"}}
print(json.dumps({{"Version": 1, "Expiration": expires.isoformat(), **keys}}))
"""


@contextmanager
def program(directory: Path, seconds: int, last: int = 1000) -> Iterator[None]:
    """Let a program give the credentials, which expire after so many seconds; from its call `last` on it fails."""
    script = directory / "program.py"
    script.write_text(PROGRAM.format(seconds=seconds, last=last))
    (directory / "config").write_text(f"[default]\ncredential_process = {sys.executable} {script}\n")
    yield


GIVEN = {
    "Code": "Success",
    "AccessKeyId": "AKGIVEN",
    "SecretAccessKey": "x",
    "Token": "given",
    "Expiration": (datetime.now(UTC) + timedelta(days=1)).strftime("%Y-%m-%dT%H:%M:%SZ"),
}
"""Credentials, as the host gives them."""


def security_tokens(seen: Seen) -> Reply:
    """Answer as STS does."""
    action = parse_qs(seen.body.decode())["Action"][0]
    keys = "".join(
        f"<{name}>{GIVEN[given]}</{name}>"
        for name, given in {
            "AccessKeyId": "AccessKeyId",
            "SecretAccessKey": "SecretAccessKey",
            "SessionToken": "Token",
            "Expiration": "Expiration",
        }.items()
    )
    user = "<AssumedRoleUser><Arn>arn:aws:sts::1:assumed-role/app/x</Arn></AssumedRoleUser>"
    result = f"<{action}Result><Credentials>{keys}</Credentials>{user}</{action}Result>"
    return reply(f"<{action}Response>{result}</{action}Response>".encode())


@pytest.fixture
def without_keys(keys: None, set_env: SetEnv) -> None:
    """Let no variable name a key."""
    set_env(AWS_ACCESS_KEY_ID=None, AWS_SECRET_ACCESS_KEY=None)


class TestCredentials:
    def test_expired_ones_are_refreshed_by_a_program(self, make: Make, without_keys: None, tmp_path: Path) -> None:
        """It gives such as are to be refreshed at once."""
        with program(tmp_path, seconds=60), scripted(echo) as server:
            client = make(server.url)
            for number in range(4):
                assert get(client, Number=number) == {"Number": number}
            keys = [signed_by(seen) for seen in server.seen]
            assert len(set(keys)) == 4
            assert [seen.headers["x-amz-security-token"] for seen in server.seen] == [
                key.replace("AKPROG", "token") for key in keys
            ]
            assert server.accepted == 1

    def test_those_that_last_are_asked_for_once(self, make: Make, without_keys: None, tmp_path: Path) -> None:
        with program(tmp_path, seconds=3600), scripted(echo) as server, ThreadPoolExecutor(8) as threads:
            client = make(server.url)
            list(threads.map(lambda number: get(client, Number=number), range(50)))
            assert {signed_by(seen) for seen in server.seen} == {"AKPROG1"}

    def test_a_program_that_fails_at_last(self, make: Make, without_keys: None, tmp_path: Path) -> None:
        """Nothing is sent that is signed by expired keys."""
        with program(tmp_path, seconds=-1, last=2), scripted(echo) as server:
            with pytest.raises((CredentialRetrievalError, RuntimeError)):
                get(make(server.url))
            assert server.seen == []

    def test_those_of_a_container(self, make: Make, without_keys: None, set_env: SetEnv) -> None:
        number = 0

        def credentials(seen: Seen) -> Reply:
            nonlocal number
            number += 1
            assert seen.headers["authorization"] == "the token"
            expires = datetime.now(UTC) + timedelta(seconds=60)
            content = {"AccessKeyId": f"AKCONT{number}", "SecretAccessKey": "x", "Token": f"token{number}"}
            return reply(
                content | {"Expiration": expires.strftime("%Y-%m-%dT%H:%M:%SZ")}, headers="Connection: close\r\n"
            )

        with scripted(credentials) as container, scripted(echo) as server:
            set_env(
                AWS_CONTAINER_CREDENTIALS_FULL_URI=f"{container.url}/credentials",
                AWS_CONTAINER_AUTHORIZATION_TOKEN="the token",
            )
            client = make(server.url)
            assert client.credentials.method == "container-role"
            assert [get(client), get(client)] == [{}, {}]
            assert len({signed_by(seen) for seen in server.seen}) == 2

    def test_those_of_a_role(self, make: Make, without_keys: None, set_env: SetEnv, tmp_path: Path) -> None:
        (tmp_path / "config").write_text("[default]\nrole_arn = arn:aws:iam::1:role/app\nsource_profile = app\n")
        (tmp_path / "credentials").write_text("[app]\naws_access_key_id = AKAPP\naws_secret_access_key = x\n")
        with scripted(security_tokens) as service, scripted(echo) as server:
            set_env(AWS_ENDPOINT_URL_STS=service.url)
            self._are_used(make(server.url), "assume-role", server)
            assert b"Action=AssumeRole&" in service.seen[0].body
            assert signed_by(service.seen[0]) == "AKAPP"

    def test_those_of_a_web_identity(self, make: Make, without_keys: None, set_env: SetEnv, tmp_path: Path) -> None:
        (tmp_path / "identity").write_text("the-identity")
        with scripted(security_tokens) as service, scripted(echo) as server:
            set_env(
                AWS_ENDPOINT_URL_STS=service.url,
                AWS_ROLE_ARN="arn:aws:iam::1:role/app",
                AWS_WEB_IDENTITY_TOKEN_FILE=str(tmp_path / "identity"),
            )
            self._are_used(make(server.url), "assume-role-with-web-identity", server)
            assert b"WebIdentityToken=the-identity" in service.seen[0].body

    def test_those_of_the_host(self, make: Make, without_keys: None, set_env: SetEnv) -> None:
        def metadata(seen: Seen) -> Reply:
            if seen.path == "/latest/api/token":
                return reply(b"the-metadata-token")
            assert seen.headers["x-aws-ec2-metadata-token"] == "the-metadata-token"
            if seen.path.endswith("/security-credentials/"):
                return reply(b"the-role")
            assert seen.path.endswith("/security-credentials/the-role")
            return reply(GIVEN)

        with scripted(metadata) as service, scripted(echo) as server:
            set_env(AWS_EC2_METADATA_DISABLED=None, AWS_EC2_METADATA_SERVICE_ENDPOINT=service.url)
            self._are_used(make(server.url), "iam-role", server)

    def test_those_of_single_sign_on(
        self, make: Make, without_keys: None, set_env: SetEnv, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        start = "https://start.example"
        (tmp_path / "config").write_text(
            f"[default]\nsso_start_url = {start}\nsso_region = eu-west-1\nsso_account_id = 1\nsso_role_name = app\n"
        )
        login = {"accessToken": "the-login", "expiresAt": GIVEN["Expiration"]}
        (tmp_path / f"{sha1(start.encode()).hexdigest()}.json").write_text(json.dumps(login))
        # Where `aws sso login` leaves it, in the home directory.
        monkeypatch.setattr("botocore.credentials.SSOProvider._SSO_TOKEN_CACHE_DIR", str(tmp_path))

        def portal(seen: Seen) -> Reply:
            assert seen.headers["x-amz-sso_bearer_token"] == "the-login"
            expires = datetime.fromisoformat(GIVEN["Expiration"]).timestamp() * 1000
            keys = {"accessKeyId": "AKGIVEN", "secretAccessKey": "x", "sessionToken": "given", "expiration": expires}
            return reply({"roleCredentials": keys})

        with scripted(portal) as service, scripted(echo) as server:
            set_env(AWS_ENDPOINT_URL_SSO=service.url)
            self._are_used(make(server.url), "sso", server)

    @staticmethod
    def _are_used(client: Client, method: str, server: ScriptedServer) -> None:
        assert [get(client), get(client)] == [{}, {}]
        assert client.credentials.method == method
        assert [(signed_by(seen), seen.headers["x-amz-security-token"]) for seen in server.seen] == [
            ("AKGIVEN", "given")
        ] * 2

    def test_an_account_moves_requests_to_its_endpoint(self, wire: Make, without_keys: None, tmp_path: Path) -> None:
        (tmp_path / "credentials").write_text(
            "[default]\naws_access_key_id = x\naws_secret_access_key = y\naws_account_id = 123456789012\n"
        )
        assert wire(None).url == "https://123456789012.ddb.eu-west-1.amazonaws.com"


class Watch:
    """A server whose clock is so many seconds ahead, and that takes no signature of another time."""

    def __init__(self, ahead: float, code: str = "InvalidSignatureException") -> None:
        self.ahead = ahead
        self.refused = 0
        self._code = code

    def __call__(self, seen: Seen) -> Reply:
        now = time.time() + self.ahead
        date = formatdate(now, usegmt=True)
        signed = datetime.strptime(seen.headers["x-amz-date"], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC).timestamp()
        if abs(now - signed) <= 300:
            return reply(json.loads(seen.body), date=date)
        self.refused += 1
        error = {"__type": f"com.amazon.coral.service#{self._code}", "message": "Signature expired: ..."}
        return reply(error, 400, date=date)


class TestClock:
    @pytest.mark.parametrize("hours", [1, -1, 24 * 400])
    def test_a_wrong_clock_is_learned_once(self, wire: Make, hours: int) -> None:
        watch = Watch(3600.0 * hours)
        with scripted(watch) as server:
            client = wire(server.url)
            assert [get(client, Number=number) for number in range(5)] == [{"Number": number} for number in range(5)]
            assert watch.refused == 1

    def test_threads_that_all_begin_with_a_wrong_clock(self, wire: Make) -> None:
        watch, barrier = Watch(3600.0), threading.Barrier(8)

        def first(number: int) -> dict[str, object]:
            barrier.wait(60)
            return get(client, Number=number)

        with scripted(watch) as server, ThreadPoolExecutor(8) as threads:
            client = wire(server.url)
            assert list(threads.map(first, range(8))) == [{"Number": number} for number in range(8)]

    def test_a_clock_that_is_put_right_is_learned_again(self, wire: Make) -> None:
        watch = Watch(3600.0)
        with scripted(watch) as server:
            client = wire(server.url)
            get(client)
            watch.ahead = 0.0
            assert [get(client), get(client)] == [{}, {}]
            assert watch.refused == 2

    def test_a_signature_that_is_wrong_for_another_reason_is_not_repeated(self, make: Make) -> None:
        error = {"__type": "com.amazon.coral.service#InvalidSignatureException", "message": "does not match"}
        with scripted(lambda _: reply(error, 400)) as server:
            with pytest.raises(ServiceError) as raised:
                get(make(server.url))
            assert raised.value.code == "InvalidSignatureException"
            assert len(server.seen) == 1

    def test_another_error_with_a_strange_date_is_not_repeated(self, make: Make) -> None:
        error = {"__type": "x#AccessDeniedException", "message": "no"}
        with scripted(lambda _: reply(error, 400, date="Thu, 01 Jan 1970 00:00:00 GMT")) as server:
            with pytest.raises(ServiceError):
                get(make(server.url))
            assert len(server.seen) == 1

    @pytest.mark.parametrize("date", ["nonsense", "Thu, 99 Xxx 2026", "0"])
    def test_a_date_that_is_none(self, wire: Make, date: str) -> None:
        error = {"__type": "x#InvalidSignatureException", "message": "no"}
        with scripted(lambda _: reply(error, 400, date=date)) as server, pytest.raises(ServiceError):
            get(wire(server.url))

    def test_a_clock_that_is_never_right(self, wire: Make) -> None:
        error = {"__type": "x#RequestTimeTooSkewed", "message": "no"}
        dates = iter(range(1000))
        with scripted(lambda _: reply(error, 400, date=formatdate(next(dates) * 100_000, usegmt=True))) as server:
            with pytest.raises(ServiceError):
                get(wire(server.url))
            assert len(server.seen) == 2


class TestSilence:
    """No secret in logs, errors, representations and tracebacks."""

    VALUE = "the-secret-value"
    SECRETS = ("the-secret-key", "the-session-token", VALUE, "Signature=")

    @pytest.fixture
    def client(self, make: Make, set_env: SetEnv) -> Iterator[tuple[Client, ScriptedServer]]:
        set_env(AWS_SESSION_TOKEN="the-session-token")
        with scripted(echo) as server:
            yield make(server.url), server

    def test_no_log(self, client: tuple[Client, ScriptedServer], caplog: pytest.LogCaptureFixture) -> None:
        sender, server = client
        with caplog.at_level(logging.DEBUG):
            get(sender, Item={"value": {"S": self.VALUE}})
            server.script = lambda _: None
            with pytest.raises(WireError):
                get(sender, Item={"value": {"S": self.VALUE}})
        assert not [secret for secret in self.SECRETS if secret in caplog.text]

    def test_no_error(self, client: tuple[Client, ScriptedServer]) -> None:
        sender, server = client
        error = {"__type": "x#Y", "message": self.VALUE, "Item": {"value": {"S": self.VALUE}}}
        for pieces in (reply(error, 400), reply(self.VALUE.encode()), [self.VALUE.encode() + b"\r\n\r\n", b""], None):
            server.script = lambda _, pieces=pieces: pieces  # type: ignore[misc]
            with pytest.raises(WireError) as raised:
                get(sender, Item={"value": {"S": self.VALUE}})
            text = "".join(traceback.format_exception(raised.value)) + repr(raised.value)
            assert not [secret for secret in self.SECRETS if secret in text]

    def test_no_representation(self, client: tuple[Client, ScriptedServer]) -> None:
        sender, _ = client
        parts: list[Any] = [sender, sender.credentials, sender.credentials.keys(), *vars(sender).values()]
        assert not [secret for secret in self.SECRETS if secret in repr(parts)]


def test_requests_say_whose_they_are(make: Make) -> None:
    with scripted(echo) as server:
        get(make(server.url))
        headers = server.seen[0].headers
        assert headers["user-agent"] == f"actingweb-db/{actingweb.db.__version__}"
        assert headers["content-type"] == "application/x-amz-json-1.0"
        assert headers["x-amz-target"] == "DynamoDB_20120810.GetItem"
        assert re.fullmatch(
            r"AWS4-HMAC-SHA256 Credential=AKTEST/\d{8}/eu-west-1/dynamodb/aws4_request, .*", headers["authorization"]
        )


def test_a_client_is_shared_from_its_first_request_on(wire: Make) -> None:
    barrier = threading.Barrier(8)

    def first(number: int) -> dict[str, object]:
        barrier.wait(60)
        return get(client, Number=number)

    with scripted(echo) as server, ThreadPoolExecutor(8) as threads:
        client = wire(server.url)
        assert list(threads.map(first, range(8))) == [{"Number": number} for number in range(8)]


@pytest.mark.parametrize("secured", [True, False])
def test_a_client_that_is_dropped_closes_its_connections(keys: None, trusted: Authority, secured: bool) -> None:
    """A socket that is left open would fail this test, whatever else is collected with it."""
    with scripted(echo, served(trusted, "localhost") if secured else None) as server:
        client = Client(Session(), "eu-west-1", local(server))
        get(client)
        cycle: list[Any] = [client]
        cycle.append(cycle)
        del client, cycle
        gc.collect()


@pytest.mark.parametrize(("named", "kind"), [(None, Client), ("wire", Client), ("botocore", FallbackClient)])
def test_the_setting_chooses_what_sends_requests(
    named: str | None, kind: type[Client], keys: None, set_env: SetEnv
) -> None:
    set_env(AWS_DB_TRANSPORT=named)
    with scripted(echo) as server:
        transport = transport_to("eu-west-1", server.url)
        assert transport.call("GetItem", {"Number": 1}, repeatable=True) == ({"Number": 1}, False)
        assert type(transport._client) is kind
        assert type(Endpoint("eu-west-1", server.url, None, 1)._client) is kind
        forget_transports()
