"""`ramify deploy`, `ramify tasks` and `ramify check`."""

import os
import pty
import sys
from pathlib import Path

import pytest

from ramify import BadArguments, Ramify
from tests.cli.conftest import run

REPORTS = '''
from typing import Literal

from ramify import needs, same, task


@task
def fetch(day: str, number: int = 1) -> None:
    """Fetch the numbers of a day.

    :param day: as 2026-11-21
    """


@task(limit=3, queue="slow", fan_out=["kind"], needs=needs(fetch, within="90m", day=same, number=2))
def report(day: str, kind: Literal["short", "long"] = "short") -> None:
    """Write a report."""


@task(cron="0 3 * * *")
def nightly() -> None: ...
'''


@pytest.fixture
def reports(place: Path) -> Path:
    """A module of tasks in the working directory."""
    (place / "reports.py").write_text(REPORTS)
    return place


def test_deploy_and_tasks(reports: Path) -> None:
    """What was deployed is shown, and makes the store if there is none."""
    deployed = run("deploy", "reports")
    shown = run("tasks")

    assert (deployed.code, deployed.out, deployed.err) == (0, "3 tasks of reports deployed\n", "")
    assert shown.out.splitlines() == [
        "reports:fetch(day: str, number: int = 1)",
        "    Fetch the numbers of a day.",
        "    day: as 2026-11-21",
        "reports:nightly()",
        "    by itself: 0 3 * * * (UTC), missed: last",
        'reports:report(day: str, kind: "short" | "long" = "short")',
        "    Write a report.",
        "    needs reports:fetch(day=same, number=2) within 1 h 30 min",
        '    kind may be "ALL": a job for each value',
        "    at most 3 at once",
        "    queue slow",
    ]
    assert '"name":"reports:fetch"' in run("tasks", "--json").out


def test_what_was_deployed_is_known_without_the_code(reports: Path) -> None:
    """A program that cannot import the module has its calls checked, and its jobs go where the task says."""
    run("deploy", "reports")

    with Ramify("sqlite:///ramify.db") as app:
        with pytest.raises(BadArguments, match="kind must be one of 'short','long'"):
            app.enqueue("reports:report", "monday", kind="tall")
        app.enqueue("reports:report", "monday")
        assert app.counts("queue") == {"slow": 1}


def test_jobs_stay_unless_there_is_a_reset(reports: Path) -> None:
    """A reset forgets everything, and must be confirmed."""
    run("deploy", "reports")
    with Ramify("sqlite:///ramify.db") as app:
        app.enqueue("reports:fetch", "monday")
        run("deploy", "reports")
        kept = app.counts()
        refused = run("deploy", "reports", "--reset")
        still = app.counts()

        done = run("deploy", "reports", "--reset", "--yes")

        assert (kept, still, app.counts(), done.code) == ({"ready": 1}, {"ready": 1}, {}, 0)
    assert (refused.code, "would forget 1 jobs" in refused.err) == (2, True)


@pytest.mark.skipif(os.name == "nt", reason="a terminal is needed")
@pytest.mark.parametrize(("word", "left"), [("reset", 0), ("yes", 1)])
def test_a_reset_is_confirmed_by_a_word(reports: Path, word: str, left: int) -> None:
    """In a terminal the word is asked for; anything else leaves all as it is."""
    run("deploy", "reports")
    with Ramify("sqlite:///ramify.db") as app:
        app.enqueue("reports:fetch", "monday")
        pid, terminal = pty.fork()
        if pid == 0:
            os.execvp(sys.executable, [sys.executable, "-m", "ramify.cli", "deploy", "reports", "--reset"])
        os.write(terminal, f"{word}\n".encode())
        seen = b""
        try:
            while part := os.read(terminal, 1000):
                seen += part
        except OSError:
            pass
        os.waitpid(pid, 0)
        os.close(terminal)

        assert (b"This forgets 1 jobs" in seen, sum(app.counts().values())) == (True, left)


def test_check(reports: Path) -> None:
    """It says what is wrong, with status 1."""
    sound = run("deploy", "reports") and run("check", "reports")
    (reports / "more.py").write_text(
        "from ramify import needs, task\nimport reports\n\n\n@task(needs=needs(reports.fetch))\ndef use(): ...\n"
    )

    wrong = run("check", "reports", "more")

    assert (sound.code, sound.out) == (0, "nothing is wrong with reports\n")
    assert wrong.code == 1
    assert "more:use → reports:fetch cannot be created automatically: required `day` has no value" in wrong.out


def test_a_cycle_is_refused(reports: Path) -> None:
    """Tasks that need each other are not deployed."""
    (reports / "loop.py").write_text(
        "from ramify import task\n\n\n@task(needs='loop:b')\ndef a(): ...\n\n\n@task(needs='loop:a')\ndef b(): ...\n"
    )

    reply = run("deploy", "loop")

    assert (reply.code, "these tasks need each other: loop:a → loop:b → loop:a" in reply.err) == (2, True)


def test_deploy_without_modules(place: Path) -> None:
    """Which modules there are must be said somewhere."""
    assert "name the modules of your tasks" in run("deploy").err


def test_no_tasks_yet(place: Path) -> None:
    """A store to which nothing was deployed says how."""
    with Ramify("sqlite:///ramify.db"):
        assert "`ramify deploy MODULE…` writes them" in run("tasks").err
