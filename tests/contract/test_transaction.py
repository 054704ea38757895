"""`transaction()` where there is none; tests/postgresql/test_transaction.py has what it does."""

import pytest

from actingweb.db import DbNotSupportedError, get_property, load_backend, transaction
from actingweb.db.capabilities import Capability
from actingweb.db.conformance import lacks, requires
from actingweb.db.registry import Backend


@lacks(Capability.TRANSACTIONS)
def test_a_backend_without_transactions_says_so(backend: Backend) -> None:
    with pytest.raises(DbNotSupportedError), transaction(backend):
        pytest.fail("the block began")


@lacks(Capability.TRANSACTIONS)
def test_the_error_names_what_to_use_instead(backend: Backend) -> None:
    with pytest.raises(DbNotSupportedError, match="set_many"):
        transaction(backend)


@pytest.mark.no_aio  # tests/aio has those of the asynchronous interface
@requires(Capability.TRANSACTIONS)
def test_the_configuration_names_the_backend(backend: Backend, actor_id: str) -> None:
    with transaction(backend):
        get_property(backend).set(actor_id, "color", "red")
    assert get_property(backend).get(actor_id, "color") == "red"


@pytest.mark.parametrize("name", ["dynamodb", "postgresql", "memory"])
def test_a_backend_says_whether_it_has_transactions(name: str) -> None:
    assert (Capability.TRANSACTIONS in load_backend(name).capabilities) is (name == "postgresql")
