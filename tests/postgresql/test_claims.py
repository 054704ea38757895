"""Claims under concurrency: the look-up rows after every order of events."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from actingweb.db import get_property, get_property_list, transaction
from actingweb.db.postgresql.property_lookup import compute_lookup_key
from actingweb.db.protocols import DbPropertyProtocol
from actingweb.db.registry import Backend
from tests.support import PATIENCE, race, wait_until

from .conftest import PgConnection
from .test_recovery import blocked, wait_until_blocked

pytestmark = pytest.mark.backends("postgresql")

NewActor = Callable[..., str]
KEY = compute_lookup_key("email", "wanted")
UPSERT = (
    "INSERT INTO properties (id, name, value) VALUES (%s, 'email', %s) "
    "ON CONFLICT (id, name) DO UPDATE SET value = excluded.value"
)


def owners(pg: PgConnection) -> list[tuple[str, str]]:
    return pg.execute("SELECT lookup_key, actor_id FROM property_lookup ORDER BY 1, 2").fetchall()


def released(pg: PgConnection, owner: str) -> None:
    """Store a claim on "wanted" whose owner does not hold it."""
    pg.execute(
        "INSERT INTO property_lookup (lookup_key, property_name, actor_id) VALUES (%s, 'email', %s)", [KEY, owner]
    )


def test_a_claim_that_its_owner_renews_meanwhile_is_kept(
    backend: Backend, new_actor: NewActor, pg: PgConnection, caplog: pytest.LogCaptureFixture
) -> None:
    owner, rival = new_actor(), new_actor()
    released(pg, owner)
    with ThreadPoolExecutor(1) as threads:
        with pg.transaction():
            pg.execute(UPSERT, [owner, "wanted"])
            pg.execute("UPDATE property_lookup SET actor_id = actor_id WHERE lookup_key = %s", [KEY])
            taking = threads.submit(get_property(backend).set, rival, "email", "wanted")
            wait_until_blocked(pg)
        assert taking.result(PATIENCE)
    assert owners(pg) == [(KEY, owner)]
    assert "LOOKUP_COLLISION" in caplog.text


def test_a_claim_released_at_this_moment_is_taken(backend: Backend, new_actor: NewActor, pg: PgConnection) -> None:
    owner, rival = new_actor(), new_actor()
    assert get_property(backend).set(owner, "email", "wanted")
    with ThreadPoolExecutor(1) as threads:
        with pg.transaction():
            pg.execute("DELETE FROM property_lookup WHERE lookup_key = %s", [KEY])
            pg.execute("DELETE FROM properties WHERE id = %s", [owner])
            taking = threads.submit(get_property(backend).set, rival, "email", "wanted")
            wait_until_blocked(pg)
        assert taking.result(PATIENCE)
    assert owners(pg) == [(KEY, rival)]


def test_one_of_many_takes_a_released_claim(backend: Backend, new_actor: NewActor, pg: PgConnection) -> None:
    released(pg, new_actor())
    rivals = [new_actor() for _ in range(8)]
    waiting = iter(rivals)
    assert all(race(8, lambda: get_property(backend).set(next(waiting), "email", "wanted")))
    [(key, owner)] = owners(pg)
    assert key == KEY
    assert owner in rivals
    assert get_property(backend).get_actor_id_from_property("email", "wanted") == owner


@pytest.fixture
def paused_deletes(pg: PgConnection) -> Iterator[None]:
    """Make each delete of properties wait for advisory lock 7 after it has run."""
    pg.execute(
        "CREATE FUNCTION pause() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN PERFORM pg_advisory_xact_lock(7); RETURN NULL; END $$"
    )
    pg.execute("CREATE TRIGGER pause AFTER DELETE ON properties FOR EACH STATEMENT EXECUTE FUNCTION pause()")
    yield
    pg.execute("DROP FUNCTION pause CASCADE")


@pytest.mark.parametrize("delete", ["set", "batch_delete"])
def test_a_delete_that_found_nothing_spares_the_claim_of_a_set_at_the_same_moment(
    delete: str, backend: Backend, actor_id: str, pg: PgConnection, paused_deletes: None
) -> None:
    arguments = ["email", ""] if delete == "set" else [["email"]]
    with ThreadPoolExecutor(1) as threads:
        pg.execute("SELECT pg_advisory_lock(7)")
        deleting = threads.submit(getattr(get_property(backend), delete), actor_id, *arguments)
        wait_until_blocked(pg)
        assert get_property(backend).set(actor_id, "email", "wanted")
        pg.execute("SELECT pg_advisory_unlock(7)")
        deleting.result(PATIENCE)
    assert get_property(backend).get(actor_id, "email") == "wanted"
    assert owners(pg) == [(KEY, actor_id)]


@pytest.mark.parametrize("call", ["create_if_not_exists", "set_if_value_equals"])
def test_a_conditional_call_that_is_false_claims_nothing(
    call: str, backend: Backend, actor_id: str, pg: PgConnection
) -> None:
    assert get_property(backend).set(actor_id, "email", "kept")
    before = owners(pg)
    arguments = {"expected": "other"} if call == "set_if_value_equals" else {}
    assert getattr(get_property(backend), call)(actor_id, "email", value="wanted", **arguments) is False
    assert owners(pg) == before


@pytest.fixture
def paused_writes(pg: PgConnection) -> Iterator[None]:
    """Make each insert and update of properties wait for advisory lock 7 after it has run."""
    pg.execute(
        "CREATE FUNCTION pause() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN PERFORM pg_advisory_lock(7), pg_advisory_unlock(7); RETURN NULL; END $$"
    )
    pg.execute("CREATE TRIGGER pause AFTER INSERT OR UPDATE ON properties EXECUTE FUNCTION pause()")
    yield
    pg.execute("DROP FUNCTION pause CASCADE")


CONDITIONAL: dict[str, Callable[[DbPropertyProtocol, str], bool]] = {
    "create_if_not_exists": lambda prop, actor_id: prop.create_if_not_exists(actor_id, "email", "wanted"),
    "set_if_value_equals": lambda prop, actor_id: prop.set_if_value_equals(actor_id, "email", "other", "wanted"),
}


@pytest.mark.parametrize("call", CONDITIONAL)
def test_a_conditional_call_that_is_false_claims_no_value_that_the_actor_gives_up(
    call: str, backend: Backend, actor_id: str, pg: PgConnection, paused_writes: None
) -> None:
    """The stored value equals the new one when the condition is found false, but its row is not locked."""
    assert get_property(backend).set(actor_id, "email", "wanted")
    with ThreadPoolExecutor(1) as threads:
        pg.execute("SELECT pg_advisory_lock(7)")
        called = threads.submit(CONDITIONAL[call], get_property(backend), actor_id)
        wait_until_blocked(pg)
        with pg.transaction():
            pg.execute(UPSERT, [actor_id, "next"])
            pg.execute("DELETE FROM property_lookup WHERE lookup_key = %s", [KEY])
            pg.execute("SELECT pg_advisory_unlock(7)")
            # The caller waits for what it may not touch, or is done.
            wait_until(lambda: called.done() or waits_for_a_row(pg))
        assert called.result(PATIENCE) is False
    assert get_property(backend).get(actor_id, "email") == "next"
    assert owners(pg) == []


def waits_for_a_row(pg: PgConnection) -> bool:
    """Tell whether another session waits for this one's transaction."""
    waiting = "SELECT FROM pg_locks WHERE locktype = 'transactionid' AND NOT granted"
    return bool(pg.execute(f"{waiting} AND pg_backend_pid() = ANY(pg_blocking_pids(pid))").rowcount)


@pytest.mark.parametrize("call", CONDITIONAL)
def test_what_a_conditional_call_was_told_does_not_concern_the_next_call_of_a_transaction(
    call: str, backend: Backend, new_actor: NewActor, pg: PgConnection
) -> None:
    actor_id, other = new_actor(), new_actor()
    assert get_property(backend).set(other, "email", "taken")
    with transaction():
        assert get_property(backend).create_if_not_exists(actor_id, "email", "first")
        assert CONDITIONAL[call](get_property(backend), actor_id) is False
        assert get_property(backend).set(actor_id, "email", "wanted")
        assert get_property(backend).set_if_value_equals(other, "email", "taken", "next")
    assert get_property(backend).get_actor_id_from_property("email", "wanted") == actor_id
    assert get_property(backend).get_actor_id_from_property("email", "next") == other
    assert len(owners(pg)) == 2


def _wipe(backend: Backend, actor_id: str) -> object:
    everything = get_property_list(backend)
    everything.fetch(actor_id)
    return everything.delete()


REMOVALS: dict[str, Callable[[Backend, str], object]] = {
    "set to nothing": lambda backend, actor_id: get_property(backend).set(actor_id, "email", None),
    "batch_delete": lambda backend, actor_id: get_property(backend).batch_delete(actor_id, ["email", "other"]),
    "delete_if_value_equals": lambda backend, actor_id: get_property(backend).delete_if_value_equals(
        actor_id, "email", "wanted"
    ),
    "set_many": lambda backend, actor_id: get_property(backend).set_many(actor_id, {"email": None, "other": "x"}),
    "wipe": _wipe,
}


@pytest.mark.parametrize("removal", REMOVALS)
def test_a_delete_that_found_nothing_spares_a_claim_taken_up_again_at_the_same_moment(
    removal: str, backend: Backend, actor_id: str, pg: PgConnection
) -> None:
    released(pg, actor_id)
    with ThreadPoolExecutor(1) as threads:
        with pg.transaction():
            pg.execute(UPSERT, [actor_id, "wanted"])
            pg.execute("UPDATE property_lookup SET actor_id = actor_id WHERE lookup_key = %s", [KEY])
            removing = threads.submit(REMOVALS[removal], backend, actor_id)
            wait_until(lambda: removing.done() or blocked(pg))
        removing.result(PATIENCE)
    assert get_property(backend).get_actor_id_from_property("email", "wanted") == actor_id


def test_a_wipe_spares_the_claims_of_others(backend: Backend, new_actor: NewActor, pg: PgConnection) -> None:
    mine, other = new_actor(), new_actor()
    assert get_property(backend).set(other, "email", "wanted")
    assert get_property(backend).set(mine, "email", "wanted")
    assert get_property(backend).set(mine, "oauthId", "x")
    everything = get_property_list(backend)
    everything.fetch(mine)
    assert everything.delete()
    assert owners(pg) == [(KEY, other)]
