"""Endpoints, and what each request to one has in common."""

import ssl
from os.path import isdir
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import SplitResult, urlsplit

from actingweb.db.dynamodb.wire.messages import DYNAMODB, Api, Target
from actingweb.db.version import __version__

if TYPE_CHECKING:
    from actingweb.db.dynamodb.wire.connections import Proxy

__all__ = ["PORTS", "USER_AGENT", "Endpoint", "name_of", "target_of", "trusting"]

PORTS = {"http": 80, "https": 443}
USER_AGENT = f"actingweb-db/{__version__}"


class Endpoint(NamedTuple):
    """A URL that requests go to, and the region that they are signed for."""

    url: str
    region: str


def target_of(endpoint: Endpoint, signed_path: str = "/", proxy: "Proxy | None" = None, api: Api = DYNAMODB) -> Target:
    """Return where requests to an endpoint go, perhaps through a proxy that forwards them."""
    url = urlsplit(endpoint.url)
    path = url.path or "/"
    extra = f"User-Agent: {USER_AGENT}\r\nAccept-Encoding: identity\r\n"
    if proxy is not None and proxy.authorization:
        extra += f"Proxy-Authorization: {proxy.authorization}\r\n"
    return Target(
        host=_host_of(url),
        path=f"http://{_host_of(url)}{path}" if proxy else path,
        signed_path=signed_path,
        extra=extra,
        version=api.version,
    )


def trusting(authorities: str) -> ssl.SSLContext:
    """Return the TLS of connections to servers that this file or directory of certificates vouches for."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    context.load_verify_locations(**{"capath" if isdir(authorities) else "cafile": authorities})
    return context


def name_of(url: SplitResult) -> str:
    """Return the host's name or address, without brackets."""
    name = url.hostname or ""
    return name if name.isascii() else name.encode("idna").decode()


def _host_of(url: SplitResult) -> str:
    name = name_of(url)
    host = f"[{name}]" if ":" in name else name
    return host if url.port in (None, PORTS[url.scheme]) else f"{host}:{url.port}"
