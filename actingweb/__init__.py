"""ActingWeb: every user gets an actor. This package holds its storage layer alone, :mod:`actingweb.db`."""

DISTRIBUTION = "actingweb-db"
"""Tells this package from the framework's, which has the same name."""
