"""Owners of actors: the same split as nginx's, and which ids move."""

from __future__ import annotations

import random
from decimal import Decimal

import pytest

from actingweb.migration.errors import UsageError
from actingweb.migration.live.ownership import EVERYTHING, Ownership, Side, boundary_of, murmur2, percent_of
from tests.live.nginx import HOW_TO_GET_IT, find_nginx, split, splitting

SHARES = ("0.01", "1", "3.33", "10", "12.34", "25", "33.33", "50", "66.67", "75", "90", "99.99")

# For each id, in which of the shares nginx 1.22.1 has it.
SPLIT = {
    "a": "--------++++",
    "ab": "----++++++++",
    "abc": "---+++++++++",
    "abcd": "-----+++++++",
    "abcde": "-------+++++",
    "9a3f0c61d8f94b0c8d0d3c1f2b4e5a67": "-------+++++",
    "0f0e0d0c0b0a09080706050403020100": "-----+++++++",
    "ffffffffffffffffffffffffffffffff": "-----+++++++",
    "ä": "---------+++",
    "é😀": "----------++",
    "a b": "--------++++",
    "A:b": "-----+++++++",
    "%41": "-------+++++",
    "urn:actingweb:example.com:1": "-----------+",
    "user@example.com": "-------+++++",
}


def our_split(actor_id: str, shares: tuple[str, ...] = SHARES) -> str:
    """Return in which shares an actor belongs to PostgreSQL."""
    owners = (Ownership(boundary_of(Decimal(share)), None, Side.DYNAMODB).owner(actor_id) for share in shares)
    return "".join("+" if owner is Side.POSTGRESQL else "-" for owner in owners)


@pytest.mark.parametrize("actor_id", SPLIT)
def test_the_split_is_the_one_that_nginx_made(actor_id: str) -> None:
    assert our_split(actor_id) == SPLIT[actor_id]


def test_the_split_is_the_one_that_nginx_makes() -> None:
    program = find_nginx()
    if program is None:
        pytest.skip(HOW_TO_GET_IT)
    chosen = random.Random(14)
    actor_ids = [*SPLIT, *(f"{chosen.getrandbits(8 * size):x}" for size in range(1, 17) for _ in range(40))]
    shares = (*SHARES, "100")
    with splitting(program, shares) as connection:
        assert {one: split(connection, one) for one in actor_ids} == {one: our_split(one, shares) for one in actor_ids}


@pytest.mark.parametrize("parts", [0, 1, 999, 1000, 3333, 6667, 9999, 10_000])
def test_a_boundary_tells_its_share(parts: int) -> None:
    assert percent_of(boundary_of(Decimal(parts) / 100)) * 100 == parts


@pytest.mark.parametrize("percent", ["-1", "100.01", "0.001", "33.333"])
def test_a_share_that_nginx_cannot_have_is_refused(percent: str) -> None:
    with pytest.raises(UsageError, match="at most two decimals"):
        boundary_of(Decimal(percent))


def test_the_last_share_takes_the_ids_along_that_are_no_actors() -> None:
    none, half = (Ownership(boundary, None, Side.DYNAMODB) for boundary in (0, EVERYTHING // 2))
    whole = half.moved(EVERYTHING)
    assert [one.owner("_system") for one in (none, half, whole)] == [Side.DYNAMODB, Side.DYNAMODB, Side.POSTGRESQL]
    assert whole.owner("actor") is Side.POSTGRESQL
    assert whole.moved(EVERYTHING // 2) == half


def test_exactly_the_actors_between_the_boundaries_move() -> None:
    actor_ids = [f"actor{number}" for number in range(200)]
    for start, end in ((10, 50), (50, 10), (0, 100), (100, 0)):
        low, high = sorted((boundary_of(Decimal(start)), boundary_of(Decimal(end))))
        moving = Ownership(0, None, Side.DYNAMODB).moved(boundary_of(Decimal(start)))
        moving = Ownership(moving.boundary, boundary_of(Decimal(end)), moving.system_owner)
        between = {one for one in actor_ids if low <= murmur2(one.encode()) < high}
        assert {one for one in actor_ids if moving.is_moving(one)} == between
        assert moving.is_moving("_system") == (100 in (start, end))
