"""Sessions of botocore, which find settings and credentials."""

from typing import Any

from botocore.session import Session

__all__ = ["AWSSession"]


class AWSSession(Session):
    """A session without the handlers of clients, which take nine tenths of the time in which a session is made.

    Few need a client: for credentials of a role that is assumed, or of single sign-on.
    """

    def __init__(self, profile: str | None = None) -> None:
        super().__init__(include_builtin_handlers=False, profile=profile)

    def create_client(self, *arguments: Any, **options: Any) -> Any:
        """Return a client that another session has made, which has the handlers."""
        return Session(profile=self.profile).create_client(*arguments, **options)
