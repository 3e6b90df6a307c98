"""`ramify health`: what probes are told."""

import json
from pathlib import Path

from ramify import Ramify
from ramify.model import Session
from tests.cli.conftest import Command

WORKER = Session("w", "host", 0, ("default",), ("chores:double",))


def test_without_workers_it_is_not_healthy(app: Ramify, ask: Command) -> None:
    """Status 1, and a sentence for each thing that is wrong."""
    app.enqueue("chores:double", 1)

    reply = ask("health")

    assert reply.code == 1
    assert reply.out.splitlines() == [
        "0 of at least 1 workers are alive",
        "no worker knows chores:double; 1 of its jobs are ready, and stay so until one does",
        "no worker serves the queue default, in which 1 jobs are ready",
        "0 workers, 1 jobs ready, 0 running",
    ]


def test_with_workers_that_know_what_is_to_be_done_it_is(app: Ramify, ask: Command) -> None:
    """Status 0."""
    app.store.enter(WORKER)
    app.enqueue("chores:double", 1)

    assert ask("health").code == 0
    assert ask("health", "--workers", "2").code == 1


def test_programs_are_told_in_json(app: Ramify, ask: Command) -> None:
    """The same as JSON, with the same status."""
    app.store.enter(WORKER)
    app.enqueue("elsewhere:paint", 1)

    reply = ask("health", "--json")

    told = json.loads(reply.out)
    assert (reply.code, told["workers"], told["ready"], told["running"]) == (1, 1, 1, 0)
    assert told["wrong"] == ["no worker knows elsewhere:paint; 1 of its jobs are ready, and stay so until one does"]


def test_a_store_that_cannot_be_seen_is_neither(place: Path, ask: Command) -> None:
    """Status 2."""
    assert ask("health").code == 2
