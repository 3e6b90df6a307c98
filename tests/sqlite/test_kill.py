"""kill -9 at any statement of what touches many rows: all of it or none, and what was begun is finished by others.

The quick versions die at 12 points of 1,000 rows, the slow ones at 100 points of 10,000.
"""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import pytest
from msgspec import Struct

from ramify.graph.check import find_violations
from ramify.graph.plan import Into, plan
from ramify.graph.sketch import sketch
from ramify.ids import make_ids
from ramify.model import Batch, Ended, Failure, Grown, Page, Row, State, Verb, Want, Which
from ramify.node import AnyNode
from ramify.stores.sqlite import Sqlite
from tests.sqlite.kit import (
    EVERYTHING,
    VALUE,
    Process,
    die,
    done,
    needs_processes,
    open_fast,
    opened,
    planned,
    session,
    trap,
    work,
)
from tests.stores.kit import leaf, tree

pytestmark = needs_processes

SIZES: Final = [
    pytest.param((1000, 100, 12), id="quick"),
    pytest.param((10_000, 1000, 100), id="full", marks=[pytest.mark.storm, pytest.mark.timeout(1200)]),
]
FAILURE: Final = Failure("error", "no luck")


class Scene(Struct):
    """What is stored before (with how many rows), what is then done to it, and on which rows it shows."""

    prepare: Callable[[Sqlite, int], None]
    act: Callable[[Sqlite, int], object]
    shows: Callable[[Row], bool]
    rows: Callable[[int], int]


def wide(n: int, **options: Any) -> AnyNode:
    """Describe a tree of `n` jobs."""
    return tree("top", *[leaf(str(number), task="m:x") for number in range(n - 1)], **options)


def move(verb: Verb) -> Callable[[Sqlite, int], object]:
    """Return what applies a verb to the first tree, to the end."""

    def act(store: Sqlite, n: int) -> None:
        [top] = store.jobs(Which(roots=True), Page(size=1))
        store.move(Which(ids=(top.id,)), verb)
        drain(store)

    return act


def drain(store: Sqlite) -> None:
    """Do all that is on the worklist."""
    while store.drain():
        pass


def held(store: Sqlite, n: int) -> None:
    """Store a tree on hold."""
    store.add(planned(wide(n, hold=True)))


def ready(store: Sqlite, n: int) -> None:
    """Store a tree."""
    store.add(planned(wide(n)))


def ended(store: Sqlite, n: int) -> None:
    """Store a tree and work it off."""
    ready(store, n)
    work(store, "s")


def failed(store: Sqlite, n: int) -> None:
    """Store a tree in which one job fails and all others are skipped."""
    first = leaf("first", task="m:x")
    store.add(planned(tree("top", first, *[leaf(str(k), task="m:x", after=first) for k in range(n - 2)])))
    [claim] = store.exchange("s", [], Want(1)).claims
    outcomes: list[Any] = [Ended(claim.row.id, 1, State.FAILED, failure=FAILURE)]
    while True:
        reply = store.exchange("s", outcomes, Want(EVERYTHING))
        outcomes = [
            Ended(claim.row.id, claim.row.attempt, State.FAILED if claim.row.size else State.SKIPPED, failure=FAILURE)
            for claim in reply.claims
        ]
        if not outcomes and not reply.more:
            break


def one_runs(store: Sqlite, n: int) -> None:
    """Store a job, and let it run."""
    store.add(planned(leaf("first")))
    store.exchange("s", [], Want(1))


def one_runs_before_many(store: Sqlite, n: int) -> None:
    """Store a job that many wait for, and let it run."""
    first = leaf("first")
    store.add(planned(tree("top", first, *[leaf(str(number), task="m:x", after=first) for number in range(n - 2)])))
    store.exchange("s", [], Want(1))


def add(store: Sqlite, n: int) -> None:
    """Add a tree."""
    store.add(planned(wide(n)))


def grow(store: Sqlite, n: int) -> None:
    """Report that the job which runs adds children."""
    [row] = store.jobs(Which())
    nodes = [leaf(str(number), task="m:x") for number in range(n)]
    batch: Batch = plan(sketch(nodes), make_ids, Into(row.id, row.tree))
    store.exchange("s", [Grown(row.id, row.attempt, batch, value=VALUE)], Want(0))


def end(store: Sqlite, n: int) -> None:
    """Report that the job which runs is done, and do what follows."""
    [row] = store.jobs(Which(states=frozenset({State.RUNNING})))
    store.exchange("s", [Ended(row.id, row.attempt, State.DONE, VALUE)], Want(0))
    drain(store)


def claim(store: Sqlite, n: int) -> None:
    """Claim all there is, and report it done with the next exchange."""
    reply = store.exchange("s", [], Want(n))
    store.exchange("s", done(reply.claims), Want(0))


ALL: Final = lambda n: n  # noqa: E731
SCENES: Final = {
    "release": Scene(held, move(Verb.RELEASE), lambda row: row.hold is None, ALL),
    "hold": Scene(ready, move(Verb.HOLD), lambda row: row.hold is not None, ALL),
    "cancel": Scene(ready, move(Verb.CANCEL), lambda row: row.state is State.CANCELLED, ALL),
    "retry": Scene(failed, move(Verb.RETRY), lambda row: row.state in (State.READY, State.WAITING), ALL),
    "purge": Scene(ended, move(Verb.PURGE), lambda row: True, ALL),
    "add": Scene(lambda store, n: None, lambda store, n: add(store, 3 * n), lambda row: True, lambda n: 3 * n),
    "grow": Scene(one_runs, grow, lambda row: row.lane.task == "m:x", ALL),
    "end": Scene(one_runs_before_many, end, lambda row: row.state is State.READY, lambda n: n - 2),
    "claim": Scene(ready, claim, lambda row: row.state is State.DONE, lambda n: n - 1),
}


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("scene", SCENES.values(), ids=SCENES)
def test_death_at_any_statement(tmp_path: Path, scene: Scene, size: tuple[int, int, int]) -> None:
    """Wherever the process dies, nothing is half-written, and in the end all rows show the decision, or none does."""
    n, slice, points = size
    with opened(tmp_path / "model.db", slice=slice) as store:
        store.enter(session("s"))
        scene.prepare(store, n)
    total = statements(tmp_path, scene, n, slice)
    seen = set()

    for point in sorted({total * number // points for number in range(points)} | {total}):
        path = tmp_path / f"{point}.db"
        shutil.copy(tmp_path / "model.db", path)

        assert -9 == Process(act_and_die, path, scene, n, slice, point).wait()

        with opened(path, slice=slice) as store:
            assert [] == find_violations(store.snapshot())
            seen.add(finished(store, scene))
            assert [] == find_violations(store.snapshot())
        path.unlink()

    assert seen == {0, scene.rows(n)}, "all or none; and some deaths come before the decision, some after it"


def statements(folder: Path, scene: Scene, n: int, slice: int) -> int:
    """Return how many statements the act takes."""
    shutil.copy(folder / "model.db", folder / "counted.db")
    kind = trap(die)
    with opened(folder / "counted.db", slice=slice, factory=kind) as store:
        kind.arm()
        scene.act(store, n)
        return kind.passed


def act_and_die(far: Any, path: Path, scene: Scene, n: int, slice: int, point: int) -> None:
    """Act, and die at a statement, or when all is done."""
    kind = trap(die)
    store = open_fast(path, slice=slice, factory=kind)
    kind.arm(point)
    scene.act(store, n)
    die()


def finished(store: Sqlite, scene: Scene) -> int:
    """Do what is left to be done; return how many rows show that it was."""
    drain(store)
    rows: Iterator[Row] = iter(store.jobs(Which(), Page(size=EVERYTHING)))
    return sum(map(scene.shows, rows))
