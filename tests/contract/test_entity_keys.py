"""What keys and texts may be for the classes that hold one row (properties apart), and who wins a create."""

import functools
import itertools
from collections.abc import Callable
from typing import Any

import pytest

from actingweb.db import DbSchemaError, DbUnknownActorError
from actingweb.db.capabilities import Capability
from actingweb.db.conformance import Facility, lacks, requires
from actingweb.db.registry import Backend
from tests.support import race

from .support.entities import (
    ACTOR,
    AWKWARD_TEXTS,
    CREATED_ONCE,
    DIFF,
    ENTITIES,
    MODIFIABLE,
    OWNED,
    PEER_TRUSTEE,
    SUBSCRIPTION,
    TRUST,
    Entity,
    each,
    refusal,
)

# An argument of each entity that is part of the range key on DynamoDB and an id on PostgreSQL, and how many bytes
# the rest of the composed range key takes.
ID_PARTS = [(TRUST, "peerid", 0), (PEER_TRUSTEE, "peerid", 0), (SUBSCRIPTION, "peerid", 3), (DIFF, "subid", 2)]


def _text_keys(entity: Entity) -> list[str]:
    return ["actor_id", *(name for name, value in entity.key.items() if isinstance(value, str))]


@each(ENTITIES)
class TestText:
    def test_keys_and_texts_are_verbatim(self, backend: Backend, entity: Entity, new_actor: Callable[..., str]) -> None:
        for text in AWKWARD_TEXTS:
            key = dict.fromkeys(_text_keys(entity), text)
            if entity is not ACTOR:
                new_actor(text)
            entity.create(backend, text, **key, **{entity.text: text})
        for text in AWKWARD_TEXTS:
            row = entity.stored(backend, text, **dict.fromkeys(_text_keys(entity), text))
            assert row["id"] == text
            assert all(row.get(name, text) == text for name in ("peerid", "subscriptionid", entity.text, "data"))

    def test_lone_surrogates_are_replaced_in_writes_and_in_reads(
        self, backend: Backend, entity: Entity, new_actor: Callable[..., str]
    ) -> None:
        if entity is not ACTOR:
            new_actor("x\ufffd")
        key = dict.fromkeys(_text_keys(entity), "x\ud800")
        made = entity.create(backend, "x\ud800", **key, **{entity.text: "v\udfff"})
        assert "v\ufffd" in tuple(made.handle)
        for given in ("x\ufffd", "x\udc00"):
            row = entity.stored(backend, given, **dict.fromkeys(_text_keys(entity), given))
            assert row["id"] == "x\ufffd"
            assert "v\ufffd" in row.values()

    def test_zero_characters_are_refused_and_the_old_row_is_kept(
        self, backend: Backend, entity: Entity, owner_id: str
    ) -> None:
        entity.create(backend, owner_id)
        before = entity.stored(backend, owner_id)
        for argument in (*_text_keys(entity), entity.text):
            arguments = {"actor_id": owner_id, **entity.key, **entity.values, argument: "a\x00b"}
            with refusal(r"U\+0000"):
                entity.make(backend).create(**arguments)
        assert entity.stored(backend, owner_id) == before

    @pytest.mark.parametrize("value", ["a\x00b", "n" * 5000, "🎈" * 3000], ids=["zero byte", "long", "long emoji"])
    def test_a_key_that_cannot_exist_finds_nothing(
        self, backend: Backend, entity: Entity, owner_id: str, value: str
    ) -> None:
        entity.create(backend, owner_id)
        for part in _text_keys(entity):
            assert entity.make(backend).get(**{"actor_id": owner_id, **entity.key, part: value}) is None

    @pytest.mark.parametrize("value", [5, b"x", ["x"], {"x": 1}], ids=repr)
    def test_an_argument_that_is_not_text_is_refused(
        self, backend: Backend, entity: Entity, owner_id: str, value: Any
    ) -> None:
        for argument in (*_text_keys(entity), entity.text):
            with refusal("must be text"):
                entity.make(backend).create(**{"actor_id": owner_id, **entity.key, **entity.values, argument: value})
        for part in _text_keys(entity):
            with refusal("must be text"):
                entity.make(backend).get(**{"actor_id": owner_id, **entity.key, part: value})
        assert entity.stored(backend, owner_id) is None

    def test_a_refusal_names_operation_and_actor_and_no_value(
        self, backend: Backend, entity: Entity, owner_id: str
    ) -> None:
        with refusal(f"^database error during {entity.name} write for actor {owner_id}: ") as raised:
            entity.make(backend).create(
                **{"actor_id": owner_id, **entity.key, **entity.values, entity.text: "canary\x00"}
            )
        assert (raised.value.op, raised.value.actor_id) == (f"{entity.name} write", owner_id)
        assert "canary" not in str(raised.value)


class TestSize:
    @pytest.mark.backends("dynamodb")
    @each(ENTITIES)
    def test_dynamodb_takes_ids_of_2048_bytes(self, backend: Backend, entity: Entity) -> None:
        for longest in ("a" * 2048, "é" * 1024):
            entity.create(backend, longest)
            assert entity.stored(backend, longest)["id"] == longest
            with refusal("2048.*2049|2049.*2048"):
                entity.make(backend).create(actor_id=f"{longest}a", **entity.key, **entity.values)

    @pytest.mark.backends("dynamodb")
    @pytest.mark.parametrize(("entity", "part", "rest"), ID_PARTS, ids=lambda value: getattr(value, "name", None))
    def test_dynamodb_takes_range_keys_of_1024_bytes(
        self, backend: Backend, actor_id: str, entity: Entity, part: str, rest: int
    ) -> None:
        longest = "n" * (1024 - rest)
        entity.create(backend, actor_id, **{part: longest})
        assert entity.stored(backend, actor_id, **{part: longest})
        with refusal("1024.*1025|1025.*1024"):
            entity.make(backend).create(**{"actor_id": actor_id, **entity.key, **entity.values, part: f"{longest}n"})

    @pytest.mark.backends("dynamodb")
    @pytest.mark.parametrize(("entity", "argument"), [(ACTOR, "creator"), (TRUST, "secret")], ids=["actor", "trust"])
    def test_dynamodb_takes_index_keys_of_2048_bytes(
        self, backend: Backend, owner_id: str, entity: Entity, argument: str
    ) -> None:
        made = entity.create(backend, owner_id, **{argument: "c" * 2048})
        before = entity.stored(backend, owner_id)
        with refusal("2048.*2049|2049.*2048"):
            made.modify(**{argument: "c" * 2049})
        with refusal("2048.*2049|2049.*2048"):
            made.create(**{"actor_id": owner_id, **entity.key, **entity.values, argument: "c" * 2049})
        assert entity.stored(backend, owner_id) == before

    @lacks(Capability.LARGE_VALUES)
    @each(MODIFIABLE)
    def test_an_item_over_400_kb_is_refused_and_the_old_one_kept(
        self, backend: Backend, entity: Entity, owner_id: str
    ) -> None:
        made = entity.create(backend, owner_id)
        before = entity.stored(backend, owner_id)
        argument = "passphrase" if entity is ACTOR else entity.text
        with refusal(r"\d{6}"):
            made.modify(**{argument: "x" * 410_000})
        assert made.handle == entity.load(backend, owner_id).handle
        assert entity.stored(backend, owner_id) == before

    @lacks(Capability.LARGE_VALUES)
    def test_a_modify_that_makes_the_item_larger_than_400_kb_is_refused(self, backend: Backend, actor_id: str) -> None:
        made = TRUST.create(backend, actor_id, desc="x" * 300_000)
        with refusal():
            made.modify(client_name="y" * 200_000)
        assert len(TRUST.stored(backend, actor_id)["desc"]) == 300_000

    @pytest.mark.backends("postgresql")
    @each(ENTITIES)
    def test_postgresql_takes_ids_of_255_characters(
        self, backend: Backend, entity: Entity, new_actor: Callable[..., str]
    ) -> None:
        longest = "é" * 255
        if entity is not ACTOR:
            new_actor(longest)
        key = dict.fromkeys(_text_keys(entity), longest)
        entity.create(backend, longest, **key)
        assert entity.stored(backend, longest, **key)["id"] == longest
        for part in _text_keys(entity):
            with refusal("255.*256|256.*255"):
                entity.make(backend).create(**{**entity.key, **entity.values, **key, part: "é" * 256})

    @requires(Capability.LARGE_VALUES)
    @each(ENTITIES)
    def test_texts_of_a_megabyte_are_stored(self, backend: Backend, entity: Entity, owner_id: str) -> None:
        argument = "passphrase" if entity is ACTOR else entity.text
        entity.create(backend, owner_id, **{argument: "é" * 1_000_000})
        assert "é" * 1_000_000 in entity.stored(backend, owner_id).values()


@requires(Capability.ACTOR_REFERENCES)
@each(OWNED)
def test_a_row_of_an_unknown_actor_is_refused(backend: Backend, entity: Entity) -> None:
    made = entity.make(backend)
    with pytest.raises(DbUnknownActorError) as raised:
        made.create(actor_id="nobody", **entity.key, **entity.values)
    assert (raised.value.reason, raised.value.actor_id) == ("unknown actor", "nobody")
    assert made.get(actor_id="nobody", **entity.key) is None


@requires(Facility.MISSING_TABLES)
@each(MODIFIABLE)
def test_a_modify_that_fails_does_not_change_the_handle(
    request: pytest.FixtureRequest, backend: Backend, entity: Entity, owner_id: str
) -> None:
    made = entity.create(backend, owner_id)
    before = made.handle
    request.getfixturevalue("no_tables")
    with pytest.raises(DbSchemaError):
        made.modify(**entity.changes)
    with pytest.raises(DbSchemaError):
        made.delete()
    assert made.handle == before


@each(CREATED_ONCE)
def test_of_eight_concurrent_creates_exactly_one_is_true(backend: Backend, entity: Entity, owner_id: str) -> None:
    numbers = itertools.count()

    def create() -> tuple[bool, str]:
        text = f"client{next(numbers)}"
        arguments = {"actor_id": owner_id, **entity.key, **entity.values, entity.text: text}
        return entity.make(backend).create(**arguments), text

    for _ in range(3):
        answers = race(8, create)
        assert sorted(created for created, _ in answers) == [False] * 7 + [True]
        (winner,) = [text for created, text in answers if created]
        assert winner in entity.stored(backend, owner_id).values()
        entity.load(backend, owner_id).delete()


@each(MODIFIABLE)
def test_of_concurrent_modifies_of_different_fields_all_survive(
    backend: Backend, entity: Entity, owner_id: str
) -> None:
    entity.create(backend, owner_id)
    changes = [{argument: value} for argument, value in entity.changes.items()]
    clients = [entity.load(backend, owner_id) for _ in changes]
    calls = iter([functools.partial(client.modify, **change) for client, change in zip(clients, changes, strict=True)])
    assert race(len(changes), lambda: next(calls)()) == [True] * len(changes)
    row = entity.load(backend, owner_id).handle
    assert {argument: row[entity.columns[argument]] for argument in entity.changes} == entity.changes
