"""Property lists, whose items are properties with numbered names."""

from tests.support import race

from .application import Application
from .backends import on_named_backend

pytestmark = on_named_backend


def test_items_keep_their_order(application: Application, anna: str) -> None:
    assert [application.append(anna, "notes", {"number": number}) for number in range(12)] == list(range(12))
    assert application.items(anna, "notes") == [f'{{"number": {number}}}' for number in range(12)]
    assert application.slice(anna, "notes", 9, 10) == ['{"number": 9}', '{"number": 10}']
    assert application.slice(anna, "notes", 20, 30) == []


def test_lists_are_apart_from_each_other_and_from_properties(application: Application, anna: str, bob: str) -> None:
    for owner, name in [(anna, "a"), (anna, "ab"), (anna, "a_"), (bob, "a")]:
        application.append(owner, name, f"item of {owner}'s {name}")
    application.clear(anna, "a")
    assert application.items(anna, "a") == []
    assert application.items(anna, "ab") == ["item of anna's ab"]
    assert application.items(anna, "a_") == ["item of anna's a_"]
    assert application.items(bob, "a") == ["item of bob's a"]
    assert application.properties(anna) == {"email": "anna@example.com"}


def test_concurrent_appends_lose_nothing(application: Application, anna: str) -> None:
    texts = [f"item {number}" for number in range(8)]
    waiting = iter(texts)
    indexes = race(8, lambda: application.append(anna, "notes", next(waiting)))
    assert sorted(indexes) == list(range(8))
    assert sorted(application.items(anna, "notes")) == texts
