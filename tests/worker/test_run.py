"""What a function is called with, and what becomes of whatever it does."""

from typing import Any

import pytest

from ramify.model import Failure, Policy, Retry, Value
from ramify.tasks import Tasks
from ramify.worker.call import Call, Report, decode_message, message_encoder
from ramify.worker.run import Runner
from tests.worker.conftest import JOBS


def run(task: str, args: bytes = b"[[],{}]", **fields: Any) -> Report:
    """Run one call and pass its report through what a pipe does to it."""
    runner = Runner(Tasks([JOBS]))
    report = runner.run(Call(1, "j", "t", "p", 1, f"{JOBS}:{task}", args, **fields))
    report = decode_message(message_encoder.encode(report))
    assert isinstance(report, Report)
    return report


def failure(report: Report) -> Failure:
    assert report.failure is not None
    return report.failure


def test_result_is_returned_as_json() -> None:
    """A function is called with the stored arguments, and its result comes back as JSON."""
    report = run("double", b"[[21],{}]")

    assert (report.json, report.spread, report.failure) == (b"42", False, None)


def test_tuple_is_remembered() -> None:
    """A tuple that is returned stays known as one."""
    assert (run("pair").json, run("pair").spread) == (b"[1,2]", True)


def test_previous_tuple_is_spread() -> None:
    """The result of the previous job is one argument, a tuple several."""
    spread = run("add", fills=[(["*"], Value(b"[1,2]", True))])
    alone = run("double", fills=[(["*"], Value(b"4"))])

    assert (spread.json, alone.json) == (b"3", b"8")


@pytest.mark.parametrize(("args", "path"), [(b"[[null],{}]", ["args", 0]), (b'[[],{"x":null}]', ["kwargs", "x"])])
def test_results_fill_their_places(args: bytes, path: list[str | int]) -> None:
    """A result goes to its place in the arguments."""
    assert run("double", args, fills=[(path, Value(b"5"))]).json == b"10"


@pytest.mark.parametrize(
    ("task", "args"),
    [
        ("double", b'[["one"],{}]'),
        ("double", b"[[],{}]"),
        ("double", b'[[1],{"y":2}]'),
        ("pick", b'[["C"],{}]'),
        ("unknown", b"[[],{}]"),
    ],
)
def test_arguments_that_do_not_fit(task: str, args: bytes) -> None:
    """Arguments that do not fit, and a task that is not served, are a failure of their own kind."""
    assert failure(run(task, args)).kind == "arguments"


def test_task_of_other_modules_is_refused() -> None:
    """A name out of the store runs nothing but functions of the served modules."""
    runner = Runner(Tasks([JOBS]))

    report = runner.run(Call(1, "j", "t", None, 1, "os:system", b'[["true"],{}]'))

    assert "os:system is not a function of the modules" in failure(report).message


def test_error_is_told_without_our_frames() -> None:
    """A failure names the error and shows the user's part of the traceback."""
    report = run("fail")

    told = failure(report)
    assert (told.kind, told.message, told.type) == ("error", "no luck", "ValueError")
    assert "jobs.py" in told.traceback
    assert "worker/run.py" not in told.traceback
    assert "Exception" in report.names


@pytest.mark.parametrize(("task", "name"), [("leave", "SystemExit"), ("interrupt", "KeyboardInterrupt")])
def test_leaving_is_a_failure(task: str, name: str) -> None:
    """A function that would end the process ends itself only."""
    assert ("error", name) == (failure(run(task)).kind, failure(run(task)).type)


def test_error_without_words() -> None:
    """An exception that cannot say what it is is still a failure."""
    assert "Unsayable" in failure(run("fail_unsayably")).message


def test_long_message_is_cut() -> None:
    """Messages and tracebacks do not grow without limit."""
    told = failure(run("fail", b'[["%s"],{}]' % (b"x" * 100_000)))

    assert len(told.message) <= 2_000
    assert len(told.traceback) <= 20_000


def test_bad_result_names_the_place() -> None:
    """A result that JSON cannot hold names the place where that stands."""
    told = failure(run("return_set"))

    assert told.kind == "result"
    assert "['fine'][1]" in told.message


def test_result_too_large() -> None:
    """A result above the limit is a failure."""
    assert failure(run("big", b"[[2000000],{}]")).kind == "result"


def test_spawned_nodes_travel_with_the_report() -> None:
    """What a function adds is in its report, children and siblings apart."""
    children, siblings = run("nest", b"[[1],{}]"), run("grow", b"[[3],{}]")

    assert children.spawned is not None and siblings.siblings is not None
    assert (len(children.spawned), children.siblings, len(siblings.siblings)) == (1, None, 3)


def test_failed_function_adds_nothing() -> None:
    """What a function spawned before it failed is dropped."""
    assert run("spawn_and_fail").spawned is None


def test_bad_node_is_a_bad_result() -> None:
    """A mistake in what was spawned is a failure of the job, and says what is wrong."""
    assert failure(run("spawn_nonsense")).kind == "result"


def test_added_jobs_count_only_for_projects() -> None:
    """`addJobs` is control for jobs from a project dictionary, and plain data for others."""
    project, plain = run("add_jobs", b"[[2],{}]", project=True), run("add_jobs", b"[[2],{}]")

    assert project.siblings is not None
    assert (project.json, len(project.siblings)) == (b"4", 2)
    assert plain.siblings is None


def test_coroutine_runs_to_its_end() -> None:
    """An `async def` called alone gets an event loop, and knows its job."""
    assert run("fail_softly").json == b'"j"'


def test_copy_of_the_process_ends() -> None:
    """A function that forks and returns twice is reported once."""
    assert run("fork_and_return").json == b'"once"'


def test_policy_has_a_compact_form() -> None:
    """Policies with defaults only take no room."""
    assert Policy() == Policy(retry=None)
    assert Retry() == Retry(times=0)
