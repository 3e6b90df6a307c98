"""`ramify jobs`: the jobs that match, newest first."""

import json
import re

import pytest

from ramify import Ramify, group, job
from tests.cli.conftest import Command
from tests.face.tasks import boom, double

ID = re.compile(r"\b[0-9a-z]{26}\b")


@pytest.fixture
def ids(app: Ramify) -> dict[str, str]:
    """Jobs of all kinds, oldest first, by what they are called."""
    failed = app.enqueue(job(boom, "it is broken").options(label="failed"))
    tree = app.enqueue(group(job(double, 1).options(label="leaf"), label="tree"))
    app.run_until_empty()
    mail = app.enqueue(job(double, 1).options(queue="mail", label="scene 1"))
    later = app.enqueue(job(double, 1).options(delay=600, label="scene 2"))
    return {
        "failed": failed.id,
        "leaf": tree.children[0].id,
        "tree": tree.id,
        "scene 1": mail.id,
        "scene 2": later.id,
    }


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ("", "scene 2,scene 1,tree,leaf,failed"),
        ("--state failed", "failed"),
        ("--state ready", "scene 1"),
        ("--state scheduled -s failed", "scene 2,failed"),
        ("--queue mail", "scene 1"),
        ("--task tests.face.tasks:boom", "failed"),
        ("--label scene*", "scene 2,scene 1"),
        ("--roots", "scene 2,scene 1,tree,failed"),
        ("--under TREE", "leaf"),
        ("--limit 2", "scene 2,scene 1"),
        ("--limit 2 --before MAIL", "tree,leaf"),
        ("--limit 0", "scene 2,scene 1,tree,leaf,failed"),
    ],
)
def test_jobs_are_listed_newest_first(ids: dict[str, str], ask: Command, options: str, expected: str) -> None:
    """Filters are combined, pages follow each other."""
    typed = options.replace("TREE", ids["tree"]).replace("MAIL", ids["scene 1"]).split()

    reply, told = ask("jobs", *typed), ask("jobs", *typed, "--json")

    assert [ids[name] for name in expected.split(",")] == ID.findall(reply.out)
    assert [ids[name] for name in expected.split(",")] == [json.loads(line)["id"] for line in told.out.splitlines()]


def test_a_line_says_what_it_is(ids: dict[str, str], ask: Command) -> None:
    """State, name, queue, when, and the id."""
    lines = ask("jobs").out.splitlines()

    assert re.fullmatch(rf"scheduled scene 2 +default +in 10 min 0 s  {ids['scene 2']}", lines[0])
    assert re.fullmatch(rf"ready     scene 1 +mail +{ids['scene 1']}", lines[1])
    assert re.fullmatch(rf"failed    failed +default +\d+ s ago  {ids['failed']}", lines[4])


def test_it_says_how_to_go_on(ids: dict[str, str], ask: Command) -> None:
    """Where there are more, the next page is named, beside the list."""
    reply = ask("jobs", "-n", "2")

    assert reply.err == f"… there are more: --before {ids['scene 1']} goes on, --limit 0 shows all\n"
    assert ask("jobs", "-n", "5").err == ""


def test_a_queue_that_nobody_knows_is_pointed_out(ids: dict[str, str], ask: Command) -> None:
    """An empty list may be a slip of the pen."""
    reply = ask("jobs", "--queue", "mial")

    assert (reply.code, reply.out) == (0, "")
    assert reply.err == "no such jobs: there is no job of queue 'mial'; did you mean 'mail'?\n"
