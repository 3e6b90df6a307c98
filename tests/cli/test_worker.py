"""`ramify worker`: it runs, it stops when told to, and it says what it cannot do."""

import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from ramify import Ramify
from tests.cli.conftest import run, start
from tests.cli.test_run import wait_until


@pytest.fixture
def chores(place: Path) -> Iterator[Ramify]:
    """The store that a worker finds in the working directory."""
    with Ramify("sqlite:///ramify.db") as app:
        yield app


@contextmanager
def working(*arguments: str) -> Iterator[subprocess.Popen[str]]:
    """A worker that is up; killed if the test did not end it."""
    with start("worker", *arguments) as process:
        try:
            assert process.stderr is not None
            assert "Ctrl-C stops it" in process.stderr.readline()
            yield process
        finally:
            process.kill()


def test_a_burst_runs_what_there_is_and_ends(chores: Ramify) -> None:
    """`--burst` ends with status 0 when nothing is left."""
    stored = chores.enqueue("chores:double", 21)

    reply = run("worker", "chores", "--burst", "-n", "1")

    assert (reply.code, reply.out) == (0, "")
    assert reply.err.splitlines()[-1] == "1 done"
    assert stored.result(timeout=0) == 42


def test_a_burst_says_how_its_jobs_ended(chores: Ramify) -> None:
    """Status 1 if one did not end done; groups are counted too, and nothing to run is no mistake."""
    chores.enqueue({"jobs": [{"func": "chores:double", "args": 1}, {"func": "chores:boom"}]})

    first, second = run("worker", "chores", "--burst", "-n", "1"), run("worker", "chores", "--burst", "-n", "1")

    assert (first.code, first.out, first.err.splitlines()[-1]) == (1, "", "1 done, 2 failed")
    assert "no \\x1b[31m such thing" in first.err and "\x1b" not in first.err  # what jobs say is harmless in the log
    assert (second.code, second.err.splitlines()[-1]) == (0, "no job ended")


def test_queues_are_served_as_they_are_named(chores: Ramify) -> None:
    """Only the named queues are served; `--multiprocessing` runs the same jobs."""
    mail = chores.enqueue({"func": "chores:double", "args": 1, "queue": "mail"})
    other = chores.enqueue({"func": "chores:double", "args": 1})

    run("worker", "chores", "--burst", "-n", "1", "--queue", "mail", "--multiprocessing")

    assert [mail.state, other.state] == ["done", "ready"]


def test_jobs_that_nobody_here_can_run_are_named(chores: Ramify) -> None:
    """A worker that starts says which ready jobs it leaves to others."""
    chores.enqueue("elsewhere:paint", 1)

    reply = run("worker", "chores", "--burst", "-n", "1")

    assert "note: 1 ready job of elsewhere:paint, which is not served here\n" in reply.err


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_drains(chores: Ramify, number: signal.Signals) -> None:
    """SIGTERM and Ctrl-C let the running job finish; the next one stays ready; the status is 0."""
    tree = chores.enqueue(
        {"jobs": [{"func": "chores:wait_for", "args": "flag", "blocking": True}, {"func": "chores:double", "args": 1}]}
    )
    with working("chores", "-n", "1") as process:
        wait_until(Path("flag.awaited").exists)
        process.send_signal(number)
        Path("flag").touch()
        process.wait(30)

    assert process.returncode == 0
    assert [child.state for child in tree.children] == ["done", "ready"]
    assert chores.store.info().sessions == []


def test_grace_has_an_end(chores: Ramify) -> None:
    """After `--grace` seconds the running job is stopped and given back uncharged."""
    stored = chores.enqueue("chores:wait_for", "never")
    with working("chores", "-n", "1", "--grace", "0") as process:
        wait_until(Path("never.awaited").exists)
        process.send_signal(signal.SIGTERM)
        process.wait(30)

    assert stored.state == "ready"


def test_the_modules_may_stand_in_the_settings(chores: Ramify) -> None:
    """`tasks` of ramify.toml are served if none are named."""
    Path("ramify.toml").write_text('tasks = ["chores"]\n')
    stored = chores.enqueue("chores:double", 21)

    reply = run("worker", "--burst", "-n", "1")

    assert reply.code == 0
    assert stored.state == "done"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "name the modules whose functions may run"),
        (["nowhere"], "there is no module 'nowhere'; searched: "),
        (["chores.py"], "'chores.py' is a file; name the module, as in `import chores`"),
        (["broken"], "module 'broken' cannot be imported: ZeroDivisionError: division by zero (broken.py, line 1)"),
        (["empty"], "empty defines no function that could run"),
        (["chores", "-n", "0"], "children is a number from 1 to 1024 or 'auto', not '0'"),
        (["chores", "--url", "sqlite:///chores.py"], "chores.py is not an SQLite database"),
    ],
)
def test_a_mistake_is_one_line(place: Path, arguments: list[str], message: str) -> None:
    """Status 2 and what to do."""
    (place / "broken.py").write_text("1 / 0\n")
    (place / "empty.py").touch()

    reply = run("worker", *arguments)

    assert (reply.code, reply.out) == (2, "")
    assert reply.err.startswith("ramify: ")
    assert message in reply.err
    assert reply.err.count("\n") == 1


def test_a_burst_tells_of_jobs_that_it_does_not_serve(chores: Ramify) -> None:
    """They were added while it ran, so it could not say so when it began."""
    Path("finder.py").write_text(
        "from ramify import current, job\n\ndef find() -> None:\n    current().spawn(job('elsewhere:f'))\n"
    )
    chores.enqueue("finder:find")

    reply = run("worker", "finder", "--burst", "-n", "1")

    assert reply.err.splitlines()[-2:] == ["no job ended", "note: 1 ready job of elsewhere:f, which is not served here"]
