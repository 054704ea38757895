"""An ActingWeb application that the framework's own Python runs: `python application.py PORT`.

Next to the routes of the framework it has `/storage` and `/owner/{email}`.
"""

from __future__ import annotations

import asyncio
import sys
from typing import Any

import uvicorn
from fastapi import FastAPI

from actingweb.interface import ActingWebApp, ActorInterface, RemotePeerStore
from actingweb.interface.oauth_client_manager import OAuth2ClientManager

_STORAGE_MODULES = (
    *("DbActor", "DbPeerTrustee", "DbProperty", "DbAttribute"),
    *("DbSubscription", "DbSubscriptionDiff", "DbTrust", "DbSubscriptionSuspension"),
)


def build(port: int) -> Any:
    """Return the application; `DATABASE_BACKEND` and the settings of `actingweb.db` name its database."""
    app = (
        ActingWebApp(aw_type="urn:actingweb:example.com:framework", fqdn=f"127.0.0.1:{port}", proto="http://")
        .with_web_ui(False)
        .with_sync_callbacks()
        .with_indexed_properties(["email"])
        .with_subscription_processing()
        .add_actor_type("helper")
    )
    app.subscription_data_hook("properties")(keep_news)
    for method in (read_slice, read_remote, suspend, resume, issue_token, make_trustee):
        app.method_hook(method.__name__)(method)
    return app


def keep_news(actor: Any, peer_id: str, target: str, data: dict[str, Any], sequence: int, callback_type: str) -> None:
    """Append what a publisher sends to the property list `news`."""
    actor.property_lists.news.append({"sequence": sequence, "type": callback_type, "data": data})


def read_slice(actor: Any, method_name: str, data: dict[str, Any]) -> dict[str, Any]:
    """Return some items of a property list."""
    return {"items": getattr(actor.property_lists, data["list"]).slice(data["start"], data["end"])}


def read_remote(actor: Any, method_name: str, data: dict[str, Any]) -> dict[str, Any]:
    """Return this actor's copy of a peer's properties."""
    return {"properties": RemotePeerStore(actor, data["peer"]).get_all_properties()}


def suspend(actor: Any, method_name: str, data: dict[str, Any]) -> dict[str, Any]:
    """Stop the diffs of a target."""
    return {"changed": actor.subscriptions.suspend(**data), "suspended": actor.subscriptions.is_suspended(**data)}


async def resume(actor: Any, method_name: str, data: dict[str, Any]) -> dict[str, Any]:
    """Start the diffs of a target again.

    Subscribers read the publisher before they answer, so the event loop must stay free.
    """
    told = await asyncio.to_thread(actor.subscriptions.resume, **data)
    return {"told": told, "suspended": actor.subscriptions.is_suspended(**data)}


def issue_token(actor: Any, method_name: str, data: dict[str, Any]) -> dict[str, Any]:
    """Register an OAuth2 client, check its secret and issue an access token."""
    manager = OAuth2ClientManager(actor.id, actor.config)
    client = manager.create_client("Assistant")
    client_id = client["client_id"]
    return {
        "valid": manager.validate_client(client_id, client["client_secret"]),
        "wrong_secret_valid": manager.validate_client(client_id, "wrong"),
        "clients": manager.client_count,
        "token_type": (manager.generate_access_token(client_id) or {}).get("token_type"),
    }


async def make_trustee(actor: Any, method_name: str, data: dict[str, Any]) -> dict[str, Any]:
    """Return the actor for which this one is trustee, made at the first call."""
    return dict(await asyncio.to_thread(actor.core_actor.get_peer_trustee, shorttype="helper"))


def _add_probes(api: FastAPI, config: Any) -> None:
    def storage() -> dict[str, list[str]]:
        modules = {name: getattr(config, name) for name in _STORAGE_MODULES}
        return {name: [module.__name__, module.__file__] for name, module in modules.items()}

    def owner(email: str) -> str | None:
        actor = ActorInterface.get_by_property("email", email, config)
        return None if actor is None else str(actor.id)

    api.get("/storage")(storage)
    api.get("/owner/{email}")(owner)


def main(port: int) -> None:
    """Serve the application on 127.0.0.1."""
    app = build(port)
    api = FastAPI()
    _add_probes(api, app.get_config())
    app.integrate_fastapi(api)
    uvicorn.run(api, host="127.0.0.1", port=port, log_level="warning")


if __name__ == "__main__":
    main(int(sys.argv[1]))
