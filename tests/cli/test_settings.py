"""`ramify info --settings`, `ramify worker -c`: where a command takes its settings from, and says so."""

import json
from pathlib import Path

import pytest

from ramify import Ramify
from tests.cli.conftest import Command, run


def test_each_setting_is_shown_with_where_it_came_from(
    place: Path, monkeypatch: pytest.MonkeyPatch, ask: Command
) -> None:
    """No store is opened for it, and a password is three stars."""
    (place / "ramify.toml").write_text('tasks = ["chores"]\ngrace = 5\n')
    monkeypatch.setenv("RAMIFY_URL", "redis://:secret@emm.com:6387/0")

    reply = ask("info", "--settings")

    assert [line.rstrip().split(maxsplit=2) for line in reply.out.splitlines()][2:] == [
        ["url", "redis://:***@emm.com:6387/0", "$RAMIFY_URL"],
        ["tasks", "chores", "ramify.toml, line 1"],
        ["queues", "default", "default"],
        ["children", "auto", "default"],
        ["grace", "5", "ramify.toml, line 2"],
        ["multiprocessing", "false", "default"],
        ["burst", "false", "default"],
        ["units", "any", "default"],
        ["limit", "any", "default"],
        ["watch", "none", "default"],
        ["log", "text", "default"],
        ["workers", "auto", "default"],
        ["project", "none", "default"],
    ]
    assert (reply.code, reply.err) == (0, "")
    assert not (place / "ramify.db").exists()


def test_settings_as_json(place: Path) -> None:
    """`--json` gives values and origins to programs, masked as well, with what looks wrong."""
    (place / "settings.py").write_text("REDIS_HOST = 'emm.com'\nREDIS_PORT = 6387\nQUEUES = ['high', 'low']\n")

    told = json.loads(run("info", "--settings", "--json", "-c", "settings", RAMIFY_GRAEC="5").out)

    assert told["settings"]["url"] == {"value": "redis://emm.com:6387/0", "origin": "settings.py, REDIS_HOST"}
    assert told["settings"]["queues"] == {"value": ["high", "low"], "origin": "settings.py, QUEUES"}
    assert told["settings"]["children"] == {"value": "auto", "origin": "default"}
    assert told["notes"][0] == "$RAMIFY_GRAEC is not read; did you mean $RAMIFY_GRACE?"
    assert told["notes"][1].startswith("redis://emm.com:6387/0 names no password")


def test_a_worker_takes_a_settings_module(place: Path) -> None:
    """`-c settings` says which store and which queues, as `rq worker -c settings` does; arguments go first."""
    (place / "settings.py").write_text("URL = 'sqlite:///mine.db'\nQUEUES = ['high', 'low']\nTASKS = ['chores']\n")
    with Ramify("sqlite:///mine.db") as app:
        low, high, other = (
            app.enqueue({"func": "chores:double", "args": 1, "queue": queue}) for queue in ("low", "high", "other")
        )

        reply = run("worker", "--burst", "-n", "1", "-c", "settings")
        assert "queue high, low, 1 child" in reply.err
        assert [job.state for job in (low, high, other)] == ["done", "done", "ready"]

        run("worker", "--burst", "-n", "1", "-c", "settings", "--queue", "other")
        assert other.state == "done"


def test_an_address_that_is_none_is_named(place: Path) -> None:
    """The address of a settings module comes out as it was written, in one line with what an address looks like."""
    (place / "settings.py").write_text("URL = 'mongodb://nowhere'\nTASKS = ['chores']\n")

    reply = run("worker", "-c", "settings")

    assert (reply.code, reply.err.count("\n")) == (2, 1)
    assert "'mongodb://nowhere' is not the address of a store; use sqlite:///" in reply.err


def test_a_worker_starts_in_the_directory_it_is_told(place: Path) -> None:
    """`--dir` finds settings, store and modules there, as if the command had been given there."""
    project = place / "project"
    project.mkdir()
    (place / "chores.py").rename(project / "chores.py")
    (project / "ramify.toml").write_text('tasks = ["chores"]\n')
    with Ramify(f"sqlite:///{project}/ramify.db") as app:
        stored = app.enqueue("chores:double", 21)

        reply = run("worker", "--dir", "project", "--burst", "-n", "1")

        assert (reply.code, stored.state) == (0, "done")
    assert "searched:" in run("worker", "chores").err
    assert "'nowhere' does not exist" in run("worker", "chores", "--dir", "nowhere").err
