"""How often a store goes to its server for what it could ask at once."""

from typing import Any

import pytest

from ramify.model import State, Verb, Which
from ramify.stores.move import move
from ramify.stores.redis.link import Link
from tests.redis.conftest import Open, Start
from tests.redis.kit import add, group, leaf


@pytest.fixture
def trips(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many commands went together on each way to a server."""
    counted: list[int] = []
    ask = Link._ask

    def count(link: Link, commands: Any) -> Any:
        counted.append(len(commands))
        return ask(link, commands)

    monkeypatch.setattr(Link, "_ask", count)
    return counted


def test_a_retry_of_many_asks_for_many_at_once(start: Start, open_: Open, trips: list[int]) -> None:
    """What a cancelled group's members ask for on the worklist is read some hundred of them at a time."""
    store = open_(start().url())
    root = add(store, group(*[leaf() for _ in range(500)]))
    move(store, Which(ids=(root,)), Verb.CANCEL)
    trips.clear()

    move(store, Which(ids=(root,)), Verb.RETRY)

    assert len(trips) < 100
    assert {"ready": 500, "waiting": 1} == store.counts(Which(), "state")


def test_the_end_of_a_job_takes_one_look(start: Start, open_: Open, trips: list[int]) -> None:
    """Whoever waits for a result is told by one answer that it is there, and what it is."""
    store = open_(start().url())
    root = add(store)
    move(store, Which(ids=(root,)), Verb.CANCEL)
    store.ended(root)  # connects
    trips.clear()

    found = store.ended(root)

    assert found is not None and found[0].state is State.CANCELLED
    assert trips == [2]
