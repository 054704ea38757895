"""Where the service is and how it is reached: what botocore's own client would use, asked of botocore without one.

A client of botocore reads its model of the service first, which is most of a cold start.
"""

from base64 import b64encode
from typing import Any
from urllib.parse import SplitResult, quote, unquote, urlsplit

from botocore.configprovider import ConfiguredEndpointProvider
from botocore.endpoint import EndpointCreator
from botocore.endpoint_provider import EndpointProvider
from botocore.exceptions import InvalidConfigError
from botocore.httpsession import get_cert_path
from botocore.session import Session
from botocore.utils import (
    get_environ_proxies,
    is_valid_endpoint_url,
    is_valid_ipv6_endpoint_url,
    normalize_url_path,
    validate_region_name,
)

from actingweb.db.dynamodb.wire.connections import Proxy, Route
from actingweb.db.dynamodb.wire.endpoint import PORTS, Endpoint, name_of, target_of, trusting
from actingweb.db.dynamodb.wire.failures import ProxyUrlError
from actingweb.db.dynamodb.wire.messages import DYNAMODB, Api, Target

__all__ = ["Service", "proxy_of"]

_RULES = "{}/2012-08-10/endpoint-rule-set-1"
_ACCOUNT_MODES = ("preferred", "disabled", "required")


class Service:
    """DynamoDB, or its Streams, as the settings and files of AWS describe it.

    It asks botocore once, and is not changed by use.

    Every method raises botocore's exceptions for settings that are wrong, and `ValueError` for a URL that is none.
    """

    def __init__(self, session: Session, region: str, host: str | None, api: Api = DYNAMODB) -> None:
        """`host` is the URL of the endpoint; None lets botocore say."""
        self._session = session
        self.api = api
        # The names of regions that AWS gave to endpoints with FIPS.
        self._region = region.replace("fips-", "").replace("-fips", "")
        self._fips = self._region != region or bool(session.get_config_variable("use_fips_endpoint"))
        validate_region_name(self._region)
        self._host = host or self._configured()
        if self._host is not None and not (is_valid_endpoint_url(self._host) or is_valid_ipv6_endpoint_url(self._host)):
            raise ValueError(f"Invalid endpoint: {self._host}")
        self._found: dict[str | None, Endpoint] = {}

    def endpoint(self, account: str | None) -> Endpoint:
        """Return the endpoint for the requests of an account."""
        found = self._found.get(account)
        if found is None:
            found = self._found[account] = self._resolve(account)
        return found

    def route(self, endpoint: Endpoint) -> Route:
        """Return how an endpoint is reached. Raise `ProxyUrlError` for a proxy that cannot be used."""
        url = urlsplit(endpoint.url)
        tls = trusting(self.authorities) if url.scheme == "https" else None
        keepalive = bool(self._session.get_config_variable("tcp_keepalive"))
        return Route(name_of(url), url.port or PORTS[url.scheme], tls, proxy_of(endpoint.url), keepalive)

    def target(self, endpoint: Endpoint) -> Target:
        """Return where requests to an endpoint go."""
        url = urlsplit(endpoint.url)
        proxy = proxy_of(endpoint.url) if url.scheme == "http" else None
        return target_of(endpoint, quote(normalize_url_path(url.path or "/"), safe="/~"), proxy, self.api)

    def _configured(self) -> str | None:
        """Return the URL that the variables and files of AWS name."""
        session = self._session
        if session.get_config_variable("ignore_configured_endpoint_urls"):
            return None
        provider = ConfiguredEndpointProvider(
            full_config=session.full_config, scoped_config=session.get_scoped_config(), client_name=self.api.name
        )
        url: str | None = provider.provide()
        return url

    def _resolve(self, account: str | None) -> Endpoint:
        mode = self._account_mode()
        if self._host is not None:
            return Endpoint(self._host, self._region)
        # A client of botocore hands the rules the same.
        facts: dict[str, Any] = {
            "Region": self._region,
            "UseFIPS": self._fips,
            "UseDualStack": bool(self._session.get_config_variable("use_dualstack_endpoint")),
            "AccountIdEndpointMode": mode,
        }
        if account is not None:
            facts["AccountId"] = account
        loader = self._session.get_component("data_loader")
        rules = EndpointProvider(loader.load_data(_RULES.format(self.api.name)), loader.load_data("partitions"))
        found = rules.resolve_endpoint(**facts)
        schemes = found.properties.get("authSchemes") or [{}]
        # The rules of one of the two services do not name the region that botocore signs for DynamoDB Local.
        region = "us-east-1" if self._region == "local" else self._region
        return Endpoint(found.url, schemes[0].get("signingRegion", region))

    def _account_mode(self) -> str:
        mode = str(self._session.get_config_variable("account_id_endpoint_mode")).lower()
        if mode not in _ACCOUNT_MODES:
            raise InvalidConfigError(error_msg=f"account_id_endpoint_mode must be one of {', '.join(_ACCOUNT_MODES)}")
        return mode

    @property
    def authorities(self) -> str:
        """The file or directory of trusted certificates that the settings name, else the one that botocore takes."""
        creator: Any = EndpointCreator(self._session.get_component("event_emitter"))
        return get_cert_path(creator._get_verify_value(self._session.get_config_variable("ca_bundle"))) or ""


def proxy_of(url: str) -> Proxy | None:
    """Return the proxy that the variables name for a URL. Raise `ProxyUrlError` if it cannot be used."""
    named = get_environ_proxies(url).get(urlsplit(url).scheme)
    if not named:
        return None
    try:
        proxy = urlsplit(named if "://" in named else f"http://{named.removeprefix('//')}")
        port = proxy.port
    except ValueError:
        proxy, port = SplitResult("", "", "", "", ""), None
    # Not quoted: it can hold a password.
    if proxy.scheme != "http" or not proxy.hostname:
        raise ProxyUrlError(
            "the URL of the proxy must begin with http://, which AWS_DB_TRANSPORT=botocore does not ask for"
        )
    return Proxy(proxy.hostname, port or PORTS["http"], _basic(proxy))


def _basic(proxy: SplitResult) -> str | None:
    """Return the authorization of the user and password of a URL."""
    if not proxy.username or proxy.password is None:
        return None
    pair = f"{unquote(proxy.username)}:{unquote(proxy.password)}"
    return f"Basic {b64encode(pair.encode()).decode()}"
