"""All that a backend of the library has of some actors, written and read through its public methods."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from actingweb.db.registry import Backend
from tests.migration.nasty import Content

__all__ = ["expected", "known", "read", "write"]

_TRUST = ("baseuri", "relationship", "secret", "verification_token", "desc", "approved", "verified", "peer_approved")
_TRUST_TIMES = ("created_at", "last_accessed", "capabilities_fetched_at")
_TYPE = "urn:actingweb:example"


def write(backend: Backend, contents: dict[str, Content]) -> None:
    """Store what actors have, and an email address for each."""
    for actor_id, content in contents.items():
        assert backend.DbActor.DbActor().create(actor_id=actor_id, creator=_creator(actor_id), **content["actors"])
        _write_values(backend, actor_id, content)
        _write_peers(backend, actor_id, content)


def read(backend: Backend, actor_ids: Iterable[str]) -> dict[str, Any]:
    """Return what the library answers for each actor."""
    return {actor_id: _read(backend, actor_id) for actor_id in actor_ids}


def expected(contents: dict[str, Content]) -> dict[str, Any]:
    """Return the part of what `read` returns that is known from what was written."""
    return {actor_id: _expected(actor_id, content) for actor_id, content in contents.items()}


def known(answers: dict[str, Any], contents: dict[str, Content]) -> dict[str, Any]:
    """Return that part of what `read` returned."""
    return {actor_id: _known(answers[actor_id], content) for actor_id, content in contents.items()}


def _write_values(backend: Backend, actor_id: str, content: Content) -> None:
    for name, value in _properties(actor_id, content).items():
        assert backend.DbProperty.DbProperty().set(actor_id, name, value)
    for (bucket, name), (data, timestamp) in content["attributes"].items():
        assert backend.DbAttribute.DbAttribute.set_attr(actor_id, bucket, name, data, timestamp)


def _write_peers(backend: Backend, actor_id: str, content: Content) -> None:
    for peer_id, trust in content["trusts"].items():
        assert backend.DbTrust.DbTrust().create(actor_id, peer_id, peer_type=_TYPE, **trust)
    for peer_id, trustee in content["peertrustees"].items():
        assert backend.DbPeerTrustee.DbPeerTrustee().create(actor_id, peer_id, peer_id, **trustee)
    for (peer_id, sub_id), subscription in content["subscriptions"].items():
        assert backend.DbSubscription.DbSubscription().create(actor_id, peer_id, sub_id, **subscription)
    for (sub_id, number), diff in content["subscription_diffs"].items():
        assert backend.DbSubscriptionDiff.DbSubscriptionDiff().create(actor_id, sub_id, diff, number)
    suspensions = backend.DbSubscriptionSuspension.DbSubscriptionSuspension(actor_id)
    for target, subtarget in content["subscription_suspensions"]:
        assert suspensions.suspend(target, subtarget)


def _read(backend: Backend, actor_id: str) -> dict[str, Any]:
    email = backend.DbProperty.DbProperty().get(actor_id, "email")
    return {
        "actors": backend.DbActor.DbActor().get(actor_id),
        "properties": backend.DbProperty.DbPropertyList().fetch_all_including_lists(actor_id),
        "owner of the email": email and backend.DbProperty.DbProperty().get_actor_id_from_property("email", email),
        "attributes": backend.DbAttribute.DbAttributeBucketList.fetch(actor_id),
        "times": backend.DbAttribute.DbAttributeBucketList.fetch_timestamps(actor_id),
        "trusts": backend.DbTrust.DbTrustList().fetch(actor_id),
        "peertrustees": backend.DbPeerTrustee.DbPeerTrusteeList().fetch(actor_id),
        "subscriptions": backend.DbSubscription.DbSubscriptionList().fetch(actor_id),
        "subscription_diffs": backend.DbSubscriptionDiff.DbSubscriptionDiffList().fetch(actor_id),
        "subscription_suspensions": backend.DbSubscriptionSuspension.DbSubscriptionSuspension(
            actor_id
        ).get_all_suspended(),
    }


def _expected(actor_id: str, content: Content) -> dict[str, Any]:
    attributes: dict[str, dict[str, Any]] = {}
    for (bucket, name), (data, timestamp) in content["attributes"].items():
        attributes.setdefault(bucket, {})[name] = {"data": data, "timestamp": timestamp}
    return {
        "actors": {"id": actor_id, "creator": _creator(actor_id), **content["actors"]},
        "properties": _properties(actor_id, content),
        "owner of the email": actor_id,
        "attributes": attributes,
        "trusts": {
            peer: {name: trust[name] for name in (*_TRUST, *_TRUST_TIMES)} for peer, trust in _of(content, "trusts")
        },
        "peertrustees": dict(_of(content, "peertrustees")),
        "subscriptions": {key: (row["seqnr"], row["callback"]) for key, row in _of(content, "subscriptions")},
        "subscription_diffs": dict(_of(content, "subscription_diffs")),
        "subscription_suspensions": {
            (target, subtarget or None) for target, subtarget in content["subscription_suspensions"]
        },
    }


def _known(answer: dict[str, Any], content: Content) -> dict[str, Any]:
    return {
        **{name: answer[name] for name in ("actors", "properties", "owner of the email", "attributes")},
        "trusts": {row["peerid"]: _known_trust(row) for row in answer["trusts"]},
        "peertrustees": {
            row["peerid"]: {name: row[name] for name in ("baseuri", "passphrase")} for row in answer["peertrustees"]
        },
        "subscriptions": {
            (row["peerid"], row["subscriptionid"]): (row["sequence"], row["callback"])
            for row in answer["subscriptions"]
        },
        "subscription_diffs": {
            (row["subscriptionid"], row["sequence"]): row["diff"] for row in answer["subscription_diffs"]
        },
        "subscription_suspensions": set(answer["subscription_suspensions"]),
    }


def _known_trust(row: dict[str, Any]) -> dict[str, Any]:
    times = {name: datetime.fromisoformat(row[name]) for name in _TRUST_TIMES}
    return {name: row[name] for name in _TRUST} | times


def _of(content: Content, table: str) -> Iterable[tuple[Any, Any]]:
    return content[table].items()


def _creator(actor_id: str) -> str:
    return f"creator of {actor_id}".replace("@", "at")


def _properties(actor_id: str, content: Content) -> dict[str, str]:
    return {**content["properties"], "email": f"{actor_id}@example.com"}
