"""The release, without an import of the rest of the package."""

__all__ = ["VERSION"]

VERSION = "4.0.0"
