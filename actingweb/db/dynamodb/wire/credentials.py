"""Which keys sign requests, and for which account: found and refreshed by botocore, asked before each request.

All raise botocore's exceptions, as `NoCredentialsError`, and no others.
"""

from botocore.configprovider import ConstantProvider
from botocore.credentials import Credentials as AWSCredentials
from botocore.credentials import ReadOnlyCredentials
from botocore.exceptions import CredentialRetrievalError, NoCredentialsError
from botocore.session import Session

from actingweb.db.dynamodb.driver_logging import silenced
from actingweb.db.dynamodb.wire.signature import Keys

__all__ = ["Credentials"]

_FOREIGN = (ArithmeticError, AttributeError, LookupError, OSError, RuntimeError, TypeError, ValueError)
"""What botocore's providers let through, of a source that answers with nonsense or with expired keys."""


class Credentials:
    """The credentials of a session of botocore. Thread-safe.

    Attributes:
        method: which of botocore's providers found them: `env`, `shared-credentials-file`, `iam-role` ...
    """

    def __init__(self, session: Session, region: str, search_seconds: float) -> None:
        """Find them; those of the host's role, which are asked for in two requests, within `search_seconds`.

        A service that is asked for them is asked in this region, unless the files of AWS name another one for it.
        """
        session.set_config_variable("region", region)
        _limit_search(session, search_seconds)
        try:
            with silenced():
                found = session.get_credentials()
        except _FOREIGN as error:
            raise _not_retrieved(error) from None
        if found is None:
            raise NoCredentialsError
        self.method = str(found.method)
        self._found = found
        # One tuple, so that a thread never sees the keys of others.
        self._last: tuple[ReadOnlyCredentials, Keys] | None = None
        # Those of no other class stay the same.
        self._fixed = _keys_of(found.get_frozen_credentials()) if type(found) is AWSCredentials else None

    def keys(self) -> Keys:
        """Return the keys of this moment, the same object as long as they are the same; refresh them when needed."""
        if self._fixed is not None:
            return self._fixed
        try:
            with silenced():
                frozen = self._found.get_frozen_credentials()
        except _FOREIGN as error:
            raise _not_retrieved(error) from None
        last = self._last
        if last is None or last[0] is not frozen:
            last = self._last = (frozen, _keys_of(frozen))
        return last[1]


def _not_retrieved(error: Exception) -> CredentialRetrievalError:
    # Without the text of the error, which can quote what the source answered.
    return CredentialRetrievalError(provider="any", error_msg=type(error).__name__)


def _keys_of(frozen: ReadOnlyCredentials) -> Keys:
    return Keys(frozen.access_key or "", frozen.secret_key or "", frozen.token, frozen.account_id)


def _limit_search(session: Session, seconds: float) -> None:
    attempts = session.get_config_variable("metadata_service_num_attempts")
    wait = min(session.get_config_variable("metadata_service_timeout"), seconds / 2 / attempts)
    # As a variable of the session it would be made an integer.
    session.get_component("config_store").set_config_provider("metadata_service_timeout", ConstantProvider(wait))
