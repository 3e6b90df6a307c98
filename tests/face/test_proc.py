"""Tasks that are classes, on every store."""

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from ramify import BadArguments, BadNode, BadTask, JobFailed, JobProc, Ramify, group, job
from ramify.model import Which
from ramify.tasks import Tasks
from tests.face.procs import Failing, Frames, Last, Preparing, Slow, Slower, Spawning
from tests.urls import URLS

HERE = "tests.face.procs"


@pytest.fixture(params=URLS)
def app(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Ramify]:
    """An app on each store."""
    with Ramify(URLS[request.param](tmp_path), tasks=[HERE]) as app:
        yield app


def work(app: Ramify) -> None:
    app.worker(children=1, burst=True, queues=["default", "slow"]).run()


def test_a_class_is_a_task(app: Ramify) -> None:
    """`run` does the work, its hooks get the lines of its programs, and what it returns is the result."""
    handle = app.enqueue(Frames, "forest", 3)
    work(app)

    assert handle.result() == ["1 frame 1", "2 frame 2", "3 frame 3", "! 1 over"]
    assert handle.progress == 100
    assert [line.text for line in handle.log()] == ["frame 1", "frame 2", "frame 3", "over"]
    [row] = app.store.jobs(Which(ids=(handle.id,)))
    assert row.label == "forest, 3 frames"


def test_the_constructor_refuses_arguments(app: Ramify, tmp_path: Path) -> None:
    """What a constructor raises is raised by `enqueue`; nothing is stored then, and nothing was prepared."""
    ledger = tmp_path / "ledger"
    for what in (
        job(Frames, "forest", 0),
        job(Last, job(Frames, "meadow", ledger=ledger)).options(after=job(Frames, "forest", -1)),
    ):
        with pytest.raises(ValueError, match="frames are none"):
            app.enqueue(what)
    with pytest.raises(BadArguments, match="missing a required argument"):
        app.enqueue(Frames)  # type: ignore[call-arg]

    assert app.counts() == {}
    assert not ledger.exists()


def test_post_create_is_called_once(app: Ramify, tmp_path: Path) -> None:
    """However often a procedure is made and run, `post_create` is called when its job is stored, and only then."""
    ledger = tmp_path / "ledger"
    by_class, by_name = job(Frames, "one", ledger=ledger), job(f"{HERE}:Frames", "two", ledger=str(ledger))
    assert not ledger.exists()
    top = app.enqueue(job(Last, by_class).options(after=by_name, hold=True))
    assert sorted(ledger.read_text().split()) == ["one", "two"]
    top.add(job(Frames, "three", ledger=ledger))
    top.release()
    work(app)

    assert top.result() == "! 1 over"
    assert sorted(ledger.read_text().split()) == ["one", "three", "two"]


def test_post_create_is_for_those_that_were_stored(app: Ramify, tmp_path: Path) -> None:
    """Who enqueues what is there already prepares nothing: a request repeated, and an unfinished unique job."""
    one, two, three = (tmp_path / name for name in ("one", "two", "three"))
    first = app.enqueue(job(Preparing, one), request="once")
    again = app.enqueue(job(Preparing, one), request="once")
    unique = job(Preparing, two).options(unique=True)
    for what in (unique, group(unique, job(Preparing, three)), unique):
        app.enqueue(what)
    work(app)

    assert first.id == again.id
    assert (first.result(), app.counts()) == (True, {"done": 4})


def test_a_job_does_not_begin_before_it_is_prepared(app: Ramify, tmp_path: Path) -> None:
    """However fast workers are; and when `post_create` fails, what was stored is cancelled."""
    worker = app.worker(children=1)
    running = threading.Thread(target=worker.run)
    running.start()
    try:
        made = [
            app.enqueue(group(job(Preparing, tmp_path / f"{n}"), job(Preparing, tmp_path / f"{n}b"))) for n in range(5)
        ]
        with pytest.raises(FileExistsError):
            app.enqueue(group(job(Preparing, tmp_path / "fresh"), job(Preparing, tmp_path / "0")))
        assert [each.result(timeout=60) for each in made] == [[True, True]] * 5
    finally:
        worker.stop()
        running.join()

    assert app.counts() == {"done": 15, "cancelled": 3}


def test_a_job_adds_procedures(app: Ramify, tmp_path: Path) -> None:
    """What a job adds is made and prepared in its own process; a mistake fails the job that made it."""
    good, bad = app.enqueue(Spawning, tmp_path / "ledger", 1), app.enqueue(Spawning, tmp_path / "ledger", 0)
    work(app)

    assert (good.state, good.children[0].result()) == ("done", ["1 frame 1", "! 1 over"])
    assert (tmp_path / "ledger").read_text() == "spawned\n"
    with pytest.raises(JobFailed, match="frames are none"):
        bad.result()


def test_options_and_coroutines(app: Ramify) -> None:
    """`task` gives a class options, which do not pass to classes made from it; `run` may be a coroutine."""
    slow, slower = app.enqueue(Slow, 1), app.enqueue(Slower, 2)
    assert {job.id for job in app.jobs(queues=["slow"])} == {slow.id}
    work(app)

    assert (slow.result(), slower.result()) == (2, 4)


def test_what_a_run_raises_is_the_failure(app: Ramify) -> None:
    """An exception fails the job, also where it runs in the caller's process."""
    handle = app.enqueue(Failing)
    app.run_until_empty()

    with pytest.raises(JobFailed, match="LookupError: no such scene"):
        handle.result()


def test_a_project_names_classes(app: Ramify) -> None:
    """A class stands in a project dictionary as a function does."""
    handle = app.enqueue({"jobs": [{"func": f"{HERE}:Frames", "args": "forest"}]})
    work(app)

    assert handle.result() == [["1 frame 1", "2 frame 2", "! 1 over"]]


def test_which_classes_are_tasks(app: Ramify) -> None:
    """Classes made from `JobProc` in a module that is served, and no others."""
    names = {name.partition(":")[2] for name in Tasks([HERE]).names()}
    assert names == {"Frames", "Slow", "Slower", "Last", "Spawning", "Preparing", "Failing"}
    with pytest.raises(BadTask, match="made from JobProc"):
        job(Path, "x")
    with pytest.raises(BadTask, match="made from JobProc"):
        job(JobProc)


def test_a_procedure_that_takes_results_is_made_where_it_runs(app: Ramify, tmp_path: Path) -> None:
    """There is nothing to prepare before what it takes is known, which is said."""
    with pytest.raises(BadNode, match="takes the result of another job"):
        app.enqueue(job(Frames, job(Last, ["x"]), ledger=tmp_path / "ledger"))


def test_its_parameters_are_known(app: Ramify) -> None:
    """A class is deployed with the parameters of its constructor, and so can be enqueued by name."""
    app.deploy()

    [declared] = app.store.tasks([f"{HERE}:Frames"])
    assert [parameter.name for parameter in declared.parameters] == ["scene", "frames", "ledger"]
    assert (declared.help, declared.parameters[0].help) == ("Render frames of a scene.", "which one")
