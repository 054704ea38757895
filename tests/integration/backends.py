"""Which backends the application-level tests run on."""

import os

import pytest

_NAMED = os.environ.get("DATABASE_BACKEND")

on_named_backend = pytest.mark.backends(*([_NAMED] if _NAMED else ["dynamodb", "postgresql"]))
"""The backend that DATABASE_BACKEND names when the session starts; without it both databases."""
