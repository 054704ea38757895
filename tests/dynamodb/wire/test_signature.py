"""Signatures equal those of botocore byte for byte, and AWS's published examples."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from unittest.mock import patch

import pytest
from botocore import auth
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from botocore.session import Session

from actingweb.db.dynamodb.wire.endpoint import Endpoint
from actingweb.db.dynamodb.wire.failures import InvalidCredentialsError
from actingweb.db.dynamodb.wire.messages import DYNAMODB, STREAMS, Target, encoded, headers_of
from actingweb.db.dynamodb.wire.service import Service
from actingweb.db.dynamodb.wire.signature import Signer

ACCESS, SECRET = "AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
TIME = "20150830T123600Z"
TOKEN = (
    "AQoDYXdzEPT//////////wEXAMPLEtc764bNrC9SAPBSM22wDOk4x4HIZ8j4FZTwdQWLWsKWHGBuFqwAeMicRXmxfpSPfIeoIYRqTflfKD8YUuwthA"
    "x7mSEI/qkPpKPi/kMcGdQrmGdeehM4IC1NtBmUpp2wUE8phUZampKsburEDy0KPkyQDYwT7WZ0wq5VSXDvp75YU9HFvlRd8Tx6q6fE8YQcHNVXAkiY"
    "9q6d+xo0rKwT38xVqr7ZD0u0iPPkUL64lIZbqBAz+scqKmlzm8FDrypNC9Yjc8fPOLn9FX9KSYvKTr4rvx3iSIlTJabIQwj2ICCR/oLxBA=="
)

CASES = 4000
ALPHABETS = ["abc XYZ", "äöü ß€", "漢字かな", "😀🧑‍🚀", '"\\/\n\t\x00\x7f', "+-_.~!*'()%&=;:@"]
URLS = [
    "https://dynamodb.eu-west-1.amazonaws.com",
    "https://dynamodb.cn-north-1.amazonaws.com.cn/",
    "https://DynamoDB.Example.com:8443",
    "http://localhost:8000",
    "http://127.0.0.1:80",
    "https://127.0.0.1:443",
    "http://[::1]:8000",
    "https://[2001:db8::1]",
    "https://vpce-1.example.com/a/b",
    "http://example.com/with space/ü",
    "http://example.com/a/./b/../c//d~e",
    "http://example.com/100%25/x%20y",
    "http://user:password@example.com:8000/",
]


class Chance(random.Random):
    """A source of requests."""

    def text(self, longest: int) -> str:
        """Return a text of few alphabets."""
        letters = "".join(self.sample(ALPHABETS, self.randint(1, 3)))
        return "".join(self.choices(letters, k=self.randint(0, longest)))

    def key(self, length: int) -> str:
        """Return a text as keys and tokens are."""
        return "".join(self.choices("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789/+=", k=length))


def test_thousands_of_requests() -> None:
    chance = Chance(13)
    session = Session()
    services = [Service(session, "eu-west-1", url, api) for url in URLS for api in (DYNAMODB, STREAMS)]
    for number in range(CASES):
        number_of_service = chance.randrange(len(services))
        url, service = URLS[number_of_service // 2], services[number_of_service]
        region = chance.choice(["eu-west-1", "us-gov-west-1", "cn-north-1", "local"])
        token = chance.key(chance.randint(1, 900)) if chance.random() < 0.5 else None
        access, secret = chance.key(20), chance.text(40) or "x"
        operation = chance.choice(["GetItem", "PutItem", "TransactWriteItems", "GetRecords"])
        body = encoded({chance.text(20): {"S": chance.text(chance.choice([10, 3000]))}})
        moment = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=chance.randint(0, 400_000_000))

        target = service.target(Endpoint(url, region))
        signer = Signer(access, secret, token, region)
        signed = dict(headers_of(target, signer, operation, body, moment.strftime("%Y%m%dT%H%M%SZ")))
        theirs = {name: value for name, value in signed.items() if name in ("content-type", "x-amz-target")}
        request = AWSRequest("POST", url, theirs, body)
        with patch.object(auth, "get_current_datetime", lambda moment=moment: moment):
            SigV4Auth(Credentials(access, secret, token), "dynamodb", region).add_auth(request)

        assert signed["authorization"] == request.headers["Authorization"], f"case {number}: {url}"
        assert signed["x-amz-date"] == request.headers["X-Amz-Date"]
        assert signed.get("x-amz-security-token") == request.headers.get("X-Amz-Security-Token")
        assert signed["x-amz-target"] == f"{service.api.version}{operation}"
        assert signed["host"] == auth._host_from_url(url)  # type: ignore[attr-defined]


def test_a_signer_serves_many_days_and_turns_of_the_day() -> None:
    signer = Signer(ACCESS, SECRET, None, "us-east-1")
    for time in ("20260101T235959Z", "20260102T000000Z", "20260101T235959Z", "20270102T000000Z"):
        fresh = Signer(ACCESS, SECRET, None, "us-east-1")
        assert signer.authorization("/", [("host", "h")], b"", time) == fresh.authorization(
            "/", [("host", "h")], b"", time
        )


def published(headers: list[tuple[str, str]], body: bytes = b"", token: str | None = None) -> str:
    """Return the signature of a published example."""
    headers = [("host", "example.amazonaws.com"), ("x-amz-date", TIME), *headers]
    signer = Signer(ACCESS, SECRET, token, "us-east-1", "service")
    return signer.authorization("/", sorted(headers), body, TIME).rpartition("=")[2]


@pytest.mark.parametrize(
    ("headers", "body", "signature"),
    [
        ([], b"", "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b"),
        ([("my-header1", "value1")], b"", "c5410059b04c1ee005303aed430f6e6645f61f4dc9e1461ec8f8916fdf18852c"),
        (
            [("x-amz-security-token", TOKEN)],
            b"",
            "85d96828115b5dc0cfc3bd16ad9e210dd772bbebba041836c64533a82be05ead",
        ),
        (
            [("content-type", "application/x-www-form-urlencoded")],
            b"Param1=value1",
            "ff11897932ad3f4e8b18135d722051e5ac45fc38421b1da7b9d196a0fe09473a",
        ),
        (
            [("content-type", "application/x-www-form-urlencoded; charset=utf8")],
            b"Param1=value1",
            "1a72ec8f64bd914b0e42e42607c7fbce7fb2c7465f63e3092b3b0d39fa77a6fe",
        ),
        ([("my-header1", "VALUE1")], b"", "cdbc9802e29d2942e5e10b5bccfdd67c5f22c7c4e8ae67b53629efa58b974b7d"),
    ],
    ids=[
        "post-vanilla",
        "post-header-key-sort",
        "post-sts-header-before",
        "post-x-www-form-urlencoded",
        "post-x-www-form-urlencoded-parameters",
        "post-header-value-case",
    ],
)
def test_published_examples(headers: list[tuple[str, str]], body: bytes, signature: str) -> None:
    assert published(headers, body) == signature


@pytest.mark.parametrize("text", ["with\nline end", "ünicode", " space around ", "nul\x00"])
def test_what_no_header_can_carry_is_refused_before_anything_is_sent(text: str) -> None:
    for access, token in ((text, None), ("x", text)):
        with pytest.raises(InvalidCredentialsError) as raised:
            Signer(access, "secret", token, "eu-west-1")
        assert text.strip() not in repr(raised.value)


def test_no_secret_is_in_a_representation() -> None:
    assert "secret" not in repr(Signer("access", "secret", "secret", "eu-west-1"))
    assert "secret" not in repr(Target("host"))
