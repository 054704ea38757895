"""Faults: what is repeated, what is not, and what the caller sees (1.1, 1.5, 5.1)."""

from __future__ import annotations

import logging
import os
import time
import traceback
from collections.abc import Callable

import pytest

from actingweb.db import (
    DbConflictError,
    DbConnectionError,
    DbError,
    DbInputError,
    DbOutcomeUnknownError,
    DbSchemaError,
    DbThrottledError,
    DbTimeoutError,
    get_actor,
    get_attribute,
    get_property,
    get_property_list,
    get_subscription,
    get_subscription_diff,
    get_subscription_suspension,
    get_trust,
)
from actingweb.db.dynamodb.errors import fault_of
from actingweb.db.dynamodb.transport import transport_to
from actingweb.db.registry import Backend
from testbed.dynamodb_proxy import Spoiler, SpoilingProxy, answering, dropped, failing, failing_late, kept, lost, raw
from tests.conftest import SetEnv

pytestmark = pytest.mark.backends("dynamodb")

THROTTLED = failing("ProvisionedThroughputExceededException")
BROKEN = failing("InternalServerError", 500)
AMBIGUOUS = [lost, failing_late("InternalServerError", 500), failing_late("ServiceUnavailable", 503)]
WITHOUT_EXECUTION = [dropped, BROKEN]

Write = Callable[[Backend, str], object]


def create_diff(backend: Backend, actor_id: str) -> object:
    return get_subscription_diff(backend).create(actor_id, "s", "text", 7)


def suspend(backend: Backend, actor_id: str) -> object:
    return get_subscription_suspension(backend, actor_id).suspend("t")


def claim(backend: Backend, actor_id: str) -> object:
    return get_property(backend).create_if_not_exists(actor_id, "email", "x@y")


def create_trust(backend: Backend, actor_id: str) -> object:
    return get_trust(backend).create(actor_id, "p", secret="s")


def set_attr(backend: Backend, actor_id: str) -> object:
    return get_attribute(backend).set_attr(actor_id, "b", "n", 1)


class TestRepetition:
    @pytest.mark.parametrize("write", [create_diff, suspend, claim, create_trust, set_attr])
    @pytest.mark.parametrize("spoiler", [THROTTLED, *AMBIGUOUS, *WITHOUT_EXECUTION])
    def test_a_write_that_can_be_told_apart_is_repeated(
        self, backend: Backend, actor_id: str, proxy: SpoilingProxy, write: Write, spoiler: Spoiler
    ) -> None:
        proxy.spoilers.extend([spoiler, spoiler])
        assert write(backend, actor_id) is True
        assert len(proxy.seen) == 3

    @pytest.mark.parametrize("spoiler", [THROTTLED, *AMBIGUOUS, *WITHOUT_EXECUTION])
    def test_a_read_is_repeated(self, backend: Backend, actor_id: str, proxy: SpoilingProxy, spoiler: Spoiler) -> None:
        proxy.spoilers.extend([spoiler] * 3)
        assert get_actor(backend).get(actor_id) is not None

    @pytest.mark.parametrize("spoiler", AMBIGUOUS)
    def test_a_create_is_true_or_unknown_but_never_a_duplicate_of_itself(
        self, backend: Backend, proxy: SpoilingProxy, spoiler: Spoiler
    ) -> None:
        proxy.spoilers.append(spoiler)
        with pytest.raises(DbOutcomeUnknownError):
            get_actor(backend).create("a", "me", "pass")
        assert get_actor(backend).get("a") is not None

    @pytest.mark.parametrize("spoiler", WITHOUT_EXECUTION)
    def test_a_create_that_was_not_executed_is_true(
        self, backend: Backend, proxy: SpoilingProxy, spoiler: Spoiler
    ) -> None:
        proxy.spoilers.append(spoiler)
        assert get_actor(backend).create("a", "me", "pass") is True

    @pytest.mark.parametrize("spoiler", AMBIGUOUS + WITHOUT_EXECUTION)
    def test_a_create_over_a_row_that_tells_who_made_it_is_false(
        self, backend: Backend, proxy: SpoilingProxy, spoiler: Spoiler
    ) -> None:
        assert get_subscription_diff(backend).create("a", "s", "there")
        proxy.spoilers.append(spoiler)
        assert get_subscription_diff(backend).create("a", "s", "here") is False

    @pytest.mark.parametrize(("spoiler", "reached"), [(lost, 1), (dropped, 0), (BROKEN, 0)])
    def test_an_increment_is_never_applied_twice(
        self, backend: Backend, proxy: SpoilingProxy, spoiler: Spoiler, reached: int
    ) -> None:
        subscription = get_subscription(backend)
        subscription.create("a", "p", "s")
        proxy.spoilers.append(spoiler)
        with pytest.raises(DbOutcomeUnknownError):
            subscription.increment_seqnr()
        found = get_subscription(backend).get("a", "p", "s")
        assert found is not None
        assert found["sequence"] == reached

    def test_an_increment_that_certainly_did_not_run_is_repeated(self, backend: Backend, proxy: SpoilingProxy) -> None:
        subscription = get_subscription(backend)
        subscription.create("a", "p", "s")
        proxy.spoilers.extend([THROTTLED, failing("TransactionConflictException")])
        assert subscription.increment_seqnr() == 1

    @pytest.mark.parametrize(
        "write",
        [
            lambda backend: get_attribute(backend).delete_attr_conditional("a", "b", "n"),
            lambda backend: get_attribute(backend).conditional_update_attr("a", "b", "n", 1, 2),
            lambda backend: get_property(backend).set_if_value_equals("a", "plain", "old", "new"),
            lambda backend: get_property(backend).delete_if_value_equals("a", "plain", "old"),
            lambda backend: get_subscription_suspension(backend, "a").resume("t"),
        ],
    )
    def test_a_write_with_one_winner_is_not_repeated_when_it_may_have_won(
        self, backend: Backend, proxy: SpoilingProxy, write: Callable[[Backend], object]
    ) -> None:
        get_attribute(backend).set_attr("a", "b", "n", 1)
        get_property(backend).set("a", "plain", "old")
        get_subscription_suspension(backend, "a").suspend("t")
        proxy.spoilers.append(lost)
        with pytest.raises(DbOutcomeUnknownError):
            write(backend)
        proxy.spoilers.append(None)
        assert write(backend) is False

    def test_a_lost_modify_and_delete_are_repeated(self, backend: Backend, proxy: SpoilingProxy) -> None:
        actor = get_actor(backend)
        actor.create("a", "me")
        proxy.spoilers.append(lost)
        assert actor.modify(passphrase="new") is True
        proxy.spoilers.append(lost)
        assert actor.delete() is True
        assert actor.get("a") is None

    def test_a_transaction_is_repeated_under_its_token(
        self, backend: Backend, actor_id: str, proxy: SpoilingProxy
    ) -> None:
        prop = get_property(backend)
        prop.set(actor_id, "email", "old")
        proxy.spoilers.extend([lost, lost])
        assert prop.set_if_value_equals(actor_id, "email", "old", "new") is True
        tokens = [request.body["ClientRequestToken"] for request in proxy.seen[-3:]]
        assert len(set(tokens)) == 1
        assert prop.get_actor_id_from_property("email", "new") == actor_id


@pytest.mark.parametrize("body", [b"", b'{"Item": {"id": {"S": "a"', b"<html></html>"])
def test_a_garbled_answer_is_no_absence(backend: Backend, actor_id: str, proxy: SpoilingProxy, body: bytes) -> None:
    proxy.spoilers.append(raw(body))
    assert get_actor(backend).get(actor_id) is not None
    proxy.always = raw(body)
    with pytest.raises(DbError):
        get_actor(backend).get(actor_id)
    with pytest.raises(DbOutcomeUnknownError):
        get_actor(backend).create("new")


class TestLimitsOfRepetition:
    def test_attempts(self, backend: Backend, proxy: SpoilingProxy) -> None:
        proxy.always = THROTTLED
        with pytest.raises(DbThrottledError):
            get_actor(backend).get("a")
        assert len(proxy.seen) == 4

    def test_transactions_that_collide_are_tried_five_times(self, backend: Backend, proxy: SpoilingProxy) -> None:
        proxy.always = failing(
            "TransactionCanceledException", CancellationReasons=[{"Code": "TransactionConflict"}, {"Code": "None"}]
        )
        with pytest.raises(DbConflictError):
            get_property(backend).set("a", "email", "x")
        assert len(proxy.seen) == 5

    def test_seconds(self, backend: Backend, proxy: SpoilingProxy, set_env: SetEnv) -> None:
        set_env(AWS_DB_TIMEOUT="0.8")
        proxy.always = kept
        began = time.monotonic()
        with pytest.raises(DbTimeoutError):
            get_actor(backend).get("a")
        # The driver's own limit is a minute.
        assert time.monotonic() - began < 30

    def test_an_answer_that_never_comes_leaves_time_for_a_second_attempt(
        self, backend: Backend, actor_id: str, proxy: SpoilingProxy, set_env: SetEnv
    ) -> None:
        set_env(AWS_DB_TIMEOUT="8")
        get_actor(backend).get(actor_id)
        proxy.spoilers.append(kept)
        assert get_actor(backend).get(actor_id) is not None

    def test_a_fault_does_not_use_up_a_quota(
        self, backend: Backend, actor_id: str, proxy: SpoilingProxy, set_env: SetEnv
    ) -> None:
        set_env(AWS_DB_MAX_ATTEMPTS="2")
        proxy.always = BROKEN
        for _ in range(40):
            with pytest.raises(DbError):
                get_actor(backend).get(actor_id)
        proxy.always = None
        proxy.spoilers.append(BROKEN)
        assert get_actor(backend).get(actor_id) is not None

    def test_items_left_over_are_sent_again(self, backend: Backend, proxy: SpoilingProxy) -> None:
        prop = get_property(backend)
        for name in ("x", "y"):
            prop.set("a", name, "1")
        proxy.spoilers.append(leaving("x", "y"))
        prop.batch_delete("a", ["x", "y"])
        assert prop.get_range("a", "", "z") == {}

    def test_items_left_after_that_are_an_error_with_their_number(self, backend: Backend, proxy: SpoilingProxy) -> None:
        proxy.always = leaving("x", "y")
        with pytest.raises(DbThrottledError, match="2 items are left"):
            get_property(backend).batch_delete("a", ["x", "y"])
        assert len(proxy.seen) == 4

    def test_keys_left_over_are_read_again(self, backend: Backend, proxy: SpoilingProxy) -> None:
        suspension = get_subscription_suspension(backend, "a")
        suspension.suspend("t")
        table = f"{os.environ['AWS_DB_PREFIX']}_subscription_suspensions"
        keys = [{"id": {"S": "a"}, "target_key": {"S": "t"}}]
        proxy.spoilers.append(
            answering({"Responses": {table: []}, "UnprocessedKeys": {table: {"Keys": keys, "ConsistentRead": True}}})
        )
        assert suspension.is_suspended("t") is True


def leaving(*names: str) -> Spoiler:
    """Answer that the deletes of these properties of actor `a` are left."""
    requests = [{"DeleteRequest": {"Key": {"id": {"S": "a"}, "name": {"S": name}}}} for name in names]
    return answering({"UnprocessedItems": {f"{os.environ['AWS_DB_PREFIX']}_properties": requests}})


class TestMeaning:
    @pytest.mark.parametrize(
        ("code", "message", "expected", "reason"),
        [
            ("ThrottlingException", "", DbThrottledError, "throttles"),
            ("RequestLimitExceeded", "", DbThrottledError, "throttles"),
            ("ResourceNotFoundException", "", DbSchemaError, r"python -m actingweb\.db\.verify_tables"),
            (
                "ValidationException",
                "The table does not have the specified index: x",
                DbSchemaError,
                r"python -m actingweb\.db\.verify_tables",
            ),
            ("ValidationException", "Item size has exceeded the maximum allowed size", DbInputError, "409600"),
            ("ValidationException", "anything else", DbError, "refused"),
            ("AccessDeniedException", "", DbError, "access denied"),
            ("ExpiredTokenException", "", DbError, "expired"),
            ("TransactionConflictException", "", DbConflictError, "colliding"),
            ("SomethingNew", "", DbError, "refused"),
        ],
    )
    def test_codes(
        self, backend: Backend, proxy: SpoilingProxy, code: str, message: str, expected: type[DbError], reason: str
    ) -> None:
        proxy.always = failing(code, message=message)
        with pytest.raises(DbError, match=reason) as raised:
            get_trust(backend).get("a", "p")
        assert type(raised.value) is expected
        assert (raised.value.op, raised.value.actor_id) == ("trust read", "a")
        assert code in str(raised.value.__cause__)

    def test_an_endpoint_that_refuses(self, backend: Backend, set_env: SetEnv) -> None:
        set_env(AWS_DB_HOST="http://127.0.0.1:1", AWS_DB_AUTO_CREATE_TABLES="0")
        for call in (get_actor(backend).get, get_actor(backend).create):
            with pytest.raises(DbConnectionError):
                call("a")

    def test_no_credentials(
        self, backend: Backend, set_env: SetEnv, proxy: SpoilingProxy, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
        set_env(AWS_ACCESS_KEY_ID=None, AWS_SECRET_ACCESS_KEY=None)
        with pytest.raises(DbError, match="no AWS credentials"):
            get_actor(backend).get("a")
        assert proxy.seen == []
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "local")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "local")
        assert get_actor(backend).get("a") is None

    def test_an_unknown_exception_is_still_an_error(self) -> None:
        assert fault_of(KeyError("x")).error is DbError


class TestSecrets:
    SECRET = "the-secret-value"

    def test_nothing_of_the_drivers_is_chained(self, backend: Backend, proxy: SpoilingProxy) -> None:
        item = {"value": {"S": self.SECRET}}
        proxy.always = failing(
            "TransactionCanceledException",
            message=self.SECRET,
            CancellationReasons=[{"Code": "ValidationError", "Message": self.SECRET, "Item": item}],
        )
        with pytest.raises(DbError) as raised:
            get_property(backend).set("a", "email", self.SECRET)
        assert self.SECRET not in "".join(traceback.format_exception(raised.value))
        assert self.SECRET not in repr(vars(raised.value.__cause__))
        assert raised.value.__context__ is None

    def test_no_log_quotes_what_is_sent_or_answered(
        self, backend: Backend, proxy: SpoilingProxy, caplog: pytest.LogCaptureFixture
    ) -> None:
        with caplog.at_level(logging.DEBUG):
            get_property(backend).set("a", "email", self.SECRET)
            get_property(backend).get_range("a", "", "z")
            get_trust(backend).create("a", "p", secret=self.SECRET)
            get_trust(backend).get("a", token=self.SECRET)
            get_attribute(backend).set_attr("a", "b", self.SECRET, {"x": self.SECRET})
            get_attribute(backend).get_bucket("a", "b")
            list(backend.DbTrust.Trust.scan())
            proxy.always = BROKEN
            with pytest.raises(DbError):
                get_property_list(backend).fetch("a")
        assert self.SECRET not in caplog.text

    def test_the_drivers_other_logs_are_left(self, caplog: pytest.LogCaptureFixture) -> None:
        with caplog.at_level(logging.DEBUG):
            logging.getLogger("botocore.endpoint").debug("another client's")
        assert "another client's" in caplog.text


def test_a_child_process_makes_its_own_client(backend: Backend, actor_id: str) -> None:
    before = transport_to("us-west-1", os.environ["AWS_DB_HOST"])
    read_end, write_end = os.pipe()
    child = os.fork()
    if child == 0:
        fresh = transport_to("us-west-1", os.environ["AWS_DB_HOST"]) is not before
        found = get_actor(backend).get(actor_id) is not None
        os.write(write_end, b"1" if fresh and found else b"0")
        os._exit(0)
    os.close(write_end)
    os.waitpid(child, 0)
    assert os.read(read_end, 1) == b"1"
    os.close(read_end)
    assert transport_to("us-west-1", os.environ["AWS_DB_HOST"]) is before
