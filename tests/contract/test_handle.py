"""What `handle` is and does, for every class that holds one row (properties apart)."""

from collections.abc import Callable
from typing import Any

import pytest

from actingweb.db.capabilities import Capability
from actingweb.db.conformance import lacks
from actingweb.db.registry import Backend
from tests.support import new_id

from .support.entities import (
    CREATED_ONCE,
    DIFF,
    ENTITIES,
    MODIFIABLE,
    OWNED,
    PEER_TRUSTEE,
    TRUST,
    Entity,
    each,
    refusal,
)


def _key_of(entity: Entity, owner_id: str) -> dict[str, Any]:
    return {"actor_id": owner_id, **entity.key}


@each(ENTITIES)
class TestRecord:
    def test_it_is_none_at_first(self, backend: Backend, entity: Entity) -> None:
        made = entity.make(backend)
        assert made.handle is None
        assert made.delete() is False

    def test_create_sets_it(self, backend: Backend, entity: Entity, owner_id: str) -> None:
        handle = entity.create(backend, owner_id).handle
        assert {name: handle[name] for name in ("id", *entity.row)} == {"id": owner_id, **entity.row}

    def test_get_sets_it_to_the_same(self, backend: Backend, entity: Entity, owner_id: str) -> None:
        created = entity.create(backend, owner_id).handle
        assert entity.load(backend, owner_id).handle == created

    def test_it_has_attribute_and_item_access(self, backend: Backend, entity: Entity, owner_id: str) -> None:
        handle = entity.create(backend, owner_id).handle
        assert handle
        assert handle.id == handle["id"] == owner_id
        assert all(getattr(handle, name) == handle[name] for name in entity.row)

    def test_a_field_that_is_not_there_raises(self, backend: Backend, entity: Entity, owner_id: str) -> None:
        handle = entity.create(backend, owner_id).handle
        with pytest.raises(AttributeError):
            _ = handle.nothing
        with pytest.raises(KeyError):
            _ = handle["nothing"]

    def test_it_is_read_only(self, backend: Backend, entity: Entity, owner_id: str) -> None:
        handle = entity.create(backend, owner_id).handle
        for name in ("id", *entity.row, "unknown"):
            with pytest.raises(AttributeError):
                setattr(handle, name, "changed")
            with pytest.raises(TypeError):
                handle[name] = "changed"
        with pytest.raises(AttributeError):
            del handle.id

    def test_it_is_a_record_of_the_library(self, backend: Backend, entity: Entity, owner_id: str) -> None:
        assert type(entity.create(backend, owner_id).handle).__module__ == "actingweb.db.records"

    def test_its_repr_shows_class_and_key_only(self, backend: Backend, entity: Entity, owner_id: str) -> None:
        handle = entity.create(backend, owner_id).handle
        assert type(handle).__name__ in repr(handle)
        assert all(str(value) in repr(handle) for value in (owner_id, *entity.key.values()))
        assert "canary" not in repr(handle)

    def test_get_answers_a_fresh_dict(self, backend: Backend, entity: Entity, owner_id: str) -> None:
        made = entity.create(backend, owner_id)
        result = made.get(**_key_of(entity, owner_id))
        assert type(result) is dict
        assert {name: result[name] for name in ("id", *entity.result)} == {"id": owner_id, **entity.result}
        assert made.get(**_key_of(entity, owner_id)) is not result


@each(ENTITIES)
class TestReading:
    def test_a_get_that_misses_clears_it(self, backend: Backend, entity: Entity, owner_id: str) -> None:
        made = entity.create(backend, owner_id)
        assert made.get(**{"actor_id": owner_id, **entity.key, **entity.other_key}) is None
        assert made.handle is None

    @pytest.mark.parametrize("missing", [None, ""])
    def test_a_get_that_lacks_the_actor_clears_it(
        self, backend: Backend, entity: Entity, owner_id: str, missing: str | None
    ) -> None:
        made = entity.create(backend, owner_id)
        assert made.get(**{"actor_id": missing, **(entity.key or {})}) is None
        assert made.handle is None

    @pytest.mark.parametrize("missing", [None, ""])
    def test_a_get_that_lacks_a_key_part_clears_it(
        self, backend: Backend, entity: Entity, owner_id: str, missing: str | None
    ) -> None:
        for part in entity.key.keys() - {"seqnr"}:
            made = entity.create(backend, owner_id, **{part: new_id()})
            assert made.get(**{**_key_of(entity, owner_id), part: missing}) is None
            assert made.handle is None

    @pytest.mark.parametrize("missing", [None, ""])
    def test_a_create_that_lacks_a_key_part_is_false_and_clears_it(
        self, backend: Backend, entity: Entity, owner_id: str, missing: str | None
    ) -> None:
        for part in _key_of(entity, owner_id).keys() - {"seqnr"}:
            made = entity.create(backend, owner_id, **{part: new_id()} if part != "actor_id" else {})
            assert made.create(**{**_key_of(entity, owner_id), **entity.values, part: missing}) is False
            assert made.handle is None

    def test_a_get_reads_the_key_given_whatever_was_loaded(
        self, backend: Backend, entity: Entity, owner_id: str
    ) -> None:
        made = entity.create(backend, owner_id)
        other = {"actor_id": owner_id, **entity.key, **entity.other_key}
        entity.make(backend).create(**{**other, **entity.values, entity.text: "other"})
        assert "other" in made.get(**other).values()
        assert made.handle.id == other["actor_id"]

    def test_after_a_get_that_misses_delete_is_false_and_the_row_stays(
        self, backend: Backend, entity: Entity, owner_id: str
    ) -> None:
        made = entity.create(backend, owner_id)
        made.get(**_key_of(entity, owner_id))
        assert made.get(**{"actor_id": owner_id, **entity.key, **entity.other_key}) is None
        assert made.delete() is False
        assert entity.stored(backend, owner_id)

    def test_changing_the_returned_dict_does_not_change_the_handle(
        self, backend: Backend, entity: Entity, owner_id: str
    ) -> None:
        made = entity.create(backend, owner_id)
        result = made.get(**_key_of(entity, owner_id))
        before = made.handle
        for name in result:
            result[name] = "changed"
        assert made.handle == before
        assert {name: made.handle[name] for name in entity.row} == entity.row
        assert made.delete() is True
        assert entity.stored(backend, owner_id) is None


@pytest.mark.parametrize("entity", [TRUST, PEER_TRUSTEE], ids=["trust", "peer trustee"])
def test_a_second_get_returns_the_other_row_as_others_have_changed_it(
    backend: Backend, entity: Entity, owner_id: str
) -> None:
    made = entity.create(backend, owner_id)
    second = entity.create(backend, owner_id, **entity.other_key)
    assert made.get(actor_id=owner_id, peerid="p1")["peerid"] == "p1"
    second.modify(baseuri="by another")
    result = made.get(actor_id=owner_id, peerid="p2")
    assert (result["peerid"], result["baseuri"]) == ("p2", "by another")
    second.modify(baseuri="and again")
    assert made.get(actor_id=owner_id, peerid="p2")["baseuri"] == "and again"


@each(ENTITIES)
class TestDelete:
    def test_it_deletes_the_row_and_clears_the_handle(self, backend: Backend, entity: Entity, owner_id: str) -> None:
        entity.create(backend, owner_id)
        made = entity.load(backend, owner_id)
        assert made.delete() is True
        assert made.handle is None
        assert entity.stored(backend, owner_id) is None
        assert made.delete() is False

    def test_delete_works_after_a_create(self, backend: Backend, entity: Entity, owner_id: str) -> None:
        assert entity.create(backend, owner_id).delete() is True
        assert entity.stored(backend, owner_id) is None

    def test_delete_keeps_the_other_rows(self, backend: Backend, entity: Entity, owner_id: str) -> None:
        other = entity.create(backend, owner_id, **entity.other_key).handle
        entity.create(backend, owner_id).delete()
        assert entity.stored(backend, owner_id, **entity.other_key)["id"] == other.id

    def test_delete_of_a_row_already_gone_is_true(self, backend: Backend, entity: Entity, owner_id: str) -> None:
        made = entity.create(backend, owner_id)
        assert entity.load(backend, owner_id).delete() is True
        assert made.delete() is True
        assert made.handle is None


@each(MODIFIABLE)
class TestModify:
    def test_without_a_handle_it_is_false(self, backend: Backend, entity: Entity, owner_id: str) -> None:
        entity.create(backend, owner_id)
        before = entity.stored(backend, owner_id)
        assert entity.make(backend).modify(**entity.changes) is False
        assert entity.stored(backend, owner_id) == before

    def test_it_writes_and_shows_the_fields_given(self, backend: Backend, entity: Entity, owner_id: str) -> None:
        made = entity.create(backend, owner_id)
        for argument, value in entity.changes.items():
            assert made.modify(**{argument: value}) is True
            assert made.handle[entity.columns[argument]] == value
        assert entity.load(backend, owner_id).handle == made.handle

    def test_modify_does_not_change_the_other_fields(self, backend: Backend, entity: Entity, owner_id: str) -> None:
        before = entity.create(backend, owner_id).handle
        argument, value = next(iter(entity.changes.items()))
        assert entity.load(backend, owner_id).modify(**{argument: value}) is True
        after = entity.load(backend, owner_id).handle
        changed = [name for name in type(after).fields if after[name] != before[name]]
        assert changed == [entity.columns[argument]]

    def test_modify_without_a_field_is_true_and_changes_nothing(
        self, backend: Backend, entity: Entity, owner_id: str
    ) -> None:
        made = entity.create(backend, owner_id)
        before = made.handle
        assert made.modify() is True
        assert made.handle == before == entity.load(backend, owner_id).handle

    def test_a_field_equal_to_a_stale_handle_is_written(self, backend: Backend, entity: Entity, owner_id: str) -> None:
        entity.create(backend, owner_id, **{entity.text: "first"})
        stale = entity.load(backend, owner_id)
        entity.load(backend, owner_id).modify(**{entity.text: "second"})
        assert stale.modify(**{entity.text: "first"}) is True
        assert "first" in entity.stored(backend, owner_id).values()

    def test_empty_texts_do_not_change_the_fields(self, backend: Backend, entity: Entity, owner_id: str) -> None:
        made = entity.create(backend, owner_id)
        before = made.handle
        assert made.modify(**{entity.text: ""}) is True
        assert entity.load(backend, owner_id).handle == before

    def test_modify_after_a_delete_by_another_client_is_false_and_creates_nothing(
        self, backend: Backend, entity: Entity, owner_id: str
    ) -> None:
        made = entity.create(backend, owner_id)
        entity.load(backend, owner_id).delete()
        assert made.modify(**entity.changes) is False
        assert made.handle is None
        assert entity.stored(backend, owner_id) is None

    def test_two_clients_modify_different_fields_and_both_keep_their_change(
        self, backend: Backend, entity: Entity, owner_id: str
    ) -> None:
        entity.create(backend, owner_id)
        clients = [entity.load(backend, owner_id) for _ in entity.changes]
        for client, (argument, value) in zip(clients, entity.changes.items(), strict=True):
            assert client.modify(**{argument: value}) is True
        row = entity.load(backend, owner_id).handle
        assert {argument: row[entity.columns[argument]] for argument in entity.changes} == entity.changes

    @pytest.mark.parametrize("refused", ["a\x00b", 5, ["a"]], ids=["zero byte", "number", "list"])
    def test_a_modify_that_raises_changes_neither_handle_nor_row(
        self, backend: Backend, entity: Entity, owner_id: str, refused: Any
    ) -> None:
        made = entity.create(backend, owner_id)
        before = made.handle
        with refusal():
            made.modify(**{**entity.changes, entity.text: refused})
        assert made.handle == before == entity.load(backend, owner_id).handle


@each(CREATED_ONCE)
class TestCreateOnce:
    def test_a_second_create_is_false_and_does_not_change_the_row(
        self, backend: Backend, entity: Entity, owner_id: str
    ) -> None:
        entity.create(backend, owner_id)
        before = entity.stored(backend, owner_id)
        again = entity.make(backend)
        assert again.create(**{**_key_of(entity, owner_id), **entity.values, entity.text: "again"}) is False
        assert entity.stored(backend, owner_id) == before

    def test_a_create_that_is_false_clears_the_handle(self, backend: Backend, entity: Entity, owner_id: str) -> None:
        made = entity.create(backend, owner_id)
        assert made.create(**_key_of(entity, owner_id), **entity.values) is False
        assert made.handle is None

    def test_after_a_delete_it_can_be_created_again(self, backend: Backend, entity: Entity, owner_id: str) -> None:
        entity.create(backend, owner_id).delete()
        entity.create(backend, owner_id, **{entity.text: "again"})
        assert "again" in entity.stored(backend, owner_id).values()


@each(OWNED)
class TestUnknownActor:
    @lacks(Capability.ACTOR_REFERENCES)
    def test_without_references_the_row_is_stored(self, backend: Backend, entity: Entity) -> None:
        entity.create(backend, "nobody")
        assert entity.stored(backend, "nobody")["id"] == "nobody"

    def test_a_read_for_an_unknown_actor_finds_nothing(self, backend: Backend, entity: Entity) -> None:
        assert entity.stored(backend, "nobody") is None


def test_a_diff_without_arguments_keeps_the_handle(backend: Backend, actor_id: str) -> None:
    made = DIFF.create(backend, actor_id)
    before = made.handle
    assert made.get()
    assert made.handle == before


@each([entity for entity in MODIFIABLE if entity.key])
def test_a_handle_of_another_actor_changes_only_its_own_row(
    backend: Backend, entity: Entity, new_actor: Callable[..., str]
) -> None:
    one, other = new_actor(), new_actor()
    made = entity.create(backend, one)
    entity.create(backend, other)
    before = entity.stored(backend, other)
    made.modify(**entity.changes)
    made.delete()
    assert entity.stored(backend, one) is None
    assert entity.stored(backend, other) == before
