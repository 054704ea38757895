"""Tables of DynamoDB, read in parallel."""

from __future__ import annotations

import json
import logging
import os
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from actingweb.migration.batches import Batch
from actingweb.migration.documents import document_of
from actingweb.migration.errors import SourceError, UsageError
from actingweb.migration.source import endpoint
from actingweb.migration.source.endpoint import RetryLimits
from testbed.dynamodb_proxy import Spoiler, dropped, failing, late, lost, raw, spoiling_proxy
from tests.conftest import SetEnv
from tests.migration.deployment import (
    ACTORS,
    PROPERTIES,
    SUSPENSIONS,
    SmallPages,
    create_table,
    documents_in,
    in_order,
    properties,
    source_of,
    store,
    whole,
)
from tests.support import ddb_table, new_id

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

pytestmark = pytest.mark.usefixtures("deployment")

_IMPATIENT = RetryLimits(throttled=0.2, failed=0.2)
_ITEM: dict[str, Any] = {
    "id": {"S": "a"},
    "text": {"S": 'tab\t "quoted" \x00 größe \U0001f600 \u2028'},
    "empty": {"S": ""},
    "number": {"N": "9" * 38},
    "scale": {"N": "-12.5"},
    "yes": {"BOOL": True},
    "none": {"NULL": True},
    "set": {"SS": ["b"]},
    "numbers": {"NS": ["1"]},
    "list": {"L": [{"N": "1"}, {"S": "x"}, {"NULL": True}]},
    "map": {"M": {"S": {"S": "not a text itself"}}},
    "bytes": {"B": b"\x00\xff"},
}


@pytest.mark.parametrize("segments", [1, 4, 40])
def test_every_row_is_read_once(ddb: DynamoDBClient, segments: int) -> None:
    stored = properties(200, "x" * 20_000)
    store(ddb, PROPERTIES, stored)
    batches = whole(source_of(segments=segments), PROPERTIES)
    assert documents_in(batches) == in_order(stored)
    assert {batch.stream for batch in batches if batch.last} == set(range(segments))
    assert len(batches) > segments or segments == 40


def test_documents_keep_every_type(ddb: DynamoDBClient) -> None:
    ddb.put_item(TableName=ddb_table("actors"), Item=_ITEM)
    (document,) = documents_in(whole(source_of(), ACTORS))
    assert document == document_of(_ITEM)
    assert document["number"] == int("9" * 38)
    assert document["scale"] == {"N": "-12.5"}


def test_lone_surrogates_stay_as_they_are(ddb: DynamoDBClient) -> None:
    stored = [{"id": "a", "name": f"n\ud800{number}", "value": "\udfff"} for number in range(12)]
    store(ddb, PROPERTIES, stored)
    batches = whole(SmallPages(None, None, os.environ["AWS_DB_HOST"], None, 1), PROPERTIES)
    assert documents_in(batches) == in_order(stored)
    assert len(batches) == 3


def test_marks_go_on_behind_their_batch(ddb: DynamoDBClient) -> None:
    stored = properties(100)
    store(ddb, PROPERTIES, stored)
    source = SmallPages(None, None, os.environ["AWS_DB_HOST"], None, 3)
    for stop in (1, 4, 11):
        first: list[Batch] = []
        for batch in source.batches(PROPERTIES, lambda _: None, lambda _: False):
            first.append(batch)
            if len(first) == stop:
                break
        checkpoints = {batch.stream: json.loads(json.dumps(batch.checkpoint)) for batch in first}
        done = {batch.stream for batch in first if batch.last}
        rest = list(source.batches(PROPERTIES, checkpoints.get, done.__contains__))
        assert documents_in(first + rest) == in_order(stored)


def test_done_segments_are_not_read(ddb: DynamoDBClient) -> None:
    store(ddb, PROPERTIES, properties(30))
    assert list(source_of().batches(PROPERTIES, lambda _: None, lambda _: True)) == []


def test_scans_are_strongly_consistent() -> None:
    with spoiling_proxy(os.environ["AWS_DB_HOST"]) as proxy:
        whole(source_of(host=proxy.url, segments=2), PROPERTIES)
    scans = [seen.body for seen in proxy.seen if seen.operation == "Scan"]
    assert [scan["ConsistentRead"] for scan in scans] == [True, True]
    assert {scan["Segment"] for scan in scans} == {0, 1}


def test_names_of_both_kinds_are_found(ddb: DynamoDBClient) -> None:
    prefix = f"{os.environ['AWS_DB_PREFIX']}{new_id('')[:8]}"
    create_table(ddb, f"{prefix}__actors")
    assert source_of(prefix=f"{prefix}_").table_name(ACTORS) == f"{prefix}__actors"
    create_table(ddb, f"{prefix}_actors")
    assert source_of(prefix=f"{prefix}_").table_name(ACTORS) == f"{prefix}_actors"
    assert source_of(prefix=prefix).table_name(ACTORS) == f"{prefix}_actors"


def test_actors_must_exist() -> None:
    with pytest.raises(SourceError, match=r"no DynamoDB table no_actors or no__actors at http://127.*--table-prefix"):
        source_of(prefix="no_").identity(ACTORS)


def test_other_tables_may_be_absent() -> None:
    source = source_of(prefix="no_")
    assert not source.exists(SUSPENSIONS)
    assert source.table_name(SUSPENSIONS) == "no_subscription_suspensions"
    assert source.estimate(SUSPENSIONS) == 0
    assert whole(source, SUSPENSIONS) == [Batch([], segment, None, last=True) for segment in range(4)]


def test_identity_tells_tables_apart(ddb: DynamoDBClient) -> None:
    source = source_of()
    identities = {source.identity(ACTORS), source.identity(PROPERTIES), source_of(segments=2).identity(ACTORS)}
    assert len(identities) == 3
    assert source_of().identity(ACTORS) == source.identity(ACTORS)


def test_estimate_is_what_the_table_says(ddb: DynamoDBClient) -> None:
    store(ddb, PROPERTIES, properties(30))
    assert source_of().estimate(PROPERTIES) == 30


@pytest.mark.parametrize(
    "spoiler",
    [
        failing("ProvisionedThroughputExceededException"),
        failing("ThrottlingException"),
        failing("InternalServerError", 500),
        lost,
        dropped,
    ],
)
def test_passing_faults_cost_no_row(ddb: DynamoDBClient, spoiler: Any) -> None:
    stored = properties(40)
    store(ddb, PROPERTIES, stored)
    with spoiling_proxy(os.environ["AWS_DB_HOST"]) as proxy:
        source = SmallPages(None, None, proxy.url, None, 2)
        assert source.exists(PROPERTIES)
        proxy.spoilers.extend([None, spoiler, spoiler, None, spoiler, None, None, spoiler])
        assert documents_in(whole(source, PROPERTIES)) == in_order(stored)


@pytest.mark.parametrize(
    ("spoiler", "text"),
    [
        (failing("ThrottlingException"), "throttles requests"),
        (failing("AccessDeniedException"), "access denied: .*dynamodb:Scan"),
        (failing("ExpiredTokenException"), "expired: .*--resume"),
        (failing("UnrecognizedClientException"), "AWS does not know the credentials: check access key"),
        (failing("ValidationException", message="injected"), "refused the request"),
        (raw(b"{}"), "not a page of a scan"),
        (raw(b"<html>"), "not a page of a scan"),
    ],
)
def test_lasting_faults_are_clear(spoiler: Any, text: str) -> None:
    with spoiling_proxy(os.environ["AWS_DB_HOST"]) as proxy:
        source = source_of(host=proxy.url, retry_limits=_IMPATIENT)
        assert source.exists(PROPERTIES)
        proxy.always = spoiler
        with pytest.raises(SourceError, match=text) as caught:
            whole(source, PROPERTIES)
    assert "injected" not in str(caught.value)
    assert ddb_table("properties") in str(caught.value)


def test_a_denied_name_is_no_missing_table() -> None:
    with spoiling_proxy(os.environ["AWS_DB_HOST"]) as proxy:
        proxy.always = failing("AccessDeniedException")
        with pytest.raises(SourceError, match="access denied"):
            source_of(host=proxy.url).exists(SUSPENSIONS)


def test_an_endpoint_that_is_down_is_named() -> None:
    with pytest.raises(SourceError, match=r"http://127.0.0.1:1 cannot be read: .*cannot be reached.*AWS_DB_HOST"):
        source_of(host="http://127.0.0.1:1", retry_limits=_IMPATIENT).exists(ACTORS)


def test_missing_credentials_are_named(set_env: SetEnv) -> None:
    nowhere = {"AWS_CONFIG_FILE": os.devnull, "AWS_SHARED_CREDENTIALS_FILE": os.devnull}
    set_env(AWS_ACCESS_KEY_ID=None, AWS_SECRET_ACCESS_KEY=None, AWS_EC2_METADATA_DISABLED="true", **nowhere)
    with pytest.raises(SourceError, match=r"no AWS credentials were found.*--aws-profile"):
        source_of().exists(ACTORS)


def test_a_profile_gives_credentials_and_region(set_env: SetEnv, tmp_path: Path) -> None:
    config = tmp_path / "config"
    config.write_text(
        "[profile production]\nregion = eu-north-1\naws_access_key_id = local\naws_secret_access_key = local\n"
    )
    set_env(AWS_ACCESS_KEY_ID=None, AWS_SECRET_ACCESS_KEY=None, AWS_DEFAULT_REGION=None, AWS_CONFIG_FILE=str(config))
    assert source_of(profile="production").exists(ACTORS)
    assert source_of(profile="production", host=None).endpoint.address == "https://dynamodb.eu-north-1.amazonaws.com"


@pytest.mark.parametrize("settings", [{"profile": "absent"}, {"region": "no region"}, {"host": "no url"}])
def test_wrong_settings_are_usage_errors(settings: dict[str, str]) -> None:
    with pytest.raises(UsageError, match=r"AWS settings: .*(absent|no region|no url)"):
        source_of(**settings).exists(ACTORS)


def test_a_password_in_the_address_is_not_shown() -> None:
    with pytest.raises(SourceError) as caught:
        source_of(host="http://user:hidden@127.0.0.1:1", retry_limits=_IMPATIENT).exists(ACTORS)
    assert "hidden" not in str(caught.value)


@pytest.mark.parametrize("spoiler", [dropped, late(3600)], ids=["drops", "silent"])
def test_an_endpoint_that_never_answered_is_given_up_soon(
    set_env: SetEnv, monkeypatch: pytest.MonkeyPatch, spoiler: Spoiler
) -> None:
    """It would not be for an hour otherwise."""
    set_env(AWS_DB_TIMEOUT="0.2")
    monkeypatch.setattr(endpoint, "_ANSWER_SECONDS", 3600.0)
    with spoiling_proxy(os.environ["AWS_DB_HOST"]) as proxy:
        proxy.always = spoiler
        with pytest.raises(SourceError, match=r"actors at http://.* cannot be read"):
            source_of(host=proxy.url, retry_limits=RetryLimits(failed=3600)).exists(ACTORS)


def test_an_endpoint_that_has_answered_is_given_more_time(set_env: SetEnv, ddb: DynamoDBClient) -> None:
    set_env(AWS_DB_TIMEOUT="0.05")
    store(ddb, ACTORS, [{"id": "a1"}])
    with spoiling_proxy(os.environ["AWS_DB_HOST"]) as proxy:
        source = source_of(host=proxy.url, segments=1)
        assert source.exists(ACTORS)
        # The pauses between as many attempts last longer.
        proxy.spoilers.extend([dropped] * 6)
        assert documents_in(whole(source, ACTORS)) == [{"id": "a1"}]


def test_rcu_is_kept(ddb: DynamoDBClient) -> None:
    # 30 items of 40 KB, 10 units each.
    store(ddb, PROPERTIES, properties(30, "x" * 40_000))
    started = time.monotonic()
    assert len(documents_in(whole(source_of(rcu=200.0), PROPERTIES))) == 30
    # 300 units; up to one request of each segment may come early.
    assert time.monotonic() - started > 1.0


def test_rcu_spaces_the_requests(ddb: DynamoDBClient) -> None:
    store(ddb, PROPERTIES, properties(100, "x" * 4000))
    with spoiling_proxy(os.environ["AWS_DB_HOST"]) as proxy:
        whole(source_of(host=proxy.url, rcu=100.0, segments=2), PROPERTIES)
    limits = [seen.body["Limit"] for seen in proxy.seen if seen.operation == "Scan"]
    # The first knows nothing about the items, the others take 25 units.
    assert limits[0] == 1
    assert 8 <= max(limits) <= 25
    assert len(limits) >= 5


def test_leaving_early_ends_the_threads(ddb: DynamoDBClient) -> None:
    store(ddb, PROPERTIES, properties(40))
    before = set(threading.enumerate())
    with spoiling_proxy(os.environ["AWS_DB_HOST"]) as proxy:
        batches = SmallPages(None, None, proxy.url, None, 3).batches(PROPERTIES, lambda _: None, lambda _: False)
        next(iter(batches))
        proxy.always = failing("ThrottlingException")
        time.sleep(0.3)
        batches.close()  # type: ignore[attr-defined]
        workers = [thread for thread in set(threading.enumerate()) - before if "ThreadPool" in thread.name]
        for thread in workers:
            thread.join(timeout=5)
        assert not any(thread.is_alive() for thread in workers)


def test_nothing_stored_is_logged(ddb: DynamoDBClient, caplog: pytest.LogCaptureFixture) -> None:
    store(ddb, PROPERTIES, properties(3, "hidden"))
    with caplog.at_level(logging.DEBUG):
        whole(source_of(), PROPERTIES)
    assert "hidden" not in caplog.text
