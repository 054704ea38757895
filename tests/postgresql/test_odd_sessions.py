"""Settings of server or role that change the meaning of SQL do not change the results of calls."""

from __future__ import annotations

import pytest

from actingweb.db import get_actor, get_attribute, get_property, get_subscription, transaction
from actingweb.db.registry import Backend
from tests.conftest import SetEnv
from tests.schema.test_sessions import ODD, options
from tests.support import race

TEXT = "back\\slash\\ 'quoted' \\x00 \\' %s \n"

pytestmark = pytest.mark.backends("postgresql")


@pytest.fixture
def odd(backend: Backend, set_env: SetEnv) -> Backend:
    """Return the backend with all such settings, including serializable transactions."""
    set_env(PGOPTIONS=options(ODD))
    return backend


def test_texts_come_back(odd: Backend) -> None:
    assert get_actor(odd).create(actor_id="a\\1", creator=TEXT)
    prop = get_property(odd)
    assert prop.set("a\\1", "email", TEXT)
    assert prop.get("a\\1", "email") == TEXT
    assert prop.get_actor_id_from_property("email", TEXT) == "a\\1"
    attribute = get_attribute(odd)
    assert attribute.set_attr("a\\1", "b\\", "n'", {TEXT: [TEXT, 1.5]})
    found = attribute.get_attr("a\\1", "b\\", "n'")
    assert found is not None
    assert found["data"] == {TEXT: [TEXT, 1.5]}


def test_concurrent_calls_all_count(odd: Backend) -> None:
    """Serializable transactions that conflict are repeated."""
    assert get_actor(odd).create(actor_id="a", creator="c")
    assert get_subscription(odd).create("a", "p", "s", target="properties")

    def increment() -> int | None:
        subscription = get_subscription(odd)
        assert subscription.get("a", "p", "s")
        return subscription.increment_seqnr()

    assert sorted(number or 0 for number in race(4, increment)) == [1, 2, 3, 4]


def test_a_transaction_commits(odd: Backend) -> None:
    with transaction():
        assert get_actor(odd).create(actor_id="a", creator="c")
        assert get_property(odd).set("a", "email", "x")
    assert get_property(odd).get_actor_id_from_property("email", "x") == "a"
