"""Jobs that run in the caller's process."""

import threading
from pathlib import Path

import pytest

from ramify.model import Policy, Retry, Verb, Which
from ramify.tasks import Tasks
from ramify.worker.inline import Inline, run_one, run_until_empty
from tests.worker.conftest import JOBS, Place, call, group
from tests.worker.test_worker import until


@pytest.fixture
def tasks() -> Tasks:
    return Tasks([JOBS])


def test_runs_one(place: Place, tasks: Tasks) -> None:
    """`run_one` runs one job, and says whether there was one."""
    root = place.add(group(call("double", 1), call("double", 2)))

    ran = [run_one(place.store, tasks) for _ in range(3)]

    assert ran == [True, True, False]
    assert place.value(root) == [2, 4]


def test_runs_all(place: Place, tasks: Tasks, tmp_path: Path) -> None:
    """`run_until_empty` runs what there is and what that adds, retries too, and counts the runs."""
    retried = call("fail_until", str(tmp_path / "n"), 1, policy=Policy(Retry(3, backoff=0.05)))
    root = place.add(group(call("nest", 3), retried, call("doze", 0.01), call("grow", 1)))

    assert run_until_empty(place.store, tasks) == 4 + 2 + 1 + 1 + 1
    assert place.row(root).state == "done"


def test_failures_are_stored(place: Place, tasks: Tasks) -> None:
    """What a job raises is its failure, not the caller's."""
    root = place.add(call("fail"))

    run_until_empty(place.store, tasks)

    assert place.failure(root).message == "no luck"


def test_interrupt_gives_back(place: Place, tasks: Tasks) -> None:
    """Ctrl-C reaches the caller; the job goes back uncharged."""
    root = place.add(call("interrupt"))

    with pytest.raises(KeyboardInterrupt):
        run_one(place.store, tasks)

    assert (place.row(root).state, place.row(root).tries) == ("ready", 0)


def test_cancel_reaches_a_job(place: Place, tasks: Tasks, tmp_path: Path) -> None:
    """A job in the caller's process learns that it was cancelled."""
    begun = tmp_path / "begun"
    root = place.add(call("wait_for_cancel", str(begun)))
    thread = threading.Thread(target=run_until_empty, args=(place.store, tasks))
    thread.start()
    until(begun.exists)

    place.store.move(Which(ids=(root,)), Verb.CANCEL)

    thread.join(20)
    assert not thread.is_alive()


def test_given_back_unharmed(place: Place, tasks: Tasks) -> None:
    """A claimed job that is given back is ready again, uncharged."""
    root = place.add(call("double", 1))

    with Inline(place.store, tasks) as inline:
        claim = inline.claim()
        assert claim is not None
        inline.give_back(claim)

    row = place.row(root)
    assert (row.state, row.tries, row.losses) == ("ready", 0, 0)
