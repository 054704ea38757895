"""The region of the tables, for the application and for the tools."""

from typing import TYPE_CHECKING

from actingweb.db.dynamodb.driver_logging import silenced
from actingweb.db.environment import region
from actingweb.db.exceptions import ConfigurationError

if TYPE_CHECKING:
    from actingweb.db.settings import Settings

__all__ = ["region_of", "region_of_profile"]

_DEFAULT = "us-west-1"


def region_of(settings: "Settings", profile: str | None = None) -> str:
    """Return the region of a variable, otherwise that of the AWS profile, otherwise the library's default.

    `profile` is by default that of AWS_PROFILE. The files of AWS are read only if no variable names a region. Raise
    `ConfigurationError` if they have no such profile or cannot be read.
    """
    if settings.aws_region is not None:
        return settings.aws_region
    # Imported here, because botocore takes most of a cold start.
    from botocore.exceptions import BotoCoreError

    failure: str
    try:
        found = region_of_profile(profile)
        return region(found, "the region of the AWS profile") if found else _DEFAULT
    except (BotoCoreError, OSError, ValueError) as error:
        failure = str(error)
    raise ConfigurationError(f"AWS_PROFILE, AWS_CONFIG_FILE: {failure}")


def region_of_profile(profile: str | None = None) -> str:
    """Return the region that the files of AWS name for a profile, "" for none. Raise botocore's exceptions.

    `profile` is by default that of AWS_PROFILE.
    """
    from actingweb.db.dynamodb.aws_session import AWSSession

    with silenced():
        # Not botocore's own choice, because it takes a blank variable for a region.
        return str(AWSSession(profile).get_scoped_config().get("region", "")).strip()
