"""Fixtures of the application-level tests."""

import pytest

from actingweb.db.registry import Backend

from .application import Application


@pytest.fixture
def application(backend: Backend) -> Application:
    """Return the application on the backend of the test."""
    return Application(backend)


@pytest.fixture
def anna(application: Application) -> str:
    """Return the id of a registered actor."""
    application.register("anna", "anna@example.com")
    return "anna"


@pytest.fixture
def bob(application: Application) -> str:
    """Return the id of another registered actor."""
    application.register("bob", "bob@example.com")
    return "bob"
