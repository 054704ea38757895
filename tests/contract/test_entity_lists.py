"""The rules that the lists of one actor's rows share: trusts, peer trustees, subscriptions, diffs."""

from collections.abc import Callable

import pytest

from actingweb.db.registry import Backend

from .support.entities import AWKWARD_TEXTS, LISTS, Listing, each, refusal

pytestmark = each(LISTS)


def test_attributes_exist_from_construction_and_are_none(backend: Backend, listing: Listing) -> None:
    made = listing.make(backend)
    assert (made.handle, made.actor_id, getattr(made, listing.member)) == (None, None, None)
    assert getattr(made, "subid", None) is None


def test_fetch_remembers_the_actor_and_what_it_found(backend: Backend, listing: Listing, actor_id: str) -> None:
    listing.add(backend, actor_id, "b", "a")
    made = listing.make(backend)
    rows = made.fetch(actor_id=actor_id)
    assert [row[listing.shown] for row in rows] == ["a", "b"]
    assert (made.handle, made.actor_id, getattr(made, listing.member)) == (None, actor_id, rows)


@pytest.mark.parametrize("missing", [None, ""])
def test_fetch_without_an_actor_is_an_empty_list(backend: Backend, listing: Listing, missing: str | None) -> None:
    made = listing.make(backend)
    assert made.fetch(actor_id=missing) == []
    assert made.fetch() == []
    assert made.delete() is False


@pytest.mark.parametrize("nobody", ["nobody", "x\x00", "n" * 5000], ids=["unknown", "zero byte", "long"])
def test_an_actor_without_rows_is_an_empty_list(backend: Backend, listing: Listing, nobody: str) -> None:
    made = listing.make(backend)
    assert made.fetch(actor_id=nobody) == []
    assert made.delete() is True


def test_an_actor_id_that_is_not_text_is_refused(backend: Backend, listing: Listing) -> None:
    with refusal("must be text"):
        listing.make(backend).fetch(actor_id=5)


def test_rows_are_in_the_order_of_the_bytes_of_their_key(backend: Backend, listing: Listing, actor_id: str) -> None:
    listing.add(backend, actor_id, *reversed(AWKWARD_TEXTS))
    assert listing.parts(backend, actor_id) == AWKWARD_TEXTS


def test_rows_of_other_actors_are_not_listed(backend: Backend, listing: Listing, new_actor: Callable[..., str]) -> None:
    for number, owner in enumerate(["a", "ab", "a:b", "A", "é"]):
        listing.add(backend, new_actor(owner), f"of {number}")
    assert listing.parts(backend, "a") == ["of 0"]


def test_an_entry_is_what_get_answers(backend: Backend, listing: Listing, actor_id: str) -> None:
    listing.add(backend, actor_id, "x")
    (entry,) = listing.make(backend).fetch(actor_id)
    result = listing.entity.stored(backend, actor_id, **{listing.part: "x"})
    if "data" in result:
        result["diff"] = result.pop("data")
    assert type(entry) is dict
    assert entry == result


def test_a_fetch_sees_later_changes_and_answers_fresh_dicts(backend: Backend, listing: Listing, actor_id: str) -> None:
    made = listing.make(backend)
    listing.add(backend, actor_id, "a")
    first = made.fetch(actor_id)
    first[0].clear()
    listing.add(backend, actor_id, "b")
    assert [row[listing.shown] for row in made.fetch(actor_id)] == ["a", "b"]


def test_delete_without_a_fetch_is_false(backend: Backend, listing: Listing, actor_id: str) -> None:
    listing.add(backend, actor_id, "a")
    assert listing.make(backend).delete() is False
    assert listing.parts(backend, actor_id) == ["a"]


def test_delete_removes_all_rows_of_this_actor_and_can_be_repeated(
    backend: Backend, listing: Listing, new_actor: Callable[..., str]
) -> None:
    one, other = new_actor("one"), new_actor("one:more")
    listing.add(backend, one, *AWKWARD_TEXTS)
    listing.add(backend, other, "a")
    made = listing.make(backend)
    made.fetch(one)
    assert made.delete() is True
    assert listing.parts(backend, one) == []
    assert listing.parts(backend, other) == ["a"]
    assert made.delete() is True


def test_delete_is_true_when_nothing_was_there(backend: Backend, listing: Listing, actor_id: str) -> None:
    made = listing.make(backend)
    made.fetch(actor_id)
    assert made.delete() is True


def test_delete_removes_more_rows_than_a_batch_holds(backend: Backend, listing: Listing, actor_id: str) -> None:
    names = [f"n{number:02}" for number in range(60)]
    listing.add(backend, actor_id, *names)
    assert listing.parts(backend, actor_id) == names
    made = listing.make(backend)
    made.fetch(actor_id)
    assert made.delete() is True
    assert listing.parts(backend, actor_id) == []


def test_a_fetch_without_an_actor_forgets_the_one_before(backend: Backend, listing: Listing, actor_id: str) -> None:
    listing.add(backend, actor_id, "a")
    made = listing.make(backend)
    made.fetch(actor_id)
    made.fetch(None)
    assert made.delete() is False
    assert listing.parts(backend, actor_id) == ["a"]


def test_a_wipe_removes_rows_written_just_before_it(backend: Backend, listing: Listing, actor_id: str) -> None:
    made = listing.make(backend)
    assert made.fetch(actor_id) == []
    listing.add(backend, actor_id, "late")
    assert made.delete() is True
    assert listing.parts(backend, actor_id) == []


def test_the_actor_id_is_cleaned(backend: Backend, listing: Listing, new_actor: Callable[..., str]) -> None:
    listing.add(backend, new_actor("x\ufffd"), "a")
    made = listing.make(backend)
    assert len(made.fetch("x\ud800")) == 1
    assert made.delete() is True
    assert listing.parts(backend, "x\ufffd") == []


@pytest.mark.backends("dynamodb")
def test_rows_over_several_pages_of_a_megabyte_are_listed_and_deleted(
    backend: Backend, listing: Listing, actor_id: str
) -> None:
    names = [f"n{number}" for number in range(5)]
    for name in names:
        listing.entity.create(backend, actor_id, **{listing.part: name, listing.entity.text: "x" * 300_000})
    assert listing.parts(backend, actor_id) == names
    made = listing.make(backend)
    made.fetch(actor_id)
    assert made.delete() is True
    assert listing.parts(backend, actor_id) == []
