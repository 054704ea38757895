"""A small application on one database: it carries out requests, one JSON object a line, and answers each with one."""

import json
import sys
from typing import Any

from actingweb import db


def answer(config: Any, request: dict[str, Any]) -> Any:
    """Carry out a request and return its answer."""
    operation, actor_id = request["operation"], request["actor"]
    if operation == "create":
        return db.get_actor(config).create(actor_id=actor_id, creator="anna@example.com", passphrase="secret")
    if operation == "set":
        return db.get_property(config).set(actor_id=actor_id, name=request["name"], value=request["value"])
    if operation == "attribute":
        given = {"actor_id": actor_id, "bucket": "state", "name": request["name"], "data": request["value"]}
        return db.get_attribute(config).set_attr(**given)
    if operation == "trust":
        trust = db.get_trust(config)
        return trust.create(actor_id=actor_id, peerid="peer", relationship="friend", secret=request["value"])
    if operation == "read":
        attributes = db.get_attribute(config).get_bucket(actor_id=actor_id, bucket="state") or {}
        peer = db.get_trust(config).get(actor_id=actor_id, peerid="peer") or {}
        return {
            "properties": db.get_property_list(config).fetch(actor_id=actor_id) or {},
            "attributes": {name: attribute["data"] for name, attribute in attributes.items()},
            "secret": peer.get("secret"),
        }
    raise ValueError(operation)


def main() -> None:
    """Answer requests until stdin ends."""
    config = db.load_backend()
    for line in sys.stdin:
        print(json.dumps(answer(config, json.loads(line))), flush=True)


if __name__ == "__main__":
    main()
