"""The release, without an import of the rest of the package."""

__all__ = ["__version__"]

__version__ = "4.0.0"
