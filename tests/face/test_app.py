"""`Ramify`: putting work in, looking at it, running it here, and forgetting it."""

import subprocess
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from ramify import BadArguments, BadNode, BadStore, BadTask, BadValue, NotFound, Ramify, State, group, job
from ramify.worker import inline
from tests.face.tasks import add, boom, double, optioned


@pytest.mark.parametrize(
    "what",
    [
        job(double, 2),
        {"func": double, "args": 2},
        {"func": "tests.face.tasks:double", "args": 2},
    ],
    ids=["node", "dictionary", "dictionary with a name"],
)
def test_enqueue_takes_nodes_and_projects(app: Ramify, what: object) -> None:
    """A node and a dictionary describe the same job."""
    stored = app.enqueue(what)  # type: ignore[call-overload]
    app.run_until_empty()

    assert stored.result() == 4


def test_enqueue_takes_functions_and_their_names(app: Ramify) -> None:
    """All arguments are the function's, also one that is called `request`."""
    by_function, by_name = app.enqueue(add, 1, scale=3), app.enqueue("tests.face.tasks:add", 1, scale=3)
    app.run_until_empty()

    assert by_function.result() == by_name.result() == 33
    with pytest.raises(BadArguments, match="unexpected keyword argument 'request'"):
        app.enqueue(double, 1, request="once")  # type: ignore[call-arg, arg-type]


@pytest.mark.parametrize(
    ("what", "error", "mistake"),
    [
        ([job(double, 1)], BadNode, r"enqueue group\(\*nodes\), or each node for itself"),
        (3, BadNode, "3 is not work; give a function"),
        (lambda: 1, BadTask, "a lambda"),
        ({"jobs": [{}]}, BadNode, r"^jobs\[0\]: neither 'func' nor 'jobs'"),
        (job(double, {1, 2j}), BadValue, "arguments of tests.face.tasks:double"),
    ],
    ids=["list", "number", "lambda", "project", "value"],
)
def test_what_cannot_be_enqueued_leaves_nothing_behind(
    app: Ramify, what: object, error: type[Exception], mistake: str
) -> None:
    """A mistake is reported with its remedy, and nothing is stored."""
    with pytest.raises(error, match=mistake):
        app.enqueue(what)  # type: ignore[call-overload]

    assert app.counts() == {}


def test_a_repeated_request_adds_nothing(app: Ramify) -> None:
    """The same `request` returns the job of the first time."""
    first = app.enqueue(job(double, 1), request="once")
    again = app.enqueue({"func": double, "args": 1}, request="once")
    other = app.enqueue(job(double, 1), request="twice")

    assert again == first != other
    assert app.counts() == {"ready": 2}
    with pytest.raises(BadNode, match="arguments go with a function"):
        app.enqueue(job(double, 1), 3)  # type: ignore[call-overload]


@pytest.mark.parametrize("request_", [5, "", "a\0b", "\ud800", "x" * 501, "界" * 167])
def test_a_request_is_a_text_of_500_bytes(app: Ramify, request_: Any) -> None:
    """What no store could find again is refused by every one, in the same words."""
    with pytest.raises(BadNode, match=r"^request "):
        app.enqueue(job(double, 1), request=request_)
    assert app.counts() == {}


def test_names_may_have_500_bytes(app: Ramify) -> None:
    """Each of them may, in whatever letters, and all of them together; a longer task is refused as well."""
    name, task = "界" * 166, "m:" + "é" * 249
    stored = app.enqueue(job(task).options(queue=name, slot=name, label=name), request=name)

    assert app.enqueue(job(task), request=name) == stored
    assert app.counts("task") == {task: 1}
    with pytest.raises(BadTask, match="has 502 bytes, and the name of a task has at most 500"):
        job(task + "é")


def test_jobs_are_listed_newest_first(app: Ramify) -> None:
    """`jobs` yields what matches: by state, queue, task, or roots only."""
    old = app.enqueue(double, 1)
    tree = app.enqueue(group(job(add, 1), job(optioned, 1)))

    assert list(app.jobs(roots=True)) == [tree, old]
    assert list(app.jobs(tasks=["tests.face.tasks:double"])) == [old]
    assert list(app.jobs(queues=["slow"])) == [tree.children[1]]
    assert list(app.jobs(states=["waiting"])) == [tree]
    assert list(app.jobs(states=[State.DONE])) == []
    assert len(list(app.jobs())) == 4


def test_more_than_a_page_is_listed(app: Ramify) -> None:
    """Listing goes on past the page of a store."""
    tree = app.enqueue(group(*(job(double, i) for i in range(2500))))

    assert len(list(app.jobs(tasks=["tests.face.tasks:double"]))) == 2500
    assert len(tree.children) == 2500


def test_jobs_are_counted(app: Ramify) -> None:
    """`counts` counts by state, queue or task."""
    app.enqueue(group(job(double, 1), job(optioned, 1), job(optioned, 2)))

    assert app.counts() == {"ready": 3, "waiting": 1}
    assert app.counts("queue", states=["ready"]) == {"default": 1, "slow": 2}
    assert app.counts("task", queues=["slow"]) == {"tests.face.tasks:optioned": 2}
    with pytest.raises(BadNode, match="'state', 'queue' or 'task'"):
        app.counts("color")


def test_wait_and_as_completed(app: Ramify) -> None:
    """Both see jobs that end badly as well; what is not in time is named."""
    jobs = [app.enqueue(double, 1), app.enqueue(boom, "no")]
    held = app.enqueue(job(double, 1).options(hold=True))
    app.run_until_empty()

    app.wait(jobs, timeout=0)
    assert set(app.as_completed(jobs)) == set(jobs)
    with pytest.raises(TimeoutError, match=held.id):
        app.wait([*jobs, held], timeout=0)
    yielded = app.as_completed([held, jobs[0]], timeout=0)
    assert next(yielded) == jobs[0]
    with pytest.raises(TimeoutError, match=held.id):
        next(yielded)


def test_jobs_are_run_here_one_by_one(app: Ramify) -> None:
    """`run_one` runs the next job, by priority; `run_until_empty` all of them and tells how many."""
    last, first = app.enqueue(double, 1), app.enqueue(job(double, 2).options(priority=1))

    assert app.run_one()
    assert (first.state, last.state) == (State.DONE, State.READY)
    assert app.run_until_empty() == 1
    assert not app.run_one()
    assert app.run_until_empty() == 0


def test_queues_are_named(app: Ramify) -> None:
    """Jobs of another queue are left alone."""
    stored = app.enqueue(optioned, 1)

    assert app.run_until_empty() == 0
    assert app.run_until_empty(queues=["slow"]) == 1
    assert stored.result() == 1


def test_a_claimed_job_is_given_back_on_close(tmp_path: Path) -> None:
    """What was claimed and not executed is ready again when the app is closed."""
    url = f"sqlite:///{tmp_path}/jobs.db"
    with Ramify(url, tasks=["tests.face.tasks"]) as app:
        stored = app.enqueue(double, 1)
        assert app.claim() == stored
        assert app.claim() is None
        assert stored.state is State.RUNNING

    with Ramify(url, tasks=["tests.face.tasks"]) as app:
        assert app.job(stored.id).state is State.READY
        app.run_until_empty()
        assert app.job(stored.id).result() == 2


def test_a_claim_that_was_lost_does_not_keep_an_app_from_closing(url: str) -> None:
    """Others have the job then, and there is nothing to give back."""
    app = Ramify(url, tasks=["tests.face.tasks"])
    stored = app.enqueue(double, 1)
    assert app.claim() == stored
    for session in app.store.info().sessions:  # as when its lease ends
        app.store.leave(session.id)

    assert inline.adopt(app.store) == 1
    app.close()


def test_results_of_claimed_jobs_do_not_mix(app: Ramify) -> None:
    """Several jobs may be claimed at once, and each gets its own arguments."""
    a, b = job(double, 1), job(double, 2)
    tree = app.enqueue(group(a, b, job(double, a), job(double, b)))
    for _ in range(2):
        claimed = [app.claim(), app.claim()]
        for each in claimed:
            assert each is not None
            each.execute()

    app.run_until_empty()
    assert tree.result() == [2, 4, 4, 8]


def test_functions_of_other_modules_do_not_run(app: Ramify) -> None:
    """A job of a module that is not served stays where it is, and `check` tells."""
    stored = app.enqueue("os:system", "true")

    assert app.run_until_empty() == 0
    assert stored.state is State.READY
    assert app.check() == ["1 ready job of os:system, which is not served here"]


def test_check_finds_nothing_wrong(app: Ramify) -> None:
    """An app with tasks and an empty store has nothing to report."""
    assert app.check() == []


def test_purge_forgets_whole_trees_that_ended(app: Ramify) -> None:
    """Ended trees are deleted with all under them, unfinished ones and what others refer to are kept."""
    ended = app.enqueue(group(job(double, 1), job(double, 2)))
    app.run_until_empty()
    waiting = app.enqueue(job(double, 1).options(hold=True))

    assert app.purge(older_than=timedelta(hours=1)) == app.purge(older_than="1h") == 0
    assert app.purge(older_than=-1) == 1
    assert list(app.jobs()) == [waiting]
    with pytest.raises(NotFound):
        app.job(ended.id)


def test_purge_forgets_a_chain_of_trees(app: Ramify) -> None:
    """Of trees that come one after the other the old ones go, whatever is still to come after the newest."""
    last = app.enqueue(double, 1)
    for _ in range(5):
        last = app.enqueue(job(double, 2).options(after=last, when="ended"))
    app.run_until_empty()
    coming = app.enqueue(job(double, 3).options(after=last, hold=True))

    assert app.purge(older_than=-1) == 5
    assert list(app.jobs()) == [coming, last]


def test_purge_forgets_what_failed_with_what_needed_it(app: Ramify) -> None:
    """Trees that are kept only for the retry of others go in the same call as those."""
    last = app.enqueue(boom, "no luck")
    for _ in range(3):
        last = app.enqueue(job(double, 2).options(after=last))
    app.run_until_empty()

    assert (app.purge(older_than=-1), list(app.jobs())) == (4, [])


SCRIPT = """
import sys
from ramify import Ramify

def double(x: int) -> int:
    return 2 * x

app = Ramify(sys.argv[1], tasks=sys.argv[2:])
stored = app.enqueue(double, 1)
app.run_until_empty()
print(stored.result(timeout=0))
"""


def test_functions_of_the_script_run_only_in_it(tmp_path: Path) -> None:
    """A function of `__main__` is refused, unless the script says that it runs its jobs itself."""
    url = f"sqlite:///{tmp_path}/jobs.db"

    def run(*tasks: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-c", SCRIPT, url, *tasks]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    refused, ran = run(), run("__main__")

    assert "BadTask: __main__:double belongs to the script that runs" in refused.stderr
    assert (ran.stdout, ran.stderr) == ("2\n", "")


def test_a_text_for_a_list_and_a_state_that_is_none_are_refused(app: Ramify) -> None:
    """`states="ready"` would be read letter by letter."""
    with pytest.raises(BadNode, match=r"states lists them, as \['ready'\]"):
        app.jobs(states="ready")
    with pytest.raises(BadNode, match="there is no state 'scheduled'"):
        app.counts(states=["scheduled"])


def test_a_closed_store_says_so(tmp_path: Path) -> None:
    """A handle that outlives its app is no mystery."""
    with Ramify(f"sqlite:///{tmp_path}/jobs.db", tasks=["tests.face.tasks"]) as app:
        handle = app.enqueue("tests.face.tasks:double", 1)

    with pytest.raises(BadStore, match="is closed"):
        _ = handle.state
