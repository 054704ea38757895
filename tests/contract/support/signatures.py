"""The methods of every class as the contract writes them (section 3)."""

import inspect

_TRUST_FIELDS = (
    "last_connected_via=None, client_name=None, client_version=None, client_platform=None, oauth_client_id=None, "
    "aw_supported=None, aw_version=None, capabilities_fetched_at=None"
)

_METHODS = {
    "DbActor": [
        "get(actor_id=None)",
        "get_by_creator(creator=None)",
        "create(actor_id=None, creator=None, passphrase=None)",
        "modify(creator=None, passphrase=None)",
        "delete()",
    ],
    "DbActorList": ["fetch()", "iterate(page_size=500)"],
    "DbProperty": [
        "get(actor_id=None, name=None)",
        "get_many(actor_id=None, names=None)",
        "set(actor_id=None, name=None, value=None)",
        "set_many(actor_id=None, values=None, chunk_size=None)",
        "delete()",
        "get_actor_id_from_property(name=None, value=None)",
        "get_range(actor_id=None, lower=None, upper=None, keys_only=False, consistent_read=True)",
        "get_prefix(actor_id=None, prefix=None, keys_only=False, consistent_read=True)",
        "get_last_in_range(actor_id=None, lower=None, upper=None)",
        "create_if_not_exists(actor_id=None, name=None, value=None)",
        "set_if_value_equals(actor_id=None, name=None, expected=None, value=None)",
        "delete_if_value_equals(actor_id=None, name=None, value=None)",
        "batch_delete(actor_id=None, names=None)",
    ],
    "DbPropertyList": ["fetch(actor_id=None)", "fetch_all_including_lists(actor_id=None)", "delete()"],
    "DbPropertyLookup": [
        "get(property_name=None, value=None)",
        "create(property_name=None, value=None, actor_id=None, overwrite=False)",
        "delete(property_name=None, value=None)",
        "get_v1(property_name=None, value=None)",
    ],
    "DbTrust": [
        "get(actor_id=None, peerid=None, token=None)",
        "get_many(actor_id=None, peerids=None)",
        "create(actor_id=None, peerid=None, baseuri='', peer_type='', relationship='', secret='', approved=False, "
        "verified=False, peer_approved=False, verification_token='', desc='', peer_identifier=None, "
        f"established_via=None, created_at=None, last_accessed=None, {_TRUST_FIELDS})",
        "modify(baseuri=None, secret=None, desc=None, approved=None, verified=None, verification_token=None, "
        "peer_approved=None, peer_identifier=None, established_via=None, created_at=None, last_accessed=None, "
        f"{_TRUST_FIELDS})",
        "delete()",
        "is_token_in_db(actor_id=None, token=None)",
    ],
    "DbTrustList": ["fetch(actor_id=None)", "delete()"],
    "DbPeerTrustee": [
        "get(actor_id=None, peer_type=None, peerid=None)",
        "create(actor_id=None, peerid=None, peer_type=None, baseuri=None, passphrase=None)",
        "modify(peer_type=None, baseuri=None, passphrase=None)",
        "delete()",
    ],
    "DbPeerTrusteeList": ["fetch(actor_id=None)", "delete()"],
    "DbSubscription": [
        "get(actor_id=None, peerid=None, subid=None)",
        "create(actor_id=None, peerid=None, subid=None, granularity=None, target=None, subtarget=None, resource=None, "
        "seqnr=0, callback=False)",
        "modify(peerid=None, subid=None, granularity=None, target=None, subtarget=None, resource=None, seqnr=None, "
        "callback=None)",
        "increment_seqnr(by=1)",
        "delete()",
    ],
    "DbSubscriptionList": ["fetch(actor_id=None)", "delete()"],
    "DbSubscriptionDiff": [
        "get(actor_id=None, subid=None, seqnr=None)",
        "create(actor_id=None, subid=None, diff='', seqnr=1)",
        "create_many(actor_id=None, diffs=None)",
        "delete()",
    ],
    "DbSubscriptionDiffList": ["fetch(actor_id=None, subid=None)", "delete(seqnr=None)"],
    "DbSubscriptionSuspension": [
        "is_suspended(target, subtarget=None)",
        "suspend(target, subtarget=None)",
        "resume(target, subtarget=None)",
        "get_all_suspended()",
        "delete_all()",
    ],
    "DbAttribute": [
        "get_bucket(actor_id=None, bucket=None)",
        "get_attr(actor_id=None, bucket=None, name=None)",
        "get_attr_strict(actor_id=None, bucket=None, name=None)",
        "set_attr(actor_id=None, bucket=None, name=None, data=None, timestamp=None, ttl_seconds=None)",
        "delete_attr(actor_id=None, bucket=None, name=None)",
        "delete_attr_conditional(actor_id=None, bucket=None, name=None)",
        "conditional_update_attr(actor_id=None, bucket=None, name=None, old_data=None, new_data=None, timestamp=None, "
        "ttl_seconds=None)",
        "delete_bucket(actor_id=None, bucket=None)",
        "delete_expired(now_epoch=None, buckets=None)",
        "delete_by_chain(actor_id=None, buckets=None, chain_id=None, defer_name=None)",
    ],
    "DbAttributeBucketList": ["fetch(actor_id=None)", "fetch_timestamps(actor_id=None)", "delete(actor_id=None)"],
}

Parameters = list[tuple[str, object, object]]


def _parsed(method: str) -> tuple[str, Parameters]:
    name, _, parameters = method.partition("(")
    function = eval(f"lambda {parameters.removesuffix(')')}: None")
    return name, parameters_of(function)


def parameters_of(function: object, *, skip: tuple[str, ...] = ()) -> Parameters:
    """Return name, default and kind of each parameter but those of `skip`."""
    assert callable(function)
    found = inspect.signature(function).parameters.values()
    return [(each.name, each.default, each.kind) for each in found if each.name not in skip]


SIGNATURES: dict[str, dict[str, Parameters]] = {
    cls: dict(_parsed(method) for method in methods) for cls, methods in _METHODS.items()
}
"""The parameters of each method of each class."""

METHODS = [(cls, method) for cls, methods in SIGNATURES.items() for method in methods]
"""Every public method."""

MODULES = {
    "DbActor": "actor",
    "DbActorList": "actor",
    "DbProperty": "property",
    "DbPropertyList": "property",
    "DbPropertyLookup": "property_lookup",
    "DbTrust": "trust",
    "DbTrustList": "trust",
    "DbPeerTrustee": "peertrustee",
    "DbPeerTrusteeList": "peertrustee",
    "DbSubscription": "subscription",
    "DbSubscriptionList": "subscription",
    "DbSubscriptionDiff": "subscription_diff",
    "DbSubscriptionDiffList": "subscription_diff",
    "DbSubscriptionSuspension": "subscription_suspension",
    "DbAttribute": "attribute",
    "DbAttributeBucketList": "attribute",
}
"""The module of each class."""
