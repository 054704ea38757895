"""Where the service is and which keys sign requests, if environment variables alone say so, as on AWS Lambda.

botocore would say the same, but importing it takes longer than everything else of a cold start together.
"""

import os.path
import re
import sys
from collections.abc import Mapping
from importlib.util import find_spec
from urllib.parse import urlsplit

from actingweb.db.dynamodb.wire.connections import Route
from actingweb.db.dynamodb.wire.endpoint import PORTS, Endpoint, name_of, target_of, trusting
from actingweb.db.dynamodb.wire.messages import DYNAMODB, Target
from actingweb.db.dynamodb.wire.signature import Keys

__all__ = ["Variables"]

# Every other variable whose name begins with AWS_ may mean something to botocore.
_KNOWN = re.compile(
    "AWS_(ACCESS_KEY_ID|SECRET_ACCESS_KEY|SESSION_TOKEN|SECURITY_TOKEN|REGION|DEFAULT_REGION|EC2_METADATA_DISABLED"
    "|EXECUTION_ENV|DB_.*|LAMBDA_.*|XRAY_.*)"
)
_PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY")
_FILES = ("~/.aws/config", "~/.aws/credentials")
# The partition of most regions; the rules for the others are botocore's.
_REGION = r"(us|eu|ap|sa|ca|me|af|il|mx)-[a-z]+-[0-9]+"
_URL = r"https?://[A-Za-z0-9.-]+(:[0-9]+)?/?"


class Variables:
    """An endpoint and the keys for it. It has the methods of `Service` and of `Credentials`.

    Attributes:
        method: see `Credentials`.
        api: the service.
    """

    method = "env"
    api = DYNAMODB

    def __init__(self, endpoint: Endpoint, keys: Keys, authorities: str | None = None) -> None:
        self._endpoint = endpoint
        self._keys = keys
        self._authorities = authorities

    @classmethod
    def alone(cls, environment: Mapping[str, str], region: str, host: str | None) -> "Variables | None":
        """Return what the variables say; None if something else may have a say too, so that botocore has to be asked.

        `host` is the URL of the endpoint; None means that of AWS.
        """
        access_key, secret_key = environment.get("AWS_ACCESS_KEY_ID"), environment.get("AWS_SECRET_ACCESS_KEY")
        if not access_key or not secret_key or not _suffice(environment):
            return None
        if not re.fullmatch(_REGION, region) or not (host is None or re.fullmatch(_URL, host)):
            return None
        token = environment.get("AWS_SECURITY_TOKEN") or environment.get("AWS_SESSION_TOKEN")
        url = host or f"https://dynamodb.{region}.amazonaws.com"
        authorities = environment.get("REQUESTS_CA_BUNDLE") or None
        return cls(Endpoint(url, region), Keys(access_key, secret_key, token or None), authorities)

    def keys(self) -> Keys:
        """Return the keys, which stay the same."""
        return self._keys

    def endpoint(self, _account: str | None) -> Endpoint:
        """Return the endpoint, which is the same for all accounts."""
        return self._endpoint

    def route(self, endpoint: Endpoint) -> Route:
        """Return how an endpoint is reached."""
        url = urlsplit(endpoint.url)
        tls = trusting(self.authorities) if url.scheme == "https" else None
        return Route(name_of(url), url.port or PORTS[url.scheme], tls)

    def target(self, endpoint: Endpoint) -> Target:
        """Return where requests to an endpoint go."""
        return target_of(endpoint)

    @property
    def authorities(self) -> str:
        """The file or directory of trusted certificates: that of the variable, else certifi's, else botocore's."""
        if self._authorities is not None:
            return self._authorities
        if find_spec("certifi") is not None:
            from certifi import where

            return where()
        spec = find_spec("botocore")
        return os.path.join(os.path.dirname(spec.origin or "") if spec else "", "cacert.pem")


def _suffice(environment: Mapping[str, str]) -> bool:
    """Tell whether no other variable, no file and no setting of the system can change endpoint, keys or route."""
    if sys.platform in ("darwin", "win32"):
        return False  # The system can name proxies.
    if any(name.startswith("AWS_") and not _KNOWN.fullmatch(name) for name in environment):
        return False
    if any(environment.get(variant) for name in _PROXIES for variant in (name, name.lower())):
        return False
    return not any(os.path.exists(os.path.expanduser(name)) for name in _FILES)
