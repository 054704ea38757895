"""DbActorList: all actors, at once and as a stream."""

from collections.abc import Callable, Generator

import pytest

from actingweb.db import get_actor, get_actor_list
from actingweb.db.protocols import DbActorListProtocol
from actingweb.db.registry import Backend
from tests.conftest import SetEnv

from .support.entities import AWKWARD_TEXTS, refusal

pytestmark = pytest.mark.aio


@pytest.fixture
def actors(backend: Backend) -> DbActorListProtocol:
    return get_actor_list(backend)


class TestFetch:
    def test_no_actor_is_an_empty_list(self, actors: DbActorListProtocol) -> None:
        assert actors.fetch() == []

    def test_it_shows_id_and_creator(self, backend: Backend, actors: DbActorListProtocol) -> None:
        get_actor(backend).create("a1", "me", "canary")
        get_actor(backend).create("a2")
        assert actors.fetch() == [{"id": "a1", "creator": "me"}, {"id": "a2", "creator": ""}]

    def test_it_is_in_the_order_of_the_bytes_of_the_id(
        self, actors: DbActorListProtocol, new_actor: Callable[..., str]
    ) -> None:
        for text in reversed(AWKWARD_TEXTS):
            new_actor(text)
        assert [row["id"] for row in actors.fetch()] == AWKWARD_TEXTS

    def test_fetch_sees_a_row_that_was_just_written(
        self, actors: DbActorListProtocol, new_actor: Callable[..., str]
    ) -> None:
        for count in range(1, 6):
            new_actor()
            assert len(actors.fetch()) == count

    def test_the_handle_is_none(self, actors: DbActorListProtocol, actor_id: str) -> None:
        assert actors.handle is None
        assert actors.fetch()
        assert actors.handle is None


class TestIterate:
    @pytest.mark.parametrize("page_size", [1, 7, 24, 25, 1000, 2**31, 10**40])
    def test_it_yields_every_actor_once_whatever_the_page(
        self, actors: DbActorListProtocol, new_actor: Callable[..., str], page_size: int
    ) -> None:
        for number in range(24):
            new_actor(f"a{number:02}")
        rows = list(actors.iterate(page_size=page_size))
        assert sorted(rows, key=lambda row: str(row["id"])) == actors.fetch()

    def test_no_actor_is_an_empty_stream(self, actors: DbActorListProtocol) -> None:
        assert list(actors.iterate()) == []

    def test_closing_it_frees_the_only_connection(
        self, actors: DbActorListProtocol, new_actor: Callable[..., str], set_env: SetEnv
    ) -> None:
        set_env(PG_POOL_MIN_SIZE="1", PG_POOL_MAX_SIZE="1", PG_POOL_TIMEOUT="30")
        for _ in range(5):
            new_actor()
        for _ in range(3):
            stream = actors.iterate(page_size=2)
            assert isinstance(stream, Generator)
            assert next(stream)["id"]
            stream.close()
            assert len(actors.fetch()) == 5

    def test_two_streams_do_not_disturb_one_another(
        self, actors: DbActorListProtocol, new_actor: Callable[..., str]
    ) -> None:
        for _ in range(5):
            new_actor()
        pairs = list(zip(actors.iterate(page_size=2), actors.iterate(page_size=3), strict=True))
        assert len({one["id"] for one, _ in pairs}) == len({other["id"] for _, other in pairs}) == 5

    def test_rows_can_be_written_while_it_runs(
        self, backend: Backend, actors: DbActorListProtocol, new_actor: Callable[..., str]
    ) -> None:
        ids = {new_actor() for _ in range(5)}
        for row in actors.iterate(page_size=2):
            actor = get_actor(backend)
            actor.get(row["id"])
            assert actor.delete() is True
            ids.discard(row["id"])
        assert ids == set()
        assert actors.fetch() == []

    @pytest.mark.parametrize("page_size", ["many", None, 1.5])
    def test_a_page_size_that_is_no_number_is_refused(self, actors: DbActorListProtocol, page_size: int) -> None:
        with refusal():
            list(actors.iterate(page_size=page_size))
