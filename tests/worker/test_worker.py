"""Workers with real processes, over each store that needs no server."""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from ramify.errors import BadTask
from ramify.model import Lane, Policy, Retry, State, Verb, Which
from ramify.node import Node
from ramify.worker.loop import Worker
from tests.worker.conftest import JOBS, Place, call, group


def until(condition: Any, seconds: float = 20.0) -> None:
    """Wait until something is so."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.005)


def start(worker: Worker) -> threading.Thread:
    """Run a worker in a thread."""
    thread = threading.Thread(target=worker.run)
    thread.start()
    return thread


def test_results_are_stored(place: Place) -> None:
    """A group's result is the list of its children's results."""
    root = place.run(group(call("double", 1), call("double", 2), call("double", 3)))

    assert place.value(root) == [2, 4, 6]


def test_results_become_arguments(place: Place) -> None:
    """A node as argument is run before, and its result handed over."""
    one = call("double", 1)
    root = place.run(group(one, call("add", one, call("double", 5))))

    assert place.value(root) == [2, 12]


def test_many_jobs_once_each(place: Place, tmp_path: Path) -> None:
    """Every job runs exactly once."""
    path = str(tmp_path / "ledger")
    root = place.run(group(*[call("note", path) for _ in range(500)]), children=2)

    assert len(Path(path).read_text()) == 500
    assert len(place.value(root)) == 500


def test_large_arguments_and_results(place: Place) -> None:
    """Arguments and results that no message holds travel too."""
    text = call("big", 900_000)
    root = place.run(group(text, call("length", text), *[call("big", 300_000) for _ in range(8)]))

    assert place.value(root)[1] == 900_000


def test_error_fails_the_job_and_its_group(place: Place) -> None:
    """A job that raises is failed, and its group fails with it as the cause."""
    root = place.run(group(call("fail"), call("double", 1)))

    assert place.failure(root).kind == "cause"
    cause = place.failure(root).cause
    assert cause is not None
    assert place.failure(cause).message == "no luck"


def test_root_cause_is_named_through_levels(place: Place) -> None:
    """However far up, the cause is the job that failed."""
    root = place.run(group(group(group(call("fail")))))

    cause = place.failure(root).cause
    assert cause is not None
    assert f"{JOBS}:fail" == place.row(cause).lane.task


@pytest.mark.parametrize("task", ["leave", "interrupt"])
def test_leaving_costs_no_process(place: Place, task: str) -> None:
    """`sys.exit` in a job fails it; the process goes on with others."""
    place.run(group(call("pid"), call(task), call("pid")))

    done = place.store.jobs(Which(states=frozenset({State.DONE})))
    assert [len(done), len({place.value(row.id) for row in done})] == [2, 1]


def test_crash_is_tried_again(place: Place, tmp_path: Path) -> None:
    """A job whose process is killed runs again; others are not charged."""
    root = place.run(group(call("crash", str(tmp_path / "tries")), *[call("double", i) for i in range(20)]))

    assert ["survived", *range(0, 40, 2)] == place.value(root)
    rows = place.store.jobs(Which())
    assert {0, 1} == {row.crashes for row in rows}
    assert sum(row.crashes for row in rows) == 1


def test_what_waits_behind_a_crash_is_not_charged(place: Place, tmp_path: Path) -> None:
    """Jobs that were sent ahead to a process that dies were never begun."""
    quick, once = str(tmp_path / "quick"), str(tmp_path / "once")
    place.add(group(*[call("crash_with", quick, 0) for _ in range(200)]))  # now they are known to be quick
    place.add(group(call("crash_with", once, 1), *[call("crash_with", quick, 0) for _ in range(100)]))

    place.work()

    rows = place.store.jobs(Which())
    assert {State.DONE} == {row.state for row in rows}
    assert [1] == [row.crashes for row in rows if row.crashes]


def test_three_crashes_fail(place: Place) -> None:
    """A job that kills its process three times fails, and says by what signal."""
    root = place.run(call("crash"))

    failure = place.failure(root)
    assert failure.kind == "crashed"
    assert "SIGKILL" in failure.message
    assert "MB" in failure.message
    assert place.row(root).attempt == 3


def test_job_that_may_not_be_repeated(place: Place) -> None:
    """A job that is to run at most once fails with its first crash."""
    root = place.run(call("crash", policy=Policy(repeatable=False)))

    assert (place.failure(root).kind, place.row(root).attempt) == ("crashed", 1)


def test_exit_without_a_word_is_a_crash(place: Place) -> None:
    """A process that ends itself is a crash, whatever its exit status."""
    assert "exit status 0" in place.failure(place.run(call("exit_at_once"))).message


@pytest.mark.slow
def test_suspect_does_not_wait_for_ever(place: Place, tmp_path: Path) -> None:
    """What must run alone gets a process of its own if none becomes idle, here because a coroutine does not end."""
    notes = str(tmp_path / "n")
    root = place.run(group(call("doze_until_noted", notes, 3), call("crash_with", notes, 2)))

    assert place.value(root) == [None, "survived"]


def test_suspect_runs_alone(place: Place, tmp_path: Path) -> None:
    """What crashed twice runs in a process that has nothing else."""
    root = place.run(
        group(call("crash_with", str(tmp_path / "n"), 2), *[call("sleep", 0.001) for _ in range(50)]), children=2
    )

    assert place.value(root)[0] == "survived"


@pytest.mark.parametrize("children", [1, 2])
def test_time_limit_ends_a_loop_of_c(place: Place, children: int) -> None:
    """A run that takes too long is ended even where Python code is never reached, and no other job with it."""
    slow = call("compute_for_ever", policy=Policy(timeout=0.3))
    root = place.run(group(slow, *[call("double", i) for i in range(30)]), children=children)

    assert place.store.counts(Which(), "state")["done"] == 30
    cause = place.failure(root).cause
    assert cause is not None
    assert place.failure(cause).kind == "timeout"


def test_time_limit_is_retried(place: Place) -> None:
    """A run that took too long is tried again as its policy says."""
    slow = call("sleep", 100.0, policy=Policy(timeout=0.1, retry=Retry(times=1, backoff=0.01)))
    root = place.run(slow)

    assert (place.failure(root).kind, place.row(root).attempt) == ("timeout", 2)


def test_retry_waits_and_succeeds(place: Place, tmp_path: Path) -> None:
    """A job that fails is tried again after its back-off, which a worker that empties a store waits for."""
    policy = Policy(retry=Retry(times=5, backoff=0.05, factor=1.5))
    root = place.run(call("fail_until", str(tmp_path / "n"), 3, policy=policy))

    assert (place.value(root), place.row(root).tries) == (4, 3)


def test_retry_only_on_named_errors(place: Place) -> None:
    """Errors that are not named are not tried again."""
    policy = Policy(retry=Retry(times=5, backoff=0.01, on=("LookupError",)))

    assert place.row(place.run(call("fail", policy=policy))).attempt == 1


def test_giving_up_is_final(place: Place) -> None:
    """`current().fail` is not tried again."""
    root = place.run(call("give_up", policy=Policy(retry=Retry(times=5, backoff=0.01))))

    assert (place.failure(root).message, place.row(root).attempt) == ("no use", 1)


@pytest.mark.slow
def test_hundred_coroutines_at_once(place: Place) -> None:
    """A hundred coroutines that sleep for a second sleep at the same time, in one child."""
    began = time.monotonic()
    root = place.run(group(*[call("doze", 1.0) for _ in range(100)]))

    assert time.monotonic() - began < 50, "one after the other they take a hundred"
    assert len(set(place.value(root))) == 1


def test_limit_of_one_worker(place: Place) -> None:
    """A worker has no more jobs at once than its limit says, coroutines among them."""
    root = place.run(group(*[call("doze_beside", 0.01) for _ in range(20)]), children=1, limit=3)

    assert place.value(root) and max(place.value(root)) == 3


def test_coroutines_beside_functions(place: Place) -> None:
    """Coroutines and functions of one group run in the same child."""
    root = place.run(group(*[call("doze", 0.01) if i % 2 else call("sleep", 0.001) for i in range(60)]))

    assert len(place.value(root)) == 60


def test_coroutine_fails_like_a_function(place: Place) -> None:
    """What a coroutine raises is its failure."""
    failure = place.failure(place.run(call("raise_error")))

    assert (failure.type, failure.message) == ("LookupError", "not here")
    assert "ramify/worker" not in failure.traceback.replace("tests/worker", "")


@pytest.mark.slow
@pytest.mark.timeout(180)
def test_time_limit_of_a_coroutine(place: Place) -> None:
    """A coroutine past its time limit is cancelled; one that blocks its loop loses its process."""
    policy = Policy(timeout=0.1)
    soft = place.add(call("doze", 100.0, policy=policy))
    hard = place.add(call("block_the_loop", policy=policy))
    place.work()

    assert [place.failure(soft).kind, place.failure(hard).kind] == ["timeout", "timeout"]


@pytest.mark.slow
def test_time_limit_of_a_coroutine_begins_with_it(
    place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A child that needs longer to import the tasks than they may take costs no run."""
    source = "import asyncio, os, time\nif os.environ['WORKER'] != str(os.getpid()): time.sleep(2)\n"
    (tmp_path / "leaden.py").write_text(f"{source}async def lift(): await asyncio.sleep(0)\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("WORKER", str(os.getpid()))

    job = place.add(Node("leaden:lift").changed(policy=Policy(timeout=0.5)))
    Worker(place.store, ["leaden"], children=1, burst=True, multiprocessing=True).run()

    assert (place.value(job), place.row(job).attempt) == (None, 1)


def test_fresh_interpreters(place: Place) -> None:
    """With `multiprocessing` children are fresh interpreters that import the tasks themselves."""
    root = place.run(group(call("double", 4), call("doze", 0.01), call("open_files")), multiprocessing=True)

    assert place.value(root)[0] == 8
    assert not [name for name in place.value(root)[2] if "jobs.db" in name]


def test_children_do_not_know_the_store(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """Jobs see neither the store's address nor its files."""
    monkeypatch.setenv("RAMIFY_URL", "postgresql://secret")
    root = place.run(group(call("url"), call("open_files")))

    url, files = place.value(root)
    assert url is None
    assert not [name for name in files if "jobs.db" in name]


def test_unstarted_jobs_do_not_wait_behind_a_long_one(place: Place, tmp_path: Path) -> None:
    """What was sent to a child that turns out to be busy is taken back and runs in another."""
    gate = str(tmp_path / "gate")
    warm = [call("nothing") for _ in range(200)]
    place.run(group(*warm), children=1)
    root = place.run(
        group(call("wait_for", gate), *[call("double", i) for i in range(100)], call("create", gate)), children=2
    )

    pids = place.value(root)
    assert pids[0] != pids[-1]


def test_unstarted_jobs_go_back_to_the_store(place: Place, tmp_path: Path) -> None:
    """With one child that is busy, what it has not begun is there for other workers, uncharged."""
    begun, gate = str(tmp_path / "begun"), str(tmp_path / "gate")
    place.add(call("create_and_wait", begun, gate))
    root = place.add(group(*[call("double", i) for i in range(20)]))
    worker = Worker(place.store, [JOBS], children=1, burst=True)
    thread = start(worker)
    until(lambda: os.path.exists(begun))

    Worker(place.store, [JOBS], children=1, burst=True).run()
    until(lambda: place.row(root).state == "done")

    Path(gate).touch()
    thread.join()
    assert max(row.tries + row.crashes + row.losses for row in place.store.jobs(Which())) == 0


def test_deep_recursion_in_one_child(place: Place) -> None:
    """Jobs that spawn jobs hold no process while they wait: 50 levels need one child."""
    root = place.run(call("nest", 50))

    assert place.value(root) == 50
    assert place.store.counts(Which(), "state") == {"done": 51}


def test_siblings_join_the_group(place: Place) -> None:
    """Siblings come at the end of the group, even if several jobs add some at the same time."""
    root = place.run(group(*[call("grow", 2) for _ in range(10)]), children=2)

    assert place.value(root) == [2] * 10 + [0, 2] * 10


def test_siblings_of_a_root_are_children(place: Place) -> None:
    """A root has no siblings, so it spawns."""
    root = place.run(call("grow", 2))

    assert sum(place.store.counts(Which(tree=root), "state").values()) == 3


def test_children_and_siblings_of_one_run(place: Place) -> None:
    """A job may add both; it is done when its children are, and the siblings join its group."""
    root = place.run(group(call("grow_both"), call("grow_both")))

    assert place.value(root) == [None] * 4
    assert place.store.counts(Which(), "state") == {"done": 7}


def test_project_adds_jobs(place: Place) -> None:
    """`addJobs` extends the array of a job from a project dictionary."""
    root = place.run(group(call("add_jobs", 2, policy=Policy(project=True))))

    assert place.value(root) == [4, 0, 2]


def test_documents_are_planned_by_workers(place: Place) -> None:
    """A job of `ramify:plan` becomes the project that it holds; a mistake in it fails the job with the path to it."""
    good = place.run(Node("ramify:plan", ({"jobs": [{"func": f"{JOBS}:double", "args": 3}]},)))
    bad = place.run(Node("ramify:plan", ({"jobs": [{}]},)))

    assert sum(place.store.counts(Which(tree=good), "state").values()) == 3
    assert "jobs[0]" in place.failure(bad).message


def test_progress_is_stored(place: Place, tmp_path: Path) -> None:
    """What a running job says of itself can be read while it runs."""
    gate = str(tmp_path / "gate")
    root = place.add(call("tell_and_wait", gate))
    thread = start(Worker(place.store, [JOBS], children=1, burst=True))

    until(lambda: (place.left(root).percent, place.left(root).status) == (30, "on the way"))

    Path(gate).touch()
    thread.join()


def test_progress_stays_when_the_status_changes(place: Place, tmp_path: Path) -> None:
    """Percent and status are two things: a new one of either leaves the other, however far apart they come."""
    gate, other = tmp_path / "gate", tmp_path / "other"
    root = place.add(call("tell_bit_by_bit", str(gate), str(other)))
    thread = start(Worker(place.store, [JOBS], children=1, burst=True))

    until(lambda: place.left(root).percent == 30)
    gate.touch()
    until(lambda: place.left(root).status == "on the way")
    percent = place.left(root).percent
    other.touch()
    thread.join()

    assert percent == 30


def test_cancel_asks_first(place: Place, tmp_path: Path) -> None:
    """A running job that is cancelled is told so."""
    begun = str(tmp_path / "begun")
    root = place.add(call("wait_for_cancel", begun))
    thread = start(Worker(place.store, [JOBS], children=1, burst=True))
    until(lambda: os.path.exists(begun))

    place.store.move(Which(ids=(root,)), Verb.CANCEL)

    thread.join(20)
    assert not thread.is_alive()


@pytest.mark.parametrize(("task", "args"), [("create_and_wait", ("never",)), ("doze_for_ever", ())])
def test_cancel_then_kills(place: Place, tmp_path: Path, task: str, args: tuple[str, ...]) -> None:
    """A cancelled job that does not stop is killed after the grace time."""
    begun = str(tmp_path / "begun")
    root = place.add(call(task, begun, *[str(tmp_path / name) for name in args]))
    thread = start(Worker(place.store, [JOBS], children=1, burst=True, grace=0.2))
    until(lambda: os.path.exists(begun))

    place.store.move(Which(ids=(root,)), Verb.CANCEL)

    thread.join(20)
    assert place.row(root).state == "cancelled"


def test_stop_gives_back_what_has_not_begun(place: Place, tmp_path: Path) -> None:
    """A worker that is stopped finishes what runs, and gives back the rest uncharged."""
    begun, gate = str(tmp_path / "begun"), str(tmp_path / "gate")
    first = place.add(call("create_and_wait", begun, gate))
    rest = [place.add(call("double", i)) for i in range(10)]
    worker = Worker(place.store, [JOBS], children=1)
    thread = start(worker)
    until(lambda: os.path.exists(begun))

    worker.stop()
    until(lambda: all(place.row(job).state == "ready" for job in rest))
    Path(gate).touch()
    thread.join(20)

    assert place.row(first).state == "done"
    assert place.store.info().sessions == []


def test_stop_ends_what_takes_too_long(place: Place, tmp_path: Path) -> None:
    """After the grace time what still runs is interrupted and given back, uncharged."""
    begun = str(tmp_path / "begun")
    root = place.add(call("create_and_wait", begun, str(tmp_path / "never")))
    worker = Worker(place.store, [JOBS], children=1, grace=0.1)
    thread = start(worker)
    until(lambda: os.path.exists(begun))

    worker.stop()
    thread.join(20)

    row = place.row(root)
    assert (row.state, row.tries, row.crashes, row.losses) == ("ready", 0, 0, 0)


SCRIPT = """
import sys
from ramify.stores.open import open_store
from ramify.worker.loop import Worker
Worker(open_store(sys.argv[1]), ["tests.worker.jobs"], children=2, grace=float(sys.argv[2])).run()
"""


def start_process(url: str, grace: float = 30.0, stdout: int | None = None) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-W", "error", "-c", SCRIPT, url, str(grace)], stdout=stdout)


@pytest.fixture
def shared(place: Place) -> Place:
    """A place whose store other processes can open."""
    if place.url == "memory:":
        pytest.skip("nobody else sees a memory store")
    return place


def test_signal_drains(shared: Place, tmp_path: Path) -> None:
    """SIGTERM lets a running job finish, gives the others back, and ends the worker without an error."""
    begun, gate = str(tmp_path / "begun"), str(tmp_path / "gate")
    first = shared.add(call("create_and_wait", begun, gate))
    process = start_process(shared.url)
    until(lambda: os.path.exists(begun))

    process.terminate()
    late = shared.add(call("double", 1))
    Path(gate).touch()

    assert process.wait(20) == 0
    assert (shared.row(first).state, shared.row(late).state) == ("done", "ready")


def test_second_signal_means_now(shared: Place, tmp_path: Path) -> None:
    """A second signal does not wait for what runs."""
    begun = str(tmp_path / "begun")
    root = shared.add(call("create_and_wait", begun, str(tmp_path / "never")))
    process = start_process(shared.url)
    until(lambda: os.path.exists(begun))

    process.terminate()
    process.send_signal(signal.SIGINT)

    assert process.wait(20) == 0
    assert shared.row(root).state == "ready"


@pytest.mark.posix
def test_dead_supervisor_leaves_nobody(shared: Place, tmp_path: Path) -> None:
    """When a supervisor is killed its children die, and what they ran is run by others."""
    begun, gate = str(tmp_path / "begun"), str(tmp_path / "gate")
    root = shared.add(call("create_and_wait", begun, gate))
    process = start_process(shared.url)
    until(lambda: os.path.exists(begun))

    process.kill()
    process.wait()
    Path(gate).touch()
    shared_worker = Worker(shared.store, [JOBS], children=1)
    thread = start(shared_worker)
    until(lambda: shared.row(root).state == "done", 40)
    shared_worker.stop()
    thread.join()

    assert (shared.row(root).losses, shared.row(root).crashes) == (1, 0)


@pytest.mark.posix
@pytest.mark.slow
def test_what_a_dead_child_left_is_ended(shared: Place, tmp_path: Path) -> None:
    """Processes that a job started do not outlive it, even if they left its group."""
    path = str(tmp_path / "pid")
    root = shared.add(call("leave_orphans", path, policy=Policy(timeout=1.0)))
    process = start_process(shared.url)
    until(lambda: os.path.exists(path))
    until(lambda: shared.row(root).state == "failed")

    orphan = int(Path(path).read_text())
    until(lambda: not os.path.exists(f"/proc/{orphan}"))

    process.terminate()
    assert process.wait(20) == 0


@pytest.mark.posix
def test_jobs_may_use_processes(place: Place) -> None:
    """A job may have a pool of processes of its own, and may fork."""
    root = place.run(group(call("use_pool"), call("fork_and_return")))

    assert place.value(root) == [[2, 4], "once"]


def test_unknown_tasks_are_left(place: Place) -> None:
    """A worker leaves alone what it does not know."""
    root = place.run(Node("elsewhere:task"))

    assert ("ready", Lane("default", "elsewhere:task")) == (place.row(root).state, place.row(root).lane)


def test_units_keep_processes_free(place: Place, tmp_path: Path) -> None:
    """A job that takes two units of a worker with two children runs beside no other."""
    heavy = [call("alone", str(tmp_path / "lock"), True).changed(units=2) for _ in range(3)]
    light = [call("alone", str(tmp_path / "lock"), False) for _ in range(40)]
    root = place.run(group(*light[:20], *heavy, *light[20:]), children=2)

    assert place.value(root) == [True] * 43


def test_worker_outlives_a_lost_session(place: Place, tmp_path: Path) -> None:
    """A worker whose session is declared dead kills what it runs, opens a new one and goes on."""
    begun, gate = str(tmp_path / "begun"), str(tmp_path / "gate")
    root = place.add(call("create_and_wait", begun, gate))
    worker = Worker(place.store, [JOBS], children=1)
    thread = start(worker)
    until(lambda: os.path.exists(begun))
    [session] = place.store.info().sessions

    os.unlink(begun)
    place.store.leave(session.id)
    until(lambda: os.path.exists(begun))
    Path(gate).touch()
    until(lambda: place.row(root).state == "done")
    worker.stop()
    thread.join(20)

    assert (place.row(root).losses, place.row(root).attempt) == (1, 2)


@pytest.mark.posix
def test_what_a_dead_supervisor_left_is_ended(shared: Place, tmp_path: Path) -> None:
    """When a supervisor is killed, programs that its jobs had started end too."""
    path = str(tmp_path / "pid")
    shared.add(call("run_program", path))
    process = start_process(shared.url)
    until(lambda: os.path.exists(path))

    process.kill()
    process.wait()

    program = int(Path(path).read_text())
    until(lambda: not is_alive(program), 2)


def is_alive(pid: int) -> bool:
    """Tell whether there is such a process, and not only its remains."""
    try:
        return "Z" not in Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2][:3]
    except FileNotFoundError:
        return False


def test_late_words_of_a_job_are_dropped(place: Place) -> None:
    """What a thread that a job left behind says of that job is ignored."""
    root = place.run(group(call("tell_later"), call("sleep", 0.1)))

    assert place.value(root) == [None, 0.1]


def test_garbage_in_the_pipe_costs_the_child_only(place: Place) -> None:
    """A job that writes into files that are not its own loses its process; the worker goes on."""
    place.run(group(call("write_everywhere"), *[call("double", i) for i in range(10)]))

    assert place.store.counts(Which(), "state")["done"] == 10


def test_other_processes_are_left_alone(place: Place) -> None:
    """A worker in a program ends what its jobs left, and none of the program's own processes."""
    own = subprocess.Popen(["sleep", "1000"], start_new_session=True)

    place.run(call("crash"))

    assert own.poll() is None
    own.kill()
    own.wait()


def test_main_is_not_for_fresh_interpreters(place: Place) -> None:
    """Functions of the script itself cannot run in a fresh interpreter, which is said at once."""
    with pytest.raises(BadTask, match="__main__"):
        Worker(place.store, ["__main__"], multiprocessing=True).run()
