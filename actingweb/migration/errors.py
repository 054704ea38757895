"""The errors that stop a migration, and the exit code of each."""

import errno
from enum import IntEnum

__all__ = ["DuplicateRowError", "ExitCode", "MigrationError", "SourceError", "TargetError", "UsageError", "is_full"]


class ExitCode(IntEnum):
    """The exit codes of the command line tool."""

    OK = 0
    USAGE = 2
    REJECTS = 3
    DIFFERENCES = 4
    SOURCE = 6
    TARGET = 7
    INTERRUPTED = 130
    TERMINATED = 143


class MigrationError(Exception):
    """An expected error. Its text is for the user: it contains no secret, and of stored values only keys."""

    exit_code = ExitCode.USAGE


class UsageError(MigrationError):
    """The arguments, the settings, or the state of source or target do not allow the command."""


class SourceError(MigrationError):
    """The source cannot be read."""

    exit_code = ExitCode.SOURCE


class TargetError(MigrationError):
    """The target cannot be written or read."""

    exit_code = ExitCode.TARGET


class DuplicateRowError(TargetError):
    """A row with this key exists already, and duplicates may not be skipped."""


def is_full(error: OSError) -> bool:
    """Tell whether a file could not be written because of its size: the disk or a quota is full."""
    return error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
