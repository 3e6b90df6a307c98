"""`ramify explain`: each reason why a job does not run is told, and the command below it mends that."""

import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ramify import Job, Ramify, State, group, job, series
from ramify.explain import spell, spell_moment
from ramify.model import Rule, Session, Want
from tests.cli.conftest import Command, environment, run
from tests.cli.test_run import wait_until
from tests.cli.test_worker import working

HOST = socket.gethostname()
CHORES = """
import pathlib


def double(x: int) -> int:
    return 2 * x


def need(path: str) -> str:
    if not pathlib.Path(path).exists():
        raise ValueError(f"there is no {path}")
    return path


def wait_for(path: str) -> str:
    import time

    pathlib.Path(path + ".awaited").touch()
    while not pathlib.Path(path).exists():
        time.sleep(0.01)
    return path
"""


@pytest.fixture
def app(place: Path) -> Iterator[Ramify]:
    (place / "chores.py").write_text(CHORES)
    with Ramify("sqlite:///ramify.db?durability=fast") as app:
        yield app


@pytest.fixture
def why(app: Ramify, ask: Command) -> Callable[[Job[Any]], tuple[str, str]]:
    """Return what `ramify explain` says of a job, and the command that it prints below."""

    def why(job: Job[Any]) -> tuple[str, str]:
        reply = ask("explain", job.id)
        assert (reply.code, reply.err) == (0, "")
        text, _, command = reply.out.strip().partition("\n")
        return text, command.strip()

    return why


def shell(command: str) -> subprocess.Popen[bytes]:
    """Give a command to a shell, as a person would."""
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    return subprocess.Popen(["/bin/sh", "-c", f"exec {command}"], env=environment(PATH=path), stdin=subprocess.DEVNULL)


def mend(command: str) -> None:
    """Run the command; if it is no worker, a worker does the rest."""
    assert command.startswith("ramify ")
    with shell(command) as process:
        assert process.wait(30) == 0
    run("worker", "chores", "--burst", "-n", "1", "-q", "default", "-q", "gpu")


def mend_by_worker(command: str, stored: Job[Any]) -> None:
    """Run the worker until the job has ended."""
    assert command.startswith("ramify worker ")
    with shell(f"{command} -n 1") as process:
        try:
            wait_until(lambda: stored.state == "done")
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(30)


def enter(app: Ramify, queue: str = "default", task: str = "chores:double") -> None:
    """Make a worker known that claims nothing by itself."""
    app.store.enter(Session("s", "crow", os.getpid(), (queue,), (task,)))


@pytest.mark.slow
def test_it_is_held(app: Ramify, why: Any) -> None:
    """A held job is let go by itself; one under a held job, or behind a gate, by that."""
    alone = app.enqueue(job("chores:double", 1).options(hold=True))
    tree = app.enqueue(group(job("chores:double", 2), label="both").options(hold=True))
    child = tree.children[0]

    text, command = why(alone)
    below = why(child)
    above = why(tree)

    assert (text, command) == (f"chores:double ({alone.id}) is held", f"ramify release {alone.id}")
    assert below == (f"chores:double ({child.id}) is held by both ({tree.id})", f"ramify release {tree.id}")
    assert above == (f"both ({tree.id}) is held", f"ramify release {tree.id}")
    mend(command)
    mend(below[1])
    assert [alone.state, child.state, tree.state] == ["done"] * 3


@pytest.mark.slow
def test_it_waits_for_one_that_failed(app: Ramify, why: Any) -> None:
    """Before a worker has drawn the conclusion, and after."""
    first = app.enqueue(job("chores:need", "flag").options(label="first"))
    second = app.enqueue(job("chores:double", 1).options(after=first, label="second"))
    enter(app)
    [claim] = app.store.exchange("s", [], Want(n=1)).claims
    from ramify.model import Ended, Failure

    failure = Failure("error", "there is no flag", "ValueError")
    app.store.exchange("s", [Ended(first.id, claim.row.attempt, State.FAILED, failure=failure)], Want(ends=0))
    app.store.leave("s")

    before = why(second)
    run("worker", "chores", "--burst", "-n", "1")
    after = why(second)

    assert before == (
        f"second ({second.id}) waits for first ({first.id}), which failed with ValueError: there is no flag",
        f"ramify retry {first.id}",
    )
    assert after == (
        f"second ({second.id}) was skipped, because first ({first.id}) failed: ValueError: there is no flag",
        f"ramify retry {first.id}",
    )
    Path("flag").touch()
    mend(after[1])
    assert second.state == "done"


@pytest.mark.slow
def test_it_failed(app: Ramify, why: Any) -> None:
    """The reason is that of the failure, and a retry brings back the whole tree."""
    tree = app.enqueue(group(job("chores:need", "flag").options(label="leaf"), label="tree"))
    run("worker", "chores", "--burst", "-n", "1")

    text, command = why(tree)

    leaf = tree.children[0]
    assert text == f"tree ({tree.id}) failed, because leaf ({leaf.id}) failed: ValueError: there is no flag"
    assert command == f"ramify retry {tree.id}"
    Path("flag").touch()
    mend(command)
    assert tree.state == "done"


@pytest.mark.slow
def test_it_was_cancelled(app: Ramify, why: Any) -> None:
    """A job that was cancelled with what stands above it says so, and a retry brings it back."""
    tree = app.enqueue(group(job("chores:double", 1), label="tree"))
    child = tree.children[0]
    tree.cancel()

    text, command = why(child)

    assert text == f"chores:double ({child.id}) was cancelled, because tree ({tree.id}) was cancelled"
    mend(command)
    assert child.state == "done"


@pytest.mark.slow
def test_no_worker_is_there(app: Ramify, why: Any) -> None:
    """Nobody at all."""
    stored = app.enqueue("chores:double", 1)

    text, command = why(stored)

    assert text == f"chores:double ({stored.id}) is ready, but no worker is there"
    mend_by_worker(command, stored)


@pytest.mark.slow
def test_nobody_serves_its_queue(app: Ramify, why: Any) -> None:
    """Somebody is there, but for other queues."""
    stored = app.enqueue(job("chores:double", 1).options(queue="gpu"))
    enter(app)

    text, command = why(stored)

    assert text.endswith("is ready, but nobody serves queue gpu")
    mend_by_worker(command, stored)


@pytest.mark.slow
def test_no_worker_knows_its_task(app: Ramify, why: Any) -> None:
    """Somebody serves the queue, but not the module."""
    stored = app.enqueue("chores:double", 1)
    enter(app, task="elsewhere:paint")

    text, command = why(stored)

    assert text.endswith("is ready, but no worker knows task chores:double: those of queue default serve elsewhere")
    mend_by_worker(command, stored)


def test_its_module_has_no_such_function(app: Ramify, why: Any) -> None:
    """A worker knows the module and not the task: no other worker would help, so no command is offered."""
    stored = app.enqueue("chores:dubble", 1)
    enter(app)

    text, command = why(stored)

    assert text.endswith("those of queue default serve chores, which has no such function")
    assert command == ""


@pytest.mark.slow
@pytest.mark.parametrize("scope", ["queue:default", "task:chores:double", "all"])
def test_a_limit_is_in_use(app: Ramify, why: Any, scope: str) -> None:
    """Who uses it up is named; the command makes room for one more."""
    app.store.limit(scope, Rule(2))
    jobs = [app.enqueue("chores:double", n) for n in range(3)]
    enter(app)
    app.store.exchange("s", [], Want(n=3))

    text, command = why(jobs[2])

    first, second = (f"chores:double ({each.id})" for each in jobs[:2])
    assert text.endswith(f"may not start: the limit of 2 on {scope} is in use by {first}, {second}")
    assert command == f"ramify limit {scope} 3"
    mend(command)
    assert jobs[2].state == "done"


@pytest.mark.slow
def test_a_limit_on_its_host_is_in_use(app: Ramify, why: Any) -> None:
    """A host of which no more may run is told as any other limit."""
    app.store.limit(f"host:{HOST}", Rule(1))
    first, second = (app.enqueue("chores:double", n) for n in range(2))
    app.store.enter(Session("s", HOST, os.getpid(), ("default",), ("chores:double",)))
    app.store.exchange("s", [], Want(n=2, host=HOST))

    text, command = why(second)

    assert text.endswith(f"may not start: the limit of 1 on host:{HOST} is in use by chores:double ({first.id})")
    assert command == f"ramify limit host:{HOST} 2"
    mend(command)
    assert second.state == "done"


@pytest.mark.slow
def test_it_takes_more_units_than_there_are(app: Ramify, why: Any) -> None:
    """A host that could never run it needs a worker that says otherwise; one that is busy needs time."""
    small = app.enqueue(job("chores:double", 1).options(units=2))
    middle = app.enqueue(job("chores:double", 2).options(units=3))
    large = app.enqueue(job("chores:double", 3).options(units=5))
    app.store.enter(Session("s", HOST, os.getpid(), ("default",), ("chores:double",), units=4))
    app.store.exchange("s", [], Want(n=1, host=HOST, units=4))

    busy = why(middle)
    text, command = why(large)

    assert busy == (
        f"chores:double ({middle.id}) takes 3 units, and of the 4 of host {HOST} 2 are in use "
        f"by chores:double ({small.id})",
        "",
    )
    assert text == f"chores:double ({large.id}) takes 5 units of a host, and {HOST} has 4"
    assert command == "ramify worker chores --units 5"
    app.store.leave("s")
    mend_by_worker(command, large)


@pytest.mark.slow
@pytest.mark.parametrize("option", ["", " --queue default", " --task chores:double"])
def test_it_is_suspended(app: Ramify, why: Any, option: str) -> None:
    """All, its queue or its task."""
    stored = app.enqueue("chores:double", 1)
    run("suspend", *option.split())

    text, command = why(stored)

    assert "may not start" in text and "suspended" in text
    assert command == f"ramify resume{option}"
    mend(command)
    assert stored.state == "done"


@pytest.mark.slow
def test_it_is_due_later(app: Ramify, why: Any) -> None:
    """Time mends that, so there is no command."""
    later = app.enqueue(job("chores:double", 1).options(delay=200))
    soon = app.enqueue(job("chores:double", 1).options(delay=1))

    text, command = why(later)

    assert f"chores:double ({later.id}) is due in 3 min" in text
    assert command == ""
    with working("chores", "-n", "1"):
        wait_until(lambda: soon.state == "done")


@pytest.mark.slow
def test_its_worker_is_gone(app: Ramify, why: Any, ask: Command) -> None:
    """A worker that was killed is seen to be gone at once, and the next one takes over."""
    stored = app.enqueue("chores:wait_for", "flag")
    with working("chores", "-n", "1") as process:
        wait_until(Path("flag.awaited").exists)
        running = why(stored)
        process.kill()
        process.wait(30)

    lost = why(stored)

    assert f"chores:wait_for ({stored.id}) has been running for" in running[0]
    assert running[1] == ""
    assert "its worker" in lost[0] and "is gone" in lost[0]
    assert "lost" in ask("info").out
    Path("flag").touch()
    mend_by_worker(lost[1], stored)


@pytest.mark.slow
def test_it_waits_for_one_that_has_a_reason(app: Ramify, why: Any) -> None:
    """The way down is walked to what must be mended, past what only takes its time."""
    later = job("chores:double", 1).options(delay=0.2)
    gate = app.enqueue(job("chores:double", 2).options(hold=True, label="gate"))
    tree = app.enqueue(group(later, group(job("chores:double", 3).options(after=gate)), label="top"))

    text, command = why(tree)

    assert text == f"top ({tree.id}) waits: gate ({gate.id}) is held"
    with shell(command) as process:
        process.wait(30)
    with working("chores", "-n", "1"):
        wait_until(lambda: tree.state == "done")


def test_the_way_down_may_be_long(app: Ramify) -> None:
    """However many jobs stand one behind the other, the first of them is found."""
    jobs = [job("chores:double", n) for n in range(1500)]
    tree = app.enqueue(series(*jobs).options(hold=True))
    gate = app.enqueue(job("chores:double", 1).options(hold=True, label="gate"))
    tree.children[0].after(gate)
    tree.release()

    reason = tree.children[-1].explain()

    assert (reason.kind, reason.job, reason.command) == ("held", gate.id, ("release", gate.id))


def test_what_is_done_has_a_result(app: Ramify, ask: Command) -> None:
    """`--json` says the same in fields that do not change."""
    import json

    stored = app.enqueue("chores:double", 1)

    told = json.loads(ask("explain", stored.id, "--json").out)

    assert told == {
        "id": stored.id,
        "state": "ready",
        "reason": {
            "kind": "unserved",
            "text": f"chores:double ({stored.id}) is ready, but no worker is there",
            "job": stored.id,
            "others": [],
            "command": "ramify worker chores",
        },
    }


def test_the_store_is_named_in_the_command_as_it_was_given(app: Ramify, ask: Command) -> None:
    """What is printed can be pasted."""
    url = "sqlite:///my%20jobs.db?durability=fast"
    with Ramify(url) as other:
        stored = other.enqueue(job("chores:double", 1).options(hold=True))

    reply = ask("explain", stored.id, "--url", url)

    assert reply.out.splitlines()[1] == f"  ramify release {stored.id} --url '{url}'"


def test_a_handle_explains_itself_alike(app: Ramify) -> None:
    """`job.explain()` is the same reason, as a value and as text."""
    stored = app.enqueue(job("chores:double", 1).options(hold=True, label="x"))

    reason = stored.explain()

    assert (reason.kind, reason.job, reason.command) == ("held", stored.id, ("release", stored.id))
    assert str(reason) == f"x ({stored.id}) is held\n  ramify release {stored.id}"


def test_moments_are_said_as_people_say_them() -> None:
    """The day is left out if it is today; a time that no clock knows is no reason to fail."""
    now = time.time()

    assert re.fullmatch(r"\d\d:\d\d:\d\d", spell_moment(now))
    assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", spell_moment(now + 86400))
    assert spell_moment(1e300) == "the end of time"


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0, "0 s"), (59.6, "1 min 0 s"), (200, "3 min 20 s"), (7260, "2 h 1 min"), (90000, "1 d 1 h")],
)
def test_lengths_of_time_are_said_as_people_say_them(seconds: float, words: str) -> None:
    """Two units are enough."""
    assert spell(seconds) == words
