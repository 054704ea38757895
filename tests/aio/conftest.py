"""Fixtures of the contract suite for the tests of `actingweb.db.aio`."""

from tests.contract.conftest import lookup_rows as lookup_rows
from tests.contract.conftest import proxy as proxy
