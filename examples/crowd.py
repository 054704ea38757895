"""An application with many actors: `crowd.py write N` stores them, `crowd.py read` reads all of them back.

DATABASE_BACKEND says in which database. Both print one JSON object: counts, and a digest of everything read.
"""

import hashlib
import json
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

from actingweb import db

_THREADS = 8
_JOINED = datetime(2024, 1, 1, tzinfo=UTC)


def store(config: Any, number: int) -> int:
    """Store one actor with everything it has; return the number of rows."""
    actor_id = f"crowd-{number:06}"
    db.get_actor(config).create(actor_id=actor_id, creator=f"user{number}@example.com", passphrase=f"pass-{number}")
    properties = {"email": f"user{number}@example.com", "name": f"Zoë {number} ☀", "settings": {"theme": number % 3}}
    for name, value in properties.items():
        db.get_property(config).set(actor_id=actor_id, name=name, value=value)
    joined = _JOINED + timedelta(microseconds=number)
    db.get_trust(config).create(
        actor_id=actor_id, peerid="peer", relationship="friend", secret=f"secret-{number}", created_at=joined
    )
    db.get_subscription(config).create(actor_id=actor_id, peerid="peer", subid="s1", target="properties", seqnr=2)
    for sequence in (1, 2):
        db.get_subscription_diff(config).create(
            actor_id=actor_id, subid="s1", diff=f"change {sequence}", seqnr=sequence
        )
    db.get_attribute(config).set_attr(actor_id=actor_id, bucket="log", name="last", data={"n": number, "pi": 3.10})
    return 2 + len(properties) + 1 + 2 + 1


def read(config: Any, actor_id: str) -> str:
    """Return everything of one actor as text."""
    return json.dumps(
        [
            db.get_actor(config).get(actor_id=actor_id),
            db.get_property_list(config).fetch(actor_id=actor_id),
            db.get_property(config).get_actor_id_from_property("email", f"user{int(actor_id[-6:])}@example.com"),
            db.get_trust_list(config).fetch(actor_id=actor_id),
            db.get_subscription_list(config).fetch(actor_id=actor_id),
            db.get_subscription_diff_list(config).fetch(actor_id=actor_id, subid="s1"),
            db.get_attribute_bucket_list(config).fetch(actor_id=actor_id),
        ],
        default=str,
        sort_keys=True,
    )


def main(command: str, count: int = 0) -> None:
    """Carry out `write` or `read` and print what was done."""
    config = db.load_backend()
    with ThreadPoolExecutor(_THREADS) as threads:
        if command == "write":
            rows = sum(threads.map(partial(store, config), range(count)))
            print(json.dumps({"actors": count, "rows": rows}))
            return
        ids = [actor["id"] for actor in db.get_actor_list(config).fetch()]
        digest = hashlib.sha256("\n".join(threads.map(partial(read, config), ids)).encode())
    print(json.dumps({"actors": len(ids), "digest": digest.hexdigest()}))


if __name__ == "__main__":
    main(sys.argv[1], *map(int, sys.argv[2:]))
