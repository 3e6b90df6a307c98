"""Eight processes on one queue at the same moment: each job is handed out once, and nobody is stuck or early."""

import random
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any, Final

import pytest

from ramify.errors import Lost
from ramify.graph.check import find_violations
from ramify.model import Ended, Failure, Page, State, Verb, Want, Which
from ramify.node import Ref
from tests.directory.kit import opened
from tests.sqlite.kit import EVERYTHING, VALUE, Process, done, needs_processes, planned, session, together, work
from tests.sqlite.test_races import Ledger, Turn
from tests.stores.kit import leaf, series, tree

pytestmark = [needs_processes, pytest.mark.slow]

NOTHING: Final = Want(0, ends=0)


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    """An empty ledger."""
    return Ledger(tmp_path / "ledger")


def drain(number: int, path: Path, ledger: Ledger, total: int) -> None:
    """Work until everything is done, a few jobs at a time."""
    with opened(path) as store:
        store.enter(session(f"worker {number}"))
        while True:
            work(store, f"worker {number}", 5, ledger.note)
            if store.counts(Which(), "state") == {"done": total}:
                return


def test_each_job_is_handed_out_once(path: Path, ledger: Ledger) -> None:
    """Eight processes that work off 1,000 jobs run each of them exactly once."""
    with opened(path) as store:
        store.add(planned(tree("top", *[leaf(str(number), task="m:x") for number in range(1000)])))

    together(drain, path, ledger, 1001, n=8)

    assert {**{str(number): 1 for number in range(1000)}, "top": 1} == Counter(ledger.lines())
    with opened(path) as store:
        assert [] == find_violations(store.snapshot())


def test_order_holds_across_processes(path: Path, ledger: Ledger) -> None:
    """Whoever runs a job, those before it have ended."""
    with opened(path) as store:
        for number in range(8):
            layers = [
                tree(f"{number} {layer}", *[leaf(f"{number} {layer} {n}") for n in range(4)]) for layer in range(4)
            ]
            store.add(planned(series(f"{number}", *layers)))

    together(drain, path, ledger, 8 * 21, n=8)

    seen = list[str]()
    for line in ledger.lines():
        number, _, rest = line.partition(" ")
        if len(rest) == 3 and rest[0] > "0":
            layer = int(rest[0]) - 1
            assert {f"{number} {layer} {n}" for n in range(4)} <= set(seen), line
        seen.append(line)
    assert 8 * 21 == len(seen) == len(set(seen))


def end_all(far: Any, path: Path, turn: Turn, state: State) -> int:
    """Claim all jobs of the first queue and end each when it is its turn; return how many reports were refused."""
    refused = 0
    with opened(path) as store:
        store.enter(session("ender"))
        claims = store.exchange("ender", [], Want(EVERYTHING, ("first",), ends=0)).claims
        far.send(len(claims))
        for number, claim in enumerate(claims):
            value, failure = (VALUE, None) if state is State.DONE else (None, Failure("error", "no"))
            turn.wait(number)
            outcome = Ended(claim.row.id, claim.row.attempt, state, value, failure)
            refused += len(store.exchange("ender", [outcome], NOTHING).refused)
    return refused


def test_job_is_added_after_one_that_ends(path: Path, tries: int = 200) -> None:
    """A job that is added after one that ends at this moment is never stuck, and never claimed before that end."""
    turn, early = Turn(), 0
    with opened(path) as store:
        batches = [planned(leaf(f"first {number}", queue="first")) for number in range(tries)]
        for batch in batches:
            store.add(batch)
        process = Process(end_all, path, turn, State.DONE)
        process.hear()
        store.enter(session("adder"))
        outcomes: list[Any] = []

        for number, batch in enumerate(batches):
            after = planned(leaf("second", after=Ref(batch.rows[0].id), queue="second"))
            turn.give(number)
            store.add(after)
            claims = store.exchange("adder", outcomes, Want(9, ("second",))).claims
            outcomes = done(claims)
            edges = store.edges([claim.row.id for claim in claims])
            early += sum(row.state is not State.DONE for row in store.jobs(Which(ids=tuple(e.before for e in edges))))

        assert process.hear() == process.wait() == 0
        store.exchange("adder", outcomes, NOTHING)
        work(store, "adder", queues=("second",))
        assert (0, {"done": 2 * tries}) == (early, store.counts(Which(), "state"))
        assert [] == find_violations(store.snapshot())


def test_cancel_within_completion(path: Path, tries: int = 200) -> None:
    """A cancel and an end at the same moment leave one outcome, and who cancels is told whether it came in time."""
    turn = Turn()
    with opened(path) as store:
        batches = [planned(leaf(str(number), queue="first")) for number in range(tries)]
        for batch in batches:
            store.add(batch)
        process = Process(end_all, path, turn, State.DONE)
        process.hear()
        told = []

        for number, batch in enumerate(batches):
            turn.give(number)
            told.append(store.move(Which(ids=(batch.rows[0].id,)), Verb.CANCEL))

        assert process.hear() == process.wait() == 0
        assert [] == find_violations(store.snapshot())
        rows = store.jobs(Which(), Page(size=EVERYTHING))
        assert {(State.DONE, 1)} == {(row.state, row.attempt) for row in rows}, "what ran was done, though it was asked"
        assert told == [row.cancelled for row in rows]


def test_a_large_step_gets_its_turn(path: Path) -> None:
    """Four processes that write without a pause do not keep a fifth one from adding a large tree."""

    def write(far: Any, number: int) -> int:
        steps = 0
        with opened(path) as store:
            far.send(None)
            while not far.poll():
                store.add(planned(leaf(f"{number} {steps}")))
                steps += 1
        return steps

    processes = [Process(write, number) for number in range(4)]
    for process in processes:
        process.hear()
    with opened(path) as store:
        store.add(planned(tree("large", *[leaf(str(number)) for number in range(2000)])))

    for process in processes:
        process.tell()
    steps = sum(process.hear() for process in processes)
    assert {0} == {process.wait() for process in processes}
    with opened(path) as store:
        assert {"ready": 2000 + steps, "waiting": 1} == store.counts(Which(), "state")


def run_forever(far: Any, path: Path, number: int) -> None:
    """Work like a worker that may be killed at any moment: adopt, report, claim."""
    with opened(path) as store:
        name = f"{number} {time.time_ns()}"
        store.enter(session(name))
        far.send(None)
        outcomes: list[Any] = []
        while True:
            try:
                outcomes += [Ended(c.row.id, c.row.attempt, State.DONE, VALUE) for c in store.adopt(name, 9)]
                outcomes = done(store.exchange(name, outcomes, Want(3)).claims)
            except Lost:
                return
            if not outcomes:
                time.sleep(0.001)


def test_killed_processes_lose_nothing(path: Path) -> None:
    """Processes that are killed at any moment leave a queue from which the others go on: every job ends, once."""
    luck = random.Random(7)
    with opened(path) as store:
        for number in range(60):
            store.add(planned(series(str(number), leaf("a"), tree("b", leaf("c"), leaf("d")))))
        processes = [Process(run_forever, path, number) for number in range(4)]
        for process in processes:
            process.hear()
        for number in range(4, 24):
            time.sleep(luck.random() / 20)
            luck.shuffle(processes)
            processes.pop().kill()
            processes.append(Process(run_forever, path, number))
            processes[-1].hear()
        until = time.monotonic() + 40
        while store.counts(Which(), "state") != {"done": 300} and time.monotonic() < until:
            time.sleep(0.01)

        for process in processes:
            process.kill()
        assert {"done": 300} == store.counts(Which(), "state")
        assert [] == find_violations(store.snapshot())


def test_threads_share_a_store(path: Path) -> None:
    """Threads of one process that write, read and wait at the same time do not disturb each other."""
    wrong: list[BaseException] = []

    def act(number: int, store: Any) -> None:
        try:
            for turn in range(15):
                store.add(planned(tree(f"{number} {turn}", leaf("a"), leaf("b"))))
                store.wait(None, 0.001)
                store.info()
                store.jobs(Which())
        except BaseException as error:
            wrong.append(error)

    with opened(path) as store:
        threads = [threading.Thread(target=act, args=(number, store)) for number in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

        assert wrong == []
        assert store.counts(Which(), "state") == {"ready": 180, "waiting": 90}
