"""Sessions: who is alive, what they are told, and how far their jobs are."""

import os

import pytest

from ramify.errors import Lost
from ramify.model import Progress, Session, Verb
from ramify.stores.protocol import LEASE
from tests.stores.kit import Clock, Desk, leaf


def test_a_beat_renews_the_lease(desk: Desk, clock: Clock) -> None:
    """A session that beats within its lease is alive."""
    desk.enter("other")
    clock.advance(LEASE - 1)
    desk.store.beat("s", [])
    clock.advance(LEASE - 1)
    desk.store.adopt("s", 1)

    assert [session.id for session in desk.store.info().sessions] == ["s"]
    with pytest.raises(Lost):
        desk.store.beat("other", [])


def test_a_beat_brings_cancels(desk: Desk) -> None:
    """A heartbeat names our running jobs that are to be cancelled, and nobody else's."""
    desk.enter("other")
    desk.add(leaf("a"))
    desk.add(leaf("b"))
    desk.claim(n=1)
    desk.claim(n=1, session="other")
    desk.move(Verb.CANCEL, "a", "b")

    assert [desk.ids["a"]] == desk.store.beat("s", []).cancels
    assert [desk.ids["b"]] == desk.store.beat("other", []).cancels


def test_progress_can_be_read(desk: Desk) -> None:
    """How far a running job is can be read while it runs and afterwards; only its own session may say so."""
    desk.enter("other")
    desk.add(leaf("a"))
    desk.claim()
    desk.store.beat("s", [Progress(desk.ids["a"], 40, "four of ten")])
    desk.store.beat("other", [Progress(desk.ids["a"], 99, "not mine")])
    desk.end("a")

    [result] = desk.store.results([desk.ids["a"]])
    assert (result.percent, result.status) == (40, "four of ten")


def test_a_session_can_be_read(desk: Desk) -> None:
    """Who works, and what for, is part of what a store says of itself."""
    session = Session("w", "host", os.getpid(), ("a", "b"), ("m",), 12.5)
    desk.store.enter(session)

    assert session in desk.store.info().sessions


def test_a_session_that_left_is_forgotten(desk: Desk) -> None:
    """A session without jobs leaves no trace once somebody has looked for the dead."""
    desk.enter("other")
    desk.store.leave("other")
    desk.store.adopt("s", 1)

    assert [session.id for session in desk.store.snapshot().sessions] == ["s"]


def test_jobs_outlive_their_store_object(desk: Desk) -> None:
    """A program that ends and begins again finds its session and jobs as they were."""
    desk.add(leaf("a"))
    desk.claim()
    before = desk.store.snapshot()

    desk.reopen()

    assert before == desk.store.snapshot()
    assert desk.exchange(desk.ended("a")).refused == {}
