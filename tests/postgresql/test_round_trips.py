"""No method needs more than one round trip (5.2)."""

import pytest

from actingweb.db import get_actor_list, get_property, get_trust
from actingweb.db.postgresql.connection import get_connection, get_schema_name
from actingweb.db.postgresql.revision import HEAD
from actingweb.db.postgresql.schema_facts import facts_of
from actingweb.db.registry import Backend
from testbed.tcp_proxy import TcpProxy
from tests.contract.support.calls import requesting
from tests.support import new_id

pytestmark = pytest.mark.backends("postgresql")

# Past the number of uses after which a statement is prepared.
OFTEN = 9


def test_every_method_takes_one_round_trip_prepared_or_not(backend: Backend, proxy: TcpProxy) -> None:
    taken: dict[str, set[int]] = {}
    for _ in range(OFTEN):
        actor_id = new_id()
        assert backend.DbActor.DbActor().create(actor_id, "someone", "secret")
        for name, call in requesting(backend, actor_id).items():
            before = proxy.flights
            call()
            taken.setdefault(name, set()).add(proxy.flights - before)
    assert {name: counts for name, counts in taken.items() if counts != {1}} == {}


def test_the_types_of_arguments_make_no_statement_another(backend: Backend, actor_id: str, proxy: TcpProxy) -> None:
    trust = get_trust(backend)
    for _ in range(OFTEN):
        trust.create(actor_id, "peer")
    before = proxy.flights
    trust.create(actor_id, "peer", capabilities_fetched_at="2024-01-02", client_name="x", approved=True)
    assert proxy.flights - before == 1


def test_iterate_takes_one_round_trip_a_page(backend: Backend, actor_id: str, proxy: TcpProxy) -> None:
    for number in range(5):
        backend.DbActor.DbActor().create(f"{actor_id}{number}", "someone")
    before = proxy.flights
    assert len(list(get_actor_list(backend).iterate(page_size=4))) == 6
    assert proxy.flights - before == 2


def test_a_connection_is_made_when_it_is_needed(backend: Backend, actor_id: str, proxy: TcpProxy) -> None:
    """The log-in, the detection of a pooler and the check of the schema take round trips only once."""
    before = proxy.flights
    get_property(backend).get(actor_id, "x")
    first = proxy.flights - before
    get_property(backend).get(actor_id, "x")
    assert proxy.flights - before == first + 1
    assert first <= 7


def test_the_look_at_the_schema_takes_one(backend: Backend, proxy: TcpProxy) -> None:
    with get_connection() as connection:
        connection.execute("SELECT 1")
        before = proxy.flights
        connection.rollback()
        connection.autocommit = True
        begun = proxy.flights - before
        facts = facts_of(connection, get_schema_name())
        assert proxy.flights - before - begun == 1
        connection.autocommit = False
    assert facts.revisions == [HEAD]
    assert (facts.encoding, facts.secured) == ("UTF8", False)
