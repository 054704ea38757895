"""`deploy/nginx-blue-green.conf` and `deploy/split-traffic`: every request goes to the owner of its actor."""

from __future__ import annotations

import random
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from threading import Thread

import pytest

from actingweb.migration.cli.live_switch import nginx_split
from actingweb.migration.live.ownership import Ownership, Side, boundary_of
from tests.live.balancer import EVERYTHING_BLUE, Balancer, balancing
from tests.live.nginx import HOW_TO_GET_IT, find_nginx
from tests.support import PATIENCE, wait_until

_CHOSEN = random.Random(14)
ACTORS = ["ä", "a b", "A:b", "%41", "user@example.com", *(f"{_CHOSEN.getrandbits(128):032x}" for _ in range(300))]
MOVES = [("0", "10"), ("10", "50"), ("33.33", "66.67"), ("50", "100"), ("100", "50"), ("50", "0"), ("0", "100")]


@pytest.fixture(scope="module")
def balancer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Balancer]:
    """Return an nginx."""
    program = find_nginx()
    if program is None:
        pytest.skip(HOW_TO_GET_IT)
    with balancing(program, tmp_path_factory.mktemp("nginx")) as running:
        yield running


def owners(before: str, after: str) -> Ownership:
    """Return who owns what during a move, or between moves."""
    start = Ownership(0, None, Side.DYNAMODB).moved(boundary_of(Decimal(before)))
    return start if before == after else Ownership(start.boundary, boundary_of(Decimal(after)), start.system_owner)


def side(ownership: Ownership, actor_id: str) -> str:
    """Return where requests go."""
    return "held" if ownership.is_moving(actor_id) else str(ownership.owner(actor_id))


def take(balancer: Balancer, before: str, after: str) -> None:
    """Let nginx split the requests as the tool says."""
    process = balancer.split(nginx_split(Decimal(before), Decimal(after)))
    _, errors = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0, errors


@pytest.mark.parametrize(("before", "after"), MOVES)
def test_each_request_goes_to_the_owner_of_its_actor(balancer: Balancer, before: str, after: str) -> None:
    for share in (after, before):
        ownership = owners(before, share)
        take(balancer, before, share)
        assert balancer.sides(ACTORS) == {one: side(ownership, one) for one in ACTORS}
        assert set(balancer.sides(["_system", "oauth", "login"]).values()) == {side(ownership, "_system")}


def test_who_is_held_may_come_again(balancer: Balancer) -> None:
    take(balancer, "0", "100")
    (answer,) = balancer.get("/a/properties")
    assert (answer.status, answer.headers["Retry-After"]) == (503, "2")


def test_a_new_actor_gets_an_id_of_the_side_that_creates_it(balancer: Balancer) -> None:
    take(balancer, "50", "50")
    answers = balancer.get(*["/"] * 40)
    created = {answer.headers["Got-New-Actor"]: answer.side for answer in answers}
    assert len(created) == len(answers)
    assert created == {one: side(owners("50", "50"), one) for one in created}
    assert set(created.values()) == {"dynamodb", "postgresql"}
    assert balancer.get("/a")[0].headers["Got-New-Actor"] == "none"


@pytest.mark.parametrize("path", ["/a/../b", "/a/..", "/a/%2e%2E/b", "/a%2f..%2Fb", "/./b", "/a/.?x"])
def test_no_path_leads_to_another_actor(balancer: Balancer, path: str) -> None:
    assert balancer.get(path)[0].status == 400


def test_dots_in_names_are_no_harm(balancer: Balancer) -> None:
    take(balancer, "0", "0")
    assert {answer.status for answer in balancer.get("/a/.b", "/a/b..c", "/a.b/c%2Fd", "/a?x=/../y")} == {200}


def test_a_request_that_is_under_way_is_waited_for(balancer: Balancer) -> None:
    take(balancer, "0", "0")
    blue = balancer.backends["dynamodb"]
    request = Thread(target=balancer.get, args=("/a/slow",))
    request.start()
    assert blue.slow.wait(PATIENCE)
    process = balancer.split(nginx_split(Decimal(0), Decimal(100)))
    wait_until(lambda: balancer.get("/b")[0].status == 503)
    assert process.poll() is None
    blue.go_on.set()
    process.communicate(timeout=PATIENCE)
    assert process.returncode == 0
    request.join()


def test_a_split_that_nginx_does_not_accept_changes_nothing(balancer: Balancer) -> None:
    take(balancer, "10", "10")
    before = balancer.split_file.read_text()
    process = balancer.split(EVERYTHING_BLUE + "nonsense;")
    _, errors = process.communicate(timeout=PATIENCE)
    assert (process.returncode, balancer.split_file.read_text()) == (1, before)
    assert "nonsense" in errors


def test_a_part_of_nginx_is_never_less_than_what_moves() -> None:
    """nginx adds up parts that it has rounded down."""
    for lower in range(0, 10_000, 37):
        for upper in range(lower + 1, 10_001, 61):
            text = nginx_split(Decimal(lower) / 100, Decimal(upper) / 100)
            parts = [Decimal(line.split("%")[0]) for line in text.splitlines() if "%" in line]
            ends = [sum(map(boundary_of, parts[: size + 1])) for size in range(len(parts))]
            wanted = [boundary_of(Decimal(one) / 100) for one in (lower, upper) if 0 < one < 10_000]
            assert all(end >= least for end, least in zip(ends, wanted, strict=True)), (lower, upper)


def test_the_first_split_is_as_the_configuration_says() -> None:
    text = (Path(__file__).parents[2] / "deploy" / "nginx-blue-green.conf").read_text()
    for line in EVERYTHING_BLUE.strip().splitlines():
        assert f"#   {line}\n" in text
    assert EVERYTHING_BLUE.split() == nginx_split(Decimal(0), Decimal(0)).split()
