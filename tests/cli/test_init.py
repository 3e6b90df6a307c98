"""`ramify init`: from an empty directory to jobs that ran."""

import shutil
import sys
from pathlib import Path

import pexpect
import pytest

from ramify import Ramify
from tests.cli.conftest import Command, environment, run


@pytest.fixture
def empty(place: Path) -> Path:
    """An empty working directory."""
    (place / "chores.py").unlink()
    return place


def test_init_writes_settings_and_a_module(empty: Path, ask: Command) -> None:
    """One file of settings, one module, and the two commands that come next."""
    reply = ask("init")

    assert (reply.code, reply.err) == (0, "")
    assert reply.out.splitlines() == [
        "wrote ramify.toml and tasks.py; now begin with",
        "  ramify enqueue tasks:survey",
        "  ramify worker",
    ]
    assert sorted(path.name for path in empty.iterdir()) == ["ramify.toml", "tasks.py"]


def test_what_init_writes_runs(empty: Path) -> None:
    """A worker without arguments runs the first task, and the jobs that it adds."""
    assert run("init").code == 0
    with Ramify() as app:
        survey = app.enqueue("tasks:survey")

        reply = run("worker", "--burst")

        assert reply.code == 0
        assert survey.result(timeout=0) == "1 files"
        [total] = survey.children
        assert total.result() == len((empty / "tasks.py").read_text().splitlines())


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("bash") is None, reason="there is no bash here")
def test_three_commands_are_enough(empty: Path) -> None:
    """`init`, and then what it prints, typed in a terminal: the worker runs the job until Ctrl-C."""
    shell = pexpect.spawn(
        "bash",
        ["--norc", "--noprofile"],
        env=environment(PATH=f"{Path(sys.executable).parent}:/usr/bin:/bin", TERM="dumb", PS1="$ "),
        encoding="utf-8",
        codec_errors="replace",
        timeout=20,
        dimensions=(24, 200),
    )
    shell.sendline("ramify init")
    shell.expect(r"now begin with\s+(ramify enqueue [\w:]+)\s+(ramify worker)\s")
    enqueue, worker = shell.match.groups()
    shell.sendline(enqueue)
    shell.expect(r"\s(01\w{24})\s")
    id = shell.match[1]
    shell.sendline(worker)
    shell.expect("Ctrl-C stops it")
    with Ramify() as app:
        assert app.job(id).result(timeout=20) == "1 files"
    shell.sendintr()
    shell.expect_exact("$ ")
    shell.sendline("exit")
    shell.expect(pexpect.EOF)
    shell.close()


def test_init_overwrites_nothing(empty: Path) -> None:
    """What is there stays as it is, and nothing is written beside it."""
    for name, text, mistake in [
        ("ramify.toml", "", "ramify.toml is here already; nothing was written\n"),
        (
            "tasks.py",
            "x = 1\n",
            "tasks.py is here already; nothing was written; give another name (`ramify init jobs`)",
        ),
        ("pyproject.toml", "[tool.ramify]\n", "pyproject.toml has settings already, under [tool.ramify]"),
    ]:
        (empty / name).write_text(text)

        reply = run("init")

        assert (reply.code, reply.out) == (2, "")
        assert mistake in reply.err
        assert [path.name for path in empty.iterdir()] == [name]
        assert (empty / name).read_text() == text
        (empty / name).unlink()


def test_init_takes_another_name(empty: Path) -> None:
    """The module may be called otherwise, but not like one that it would hide, or like none at all."""
    assert "'json', which this one would hide" in run("init", "json").err
    assert "'sys', which this one would hide" in run("init", "sys").err
    assert "'two words' cannot be imported" in run("init", "two words").err
    assert "ramify enqueue chores:survey" in run("init", "chores").out
    assert 'tasks = ["chores"]' in (empty / "ramify.toml").read_text()
