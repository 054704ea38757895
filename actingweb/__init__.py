"""ActingWeb: every user gets an actor. This package holds its storage layer alone, :mod:`actingweb.db`."""

__distribution__ = "actingweb-db"
"""Tells this package from the framework's, which has the same name."""
