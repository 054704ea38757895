"""What two actors do with the application; every step goes over HTTP and builds on the ones before."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from .client import Client, basic, expect

_PASSWORD = "correct horse battery staple"
_PLACE = {"city": "Oslo", "population": 717710, "districts": ["Frogner", "Grünerløkka"]}


@dataclass
class Stage:
    """The application and, once created, its actors: one publishes, one subscribes."""

    backend: str
    url: str
    publisher: Client = field(init=False)
    subscriber: Client = field(init=False)
    helper_id: str = ""

    @property
    def port(self) -> int | None:
        """The port of the application, once it has run."""
        return urlsplit(self.url).port

    @property
    def visitor(self) -> Client:
        """Somebody who is not logged in."""
        return Client(self.url)

    @property
    def ids(self) -> list[str]:
        """The ids of all actors."""
        return [id_of(self.publisher), id_of(self.subscriber), self.helper_id]

    def owner(self, email: str) -> Any:
        """Return the id of the actor with this e-mail address."""
        return self.visitor.get(f"/owner/{email}")


def id_of(actor: Client) -> str:
    """Return the id of an actor."""
    return actor.url.rpartition("/")[2]


def load_storage(stage: Stage) -> None:
    """The framework loads its eight storage modules from this tree's copy."""
    for name, (module, file) in stage.visitor.get("/storage").items():
        expected = f"actingweb.db.{stage.backend}."
        expect(f"{name} is {module}", module.startswith(expected), True)
        expect(f"{name} comes from {file}", file.endswith(module.replace(".", "/") + ".py"), True)


def create_actors(stage: Stage) -> None:
    """Two actors are created and log in with basic authentication."""
    stage.publisher = _create_actor(stage, "Publisher@Example.com")
    stage.subscriber = _create_actor(stage, "subscriber@example.com")
    expect("creator", stage.publisher.get()["creator"], "publisher@example.com")
    Client(stage.publisher.url, basic("publisher@example.com", "wrong")).get(status=403)
    Client(stage.publisher.url).get("/properties", status=401)


def _create_actor(stage: Stage, creator: str) -> Client:
    created = stage.visitor.post("/", {"creator": creator, "passphrase": _PASSWORD}, status=201)
    return Client(f"{stage.url}/{created['id']}", basic(created["creator"], _PASSWORD))


def keep_properties(stage: Stage) -> None:
    """Properties are stored, changed, deleted, and found by e-mail address."""
    actor = stage.publisher
    actor.post("/properties", {"email": "old@example.com", "place": _PLACE, "draft": "x"}, status=201)
    actor.put("/properties/draft", "y")
    expect("draft", actor.get("/properties/draft"), "y")
    actor.delete("/properties/draft")
    actor.get("/properties/draft", status=404)
    expect("properties", actor.get("/properties"), {"email": "old@example.com", "place": _PLACE})
    expect("nested property", actor.get("/properties/place/city"), "Oslo")
    expect("owner of the address", stage.owner("old@example.com"), id_of(actor))
    actor.post("/properties", {"email": "new@example.com"}, status=201)
    expect("owner of the new address", stage.owner("new@example.com"), id_of(actor))
    expect("owner of the old address", stage.owner("old@example.com"), None)


def keep_list(stage: Stage) -> None:
    """A property list takes items at its end, is read by range, changed and cut in the middle."""
    actor = stage.publisher
    actor.post("/properties", {"notes": {"_type": "list"}}, status=201)
    for number in range(12):
        actor.post("/properties/notes/items", {"action": "add", "item_value": {"note": number}}, status=201)
    part = actor.post("/methods/read_slice", {"list": "notes", "start": 3, "end": 6})
    expect("items 3 to 5", part["items"], [{"note": 3}, {"note": 4}, {"note": 5}])
    actor.put("/properties/notes?index=1", {"note": "changed"})
    actor.post("/properties/notes/items", {"action": "delete", "item_index": 0}, status=204)
    expect("first item", actor.get("/properties/notes?index=0"), {"note": "changed"})
    expect("items", actor.get("/properties/notes"), [{"note": "changed"}, *({"note": n} for n in range(2, 12))])


def establish_trust(stage: Stage) -> None:
    """The subscriber asks for trust, the publisher approves, the shared secret opens the publisher's properties."""
    wish = {"url": stage.publisher.url, "relationship": "friend"}
    trust = stage.subscriber.post("/trust", wish, status=201)
    peer = Client(stage.publisher.url, f"Bearer {trust['secret']}")
    stage.publisher.put(_trust_path(stage), {"approved": True})
    approved = stage.subscriber.get(f"/trust/friend/{id_of(stage.publisher)}")
    flags = {name: approved[name] for name in ("approved", "peer_approved", "verified")}
    expect("flags", flags, {"approved": True, "peer_approved": True, "verified": True})
    expect("created_at", approved["created_at"], trust["created_at"])
    expect("property seen by the peer", peer.get("/properties/place"), _PLACE)
    Client(stage.publisher.url, f"Bearer {trust['secret']}x").get("/properties/place", status=403)
    _restrict(stage, peer)


def _restrict(stage: Stage, peer: Client) -> None:
    permissions = _trust_path(stage) + "/permissions"
    rule = {"patterns": ["place"], "operations": ["read"], "excluded_patterns": ["email"]}
    stage.publisher.put(permissions, {"properties": rule}, status=201)
    peer.get("/properties/email", status=403)
    expect("permitted property", peer.get("/properties/place/city"), "Oslo")
    stage.publisher.delete(permissions)
    expect("property permitted again", peer.get("/properties/email"), "new@example.com")


def _trust_path(stage: Stage) -> str:
    return f"/trust/friend/{id_of(stage.subscriber)}"


def issue_token(stage: Stage) -> None:
    """An OAuth2 client is registered, its secret checked, an access token issued."""
    expected = {"valid": True, "wrong_secret_valid": False, "clients": 1, "token_type": "Bearer"}
    expect("OAuth2 client", stage.publisher.post("/methods/issue_token", {}), expected)


def make_trustee(stage: Stage) -> None:
    """The publisher becomes trustee of an actor that is made for it, once."""
    helper = stage.publisher.post("/methods/make_trustee", {})
    expect("trustee again", stage.publisher.post("/methods/make_trustee", {}), helper)
    stage.helper_id = helper["peerid"]


def publish_diffs(stage: Stage) -> None:
    """The subscriber subscribes; changes reach it as callbacks and wait as numbered diffs."""
    wish = {"peerid": id_of(stage.publisher), "target": "properties", "granularity": "high"}
    stage.subscriber.post("/subscriptions", wish, status=204)
    moods = ["calm", "glad", "proud"]
    for mood in moods:
        stage.publisher.put("/properties/mood", mood)
    news = [{"sequence": n, "type": "diff", "data": {"mood": mood}} for n, mood in enumerate(moods, 1)]
    expect("news", stage.subscriber.get("/properties/news"), news)
    diffs = stage.publisher.get(_subscription_path(stage))["data"]
    expect("diffs", [(diff["sequence"], diff["data"]["mood"]) for diff in diffs], list(enumerate(moods, 1)))


def tell_diffs_apart_by_time(stage: Stage) -> None:
    """Each diff has the time at which it was made."""
    times = [diff["timestamp"] for diff in stage.publisher.get(_subscription_path(stage))["data"]]
    expect("times of the diffs", times, sorted(set(times)))


def clear_diffs(stage: Stage) -> None:
    """The subscriber clears the diffs that it has seen."""
    stage.publisher.put(_subscription_path(stage), {"sequence": 2})
    expect("diffs left", _sequences(stage), [3])


def suspend_diffs(stage: Stage) -> None:
    """A suspended publisher makes no diffs; when it resumes, the subscriber copies all its properties."""
    publisher = stage.publisher
    target = {"target": "properties"}
    expect("suspend", publisher.post("/methods/suspend", target), {"changed": True, "suspended": True})
    expect("suspend again", publisher.post("/methods/suspend", target), {"changed": False, "suspended": True})
    publisher.put("/properties/mood", "secretive")
    expect("diffs while suspended", _sequences(stage), [3])
    expect("resume", publisher.post("/methods/resume", target), {"told": 1, "suspended": False})
    latest = stage.subscriber.get("/properties/news")[-1]
    expect("latest news", (latest["type"], latest["data"]["mood"]), ("resync", "secretive"))
    copy = stage.subscriber.post("/methods/read_remote", {"peer": id_of(publisher)})["properties"]
    expect("copied properties", sorted(copy), ["email", "mood", "notes", "place"])
    expect("copied list", len(copy["notes"]["value"]), 11)
    publisher.post("/methods/suspend", {"target": "resources", "subtarget": "photos"})


def _subscription_path(stage: Stage) -> str:
    path = f"/subscriptions/{id_of(stage.subscriber)}"
    (subscription,) = stage.publisher.get(path)["data"]
    return f"{path}/{subscription['subscriptionid']}"


def _sequences(stage: Stage) -> list[int]:
    return [diff["sequence"] for diff in stage.publisher.get(_subscription_path(stage))["data"]]


def find_again(stage: Stage) -> None:
    """After another storage layer has taken over, everything is as it was left, and can be changed."""
    publisher = stage.publisher
    expect("owner of the address", stage.owner("new@example.com"), id_of(publisher))
    expect("owner of the old address", stage.owner("old@example.com"), None)
    expect("nested property", publisher.get("/properties/place"), _PLACE)
    expect("items", publisher.get("/properties/notes"), [{"note": "changed"}, *({"note": n} for n in range(2, 12))])
    secret = stage.subscriber.get(f"/trust/friend/{id_of(publisher)}")["secret"]
    expect("property seen by the peer", Client(publisher.url, f"Bearer {secret}").get("/properties/place"), _PLACE)
    expect("trustee again", publisher.post("/methods/make_trustee", {})["peerid"], stage.helper_id)
    before = _sequences(stage)
    publisher.put("/properties/mood", "curious")
    *earlier, latest_number = _sequences(stage)
    expect("diffs", earlier, before)
    expect("number of the new diff is higher", latest_number > max(before), True)
    latest = stage.subscriber.get("/properties/news")[-1]
    expect("latest news", (latest["type"], latest["data"]), ("diff", {"mood": "curious"}))
    photos = {"target": "resources", "subtarget": "photos"}
    expect("suspend again", publisher.post("/methods/suspend", photos), {"changed": False, "suspended": True})


def delete_actors(stage: Stage) -> None:
    """Deleting an actor ends its peer's trust and subscription; nothing of the actors can be reached afterwards.

    The framework forgets suspensions when it deletes an actor, so the application ends them before.
    """
    stage.publisher.post("/methods/resume", {"target": "resources", "subtarget": "photos"})
    stage.subscriber.delete()
    expect("trust", [t for t in stage.publisher.get("/trust") if t["peerid"] == id_of(stage.subscriber)], [])
    expect("subscriptions", stage.publisher.get("/subscriptions")["data"], [])
    stage.publisher.delete()
    expect("owner of the address", stage.owner("new@example.com"), None)
    for actor_id in stage.ids:
        Client(f"{stage.url}/{actor_id}").get("/meta", status=404)


_BEGINNING = (create_actors, keep_properties, keep_list, establish_trust, issue_token, make_trustee, publish_diffs)
LIFE = (load_storage, *_BEGINNING, tell_diffs_apart_by_time, clear_diffs, suspend_diffs)
LIFE_ON_ANY_LAYER = (*_BEGINNING, clear_diffs, suspend_diffs)
"""What works on the framework's own storage layer as well."""
END = (delete_actors,)
