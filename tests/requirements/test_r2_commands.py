"""Checklist R2, the commands: each line is a test named after its id, typed into a real terminal.

What the document shows of `rq` is done with `ramify`: `empty`, `info`, `requeue`, `resume`, `suspend`, `worker`.
"""

import json
import os
import re
import shlex
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pexpect
import pytest

from ramify import Ramify
from tests.cli.test_run import wait_until

ROOT = Path(__file__).parents[2]
ID = re.compile(r"\b[0-9a-z]{26}\b")

CONSUMER = """
import pathlib
import time


def count_words(text):
    return len(text.split())


def fragile(path):
    if not pathlib.Path(path).exists():
        raise FileNotFoundError(path)
    return path


def wait_for(path):
    pathlib.Path(path + ".awaited").touch()
    while not pathlib.Path(path).exists():
        time.sleep(0.01)
    return path


def note(text):
    with open("order.txt", "a") as file:
        print(text, file=file)
"""

Type = Callable[..., str]


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with `consumer.py`."""
    (tmp_path / "consumer.py").write_text(CONSUMER)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("RAMIFY_URL", raising=False)
    return tmp_path


@pytest.fixture
def app(place: Path) -> Iterator[Ramify]:
    """The store that the commands find in the working directory."""
    with Ramify("sqlite:///ramify.db?durability=fast") as app:
        yield app


def terminal(line: str, **more: str) -> pexpect.spawn:
    """Type `ramify` and what follows into a terminal."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("RAMIFY_", "COLUMNS"))}
    environment = kept | {"PYTHONPATH": str(ROOT), "TERM": "xterm-256color", "NO_COLOR": "1", "PAGER": "cat"} | more
    words = ["-m", "ramify.cli", *shlex.split(line)]
    return pexpect.spawn(
        sys.executable,
        words,
        env=environment,
        dimensions=(40, 120),
        encoding="utf-8",
        codec_errors="replace",
        timeout=30,
    )


def type_in(line: str, status: int = 0) -> str:
    """Run the command to its end, and return what the terminal showed."""
    process = terminal(line)
    process.expect(pexpect.EOF)
    process.close()
    shown = str(process.before).replace("\r\n", "\n")
    assert process.exitstatus == status, shown
    return shown


def test_r2_06_a_function_is_queued_by_name() -> None:
    """`ramify enqueue module:function arguments`, with the consumer's code at hand or without."""
    here = type_in("enqueue consumer:count_words 'one two three'")
    away = type_in("enqueue elsewhere:paint red --label 'a wall'")

    assert ID.fullmatch(here.strip())
    assert "nothing is checked before it runs" in away
    with Ramify("sqlite:///ramify.db") as app:
        assert app.counts("task") == {"consumer:count_words": 1, "elsewhere:paint": 1}


@pytest.mark.slow
def test_r2_07_the_id_tells_the_state_from_anywhere(app: Ramify) -> None:
    """What is printed is enough for another command, and for another process."""
    stored = type_in("enqueue consumer:count_words 'one two three'").strip()
    before = json.loads(type_in("jobs --json"))["state"]

    type_in("worker consumer --burst -n 1")

    assert (before, app.job(stored).state) == ("ready", "done")
    assert type_in(f"result {stored}") == "3\n"


def test_r2_09_producer_and_consumer_share_a_module() -> None:
    """Where it can be imported, function and arguments are checked before anything is stored."""
    function = type_in("enqueue consumer:count_word 'one two'", status=2)
    arguments = type_in("enqueue consumer:count_words", status=2)

    assert "did you mean consumer:count_words?" in function
    assert "missing a required argument: 'text'" in arguments
    assert not Path("ramify.db").exists()


@pytest.mark.slow
def test_r2_12_empty_removes_what_waits(app: Ramify) -> None:
    """Only of the named queues; their number is printed, and what runs is finished."""
    running = app.enqueue("consumer:wait_for", "flag")
    worker = terminal("worker consumer -n 1")
    wait_until(Path("flag.awaited").exists)
    for n in range(3):
        type_in(f"enqueue consumer:count_words {n} -q default")
    kept = type_in("enqueue consumer:count_words other -q mail").strip()

    shown = type_in("empty default")
    Path("flag").touch()
    wait_until(lambda: running.state == "done")
    worker.sendintr()
    worker.expect(pexpect.EOF)

    assert shown == "3 jobs removed from default\n"
    assert {job.id for job in app.jobs()} == {running.id, kept}


@pytest.mark.slow
def test_r2_13_info_shows_queues_workers_and_counts(app: Ramify) -> None:
    """Once, as JSON, and again and again until Ctrl-C."""
    app.enqueue({"func": "consumer:count_words", "args": "one", "queue": "mail"})
    worker = terminal("worker consumer -q default -n 1")
    worker.expect("Ctrl-C stops it")
    wait_until(lambda: bool(app.store.info().sessions))

    once, told = type_in("info"), json.loads(type_in("info --json"))
    live = terminal("info --interval 0.1")
    live.expect("mail +1")
    app.enqueue({"func": "consumer:count_words", "args": "two", "queue": "mail"})
    live.expect("mail +2")
    live.sendintr()
    live.expect(pexpect.EOF)
    worker.sendintr()
    worker.expect(pexpect.EOF)

    assert re.search(r"mail +1", once)
    assert re.search(rf":{worker.pid} +default +consumer +\d+ s", once)
    assert told["queues"] == {"mail": {"ready": 1}}
    assert [worker["pid"] for worker in told["workers"]] == [worker.pid]


@pytest.mark.slow
def test_r2_14_requeue_brings_failed_jobs_back(app: Ramify) -> None:
    """By id, by queue, and all at once."""
    jobs = [app.enqueue({"func": "consumer:fragile", "args": "flag", "queue": queue}) for queue in ("a", "b", "c")]
    shown = type_in("worker consumer -q a -q b -q c --burst -n 1", status=1)

    one = type_in(f"requeue {jobs[0].id}")
    queue = type_in("requeue --queue b")
    states = [job.state for job in jobs]
    rest = type_in("requeue --all")
    Path("flag").touch()
    type_in("worker consumer -q a -q b -q c --burst -n 1")

    assert "3 failed" in shown
    assert (one, queue) == ("fragile will be tried again\n", "1 failed job of queue b will be tried again\n")
    assert states == ["ready", "ready", "failed"]
    assert rest == "1 failed job will be tried again\n"
    assert [job.state for job in jobs] == ["done"] * 3


@pytest.mark.slow
def test_r2_15_resume_lets_workers_take_jobs_again(app: Ramify) -> None:
    """The worker that was there all the time goes on by itself."""
    type_in("suspend")
    stored = app.enqueue("consumer:count_words", "one two")
    worker = terminal("worker consumer -n 1")
    worker.expect("Ctrl-C stops it")
    wait_until(lambda: bool(app.store.info().sessions))

    before = stored.state
    shown = type_in("resume")
    wait_until(lambda: stored.state == "done")
    worker.sendintr()
    worker.expect(pexpect.EOF)

    assert (before, shown) == ("ready", "everything goes on\n")


@pytest.mark.slow
def test_r2_16_suspend_stops_starts_and_nothing_else(app: Ramify) -> None:
    """What runs is finished; nothing starts on any worker until it is resumed, or the time is over."""
    running = app.enqueue("consumer:wait_for", "flag")
    worker = terminal("worker consumer -n 1")
    wait_until(Path("flag.awaited").exists)

    shown = type_in("suspend")
    waiting = app.enqueue("consumer:count_words", "one two")
    Path("flag").touch()
    wait_until(lambda: running.state == "done")
    burst = type_in("worker consumer --burst -n 1")
    suspended = waiting.state
    for_a_moment = type_in("suspend --duration 1s")
    wait_until(lambda: waiting.state == "done")
    worker.sendintr()
    worker.expect(pexpect.EOF)

    assert shown == "everything is suspended; 1 still running\n"
    assert "no job ended" in burst
    assert suspended == "ready"
    assert for_a_moment.startswith("everything is suspended until ")


@pytest.mark.slow
def test_r2_17_a_worker_serves_its_queues_in_that_order(app: Ramify) -> None:
    """One worker, the queues as they are named, and no others."""
    for queue in ("low", "high", "other"):
        app.enqueue({"func": "consumer:note", "args": queue, "queue": queue})

    type_in("worker consumer -q high -q low --burst -n 1")

    assert Path("order.txt").read_text().split() == ["high", "low"]
    assert app.counts() == {"done": 2, "ready": 1}


def test_r2_18_help_lists_the_commands() -> None:
    """Status 0, each command with one line."""
    shown = re.sub(r"\x1b\[[0-9;]*m", "", type_in("--help"))  # bold is no colour

    commands = re.findall(r"^│ (\w+) +(\S.*?) +│$", shown.partition("Commands")[2], re.MULTILINE)
    assert {"empty", "info", "requeue", "resume", "suspend", "worker"} <= {name for name, _ in commands}
    assert all(line.endswith(".") for _, line in commands)
