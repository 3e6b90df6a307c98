"""Checklist R2, the queue's infrastructure: each line that is not a single command is a test named after its id.

Everything is done as its readers would do it: files in a directory, commands, and programs in processes of their own.
The pool, the service and the restart of a server come with them.
"""

import json
import os
import pickle
import shlex
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ramify import Ramify, State
from ramify.settings import read_settings
from ramify.stores.address import find_open_door

ROOT = Path(__file__).parents[2]

CONSUMER = """
import os

from ramify import current


def count_words(text):
    with open("order.txt", "a") as file:
        print(text, file=file)
    return len(text.split())


def say_nothing():
    return None


def whereabouts():
    return [os.getcwd(), __file__]
"""

PRODUCER = """
import sys

from consumer import count_words
from ramify import Ramify

with Ramify() as app:
    print(app.enqueue(count_words, "two words").id)
"""


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with `consumer.py` and `producer.py`, as the document has them."""
    (tmp_path / "consumer.py").write_text(CONSUMER)
    (tmp_path / "producer.py").write_text(PRODUCER)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("RAMIFY_URL", raising=False)
    return tmp_path


@pytest.fixture
def app(place: Path) -> Iterator[Ramify]:
    """The store that every program finds in the working directory."""
    with Ramify("sqlite:///ramify.db?durability=fast") as app:
        yield app


def run(*arguments: str, where: Path | None = None, **more: str) -> subprocess.CompletedProcess[str]:
    """Run Python in the working directory and return how it ended."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("RAMIFY_")}
    environment = kept | {"PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "error"} | more
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=where,
        env=environment,
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )


def ramify(*arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
    return run("-m", "ramify.cli", *arguments, **more)


def work(*arguments: str) -> None:
    """Let a worker run what there is."""
    done = ramify("worker", "consumer", "--burst", "-n", "1", *arguments)
    assert done.returncode == 0, done.stderr


def wait_until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_r2_01_any_project_gets_its_infrastructure_by_three_commands(place: Path) -> None:
    """`ramify init` makes one settings file and one task module, which a worker then runs, without a server."""
    before = set(place.iterdir())

    said = ramify("init").stdout
    assert {path.name for path in set(place.iterdir()) - before} == {"ramify.toml", "tasks.py"}

    commands = [shlex.split(line) for line in said.splitlines() if line.startswith("  ramify")]
    assert len(commands) == 2
    assert commands[1] == ["ramify", "worker"]
    id = ramify(*commands[0][1:]).stdout.strip()
    assert ramify("worker", "--burst").returncode == 0
    with Ramify() as app:
        assert app.job(id).state is State.DONE


def test_r2_06_a_producer_enqueues_a_pointer_to_a_function_with_its_arguments(app: Ramify, place: Path) -> None:
    """By the function, or by its name without having the consumer's code; `os:system` is stored and never run."""
    by_function = run("producer.py").stdout.strip()
    elsewhere = place / "elsewhere"
    elsewhere.mkdir()
    by_name = run(
        "-c",
        "from ramify import Ramify; app = Ramify('sqlite:///../ramify.db');"
        "print(app.enqueue('consumer:count_words', 'three more words').id); app.enqueue('os:system', 'touch hacked')",
        where=elsewhere,
    ).stdout.strip()

    work()

    assert app.job(by_function).result(timeout=0) == 2
    assert app.job(by_name).result(timeout=0) == 3
    assert [job.state for job in app.jobs(tasks=["os:system"])] == [State.READY]
    assert not (place / "hacked").exists()


def test_r2_07_the_id_is_enough_to_check_the_status(app: Ramify) -> None:
    """What `enqueue` returned has an id, with which another process sees the same state."""
    job = app.enqueue("consumer:count_words", "one")
    ask = "import sys; from ramify import Ramify; print(Ramify().job(sys.argv[1]).state)"

    assert run("-c", ask, job.id).stdout == "ready\n"
    work()
    assert run("-c", ask, job.id).stdout == f"{job.state}\n" == "done\n"


def test_r2_08_a_producer_waits_until_all_are_done(app: Ramify) -> None:
    """With `wait`, `as_completed`, or a loop of its own that asks for states."""
    jobs = [app.enqueue("consumer:count_words", "a " * n) for n in range(4)]
    started = subprocess.Popen(
        [sys.executable, "-m", "ramify.cli", "worker", "consumer", "--burst", "-n", "2"],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stderr=subprocess.DEVNULL,
    )
    with started:
        app.wait(jobs, timeout=40)
        assert {job.result() for job in app.as_completed(jobs, timeout=0)} == {0, 1, 2, 3}
        wait_until(lambda: all(job.state is State.DONE for job in jobs))


def test_r2_x1_a_result_of_none_is_an_end_too(app: Ramify) -> None:
    """The document takes None for "not finished"; here the state tells, and `result` waits or raises."""
    job = app.enqueue("consumer:say_nothing")
    with pytest.raises(TimeoutError):
        job.result(timeout=0)

    work()

    assert (job.state, job.result(timeout=0)) == (State.DONE, None)


def test_r2_09_one_module_serves_both_sides(app: Ramify) -> None:
    """The producer imports the module that the worker imports; the worker then runs its functions and no others."""
    id = run("producer.py").stdout.strip()

    work()

    assert app.job(id).result(timeout=0) == 2
    assert run("-c", "import consumer; print(consumer.count_words('a b'))").stdout == "2\n"


@pytest.mark.slow
def test_r2_10_a_worker_is_told_its_server_and_queues(place: Path) -> None:
    """By `--url`, by `$RAMIFY_URL`, or by `settings.py` with the names that the document's workers read."""
    redis = "redis://emm.com:6387/0"

    def told(*arguments: str, **more: str) -> tuple[str, list[str]]:
        settings = json.loads(ramify("info", "--settings", "--json", *arguments, **more).stdout)["settings"]
        return settings["url"]["value"], settings["queues"]["value"]

    assert told("--url", redis) == (redis, ["default"])
    assert told(RAMIFY_URL=redis, RAMIFY_QUEUES="high low") == (redis, ["high", "low"])
    for text in (f"REDIS_URL = '{redis}'", "REDIS_HOST = 'emm.com'\nREDIS_PORT = 6387"):
        (place / "settings.py").write_text(f"{text}\nQUEUES = ['high', 'low']\n")
        assert told("-c", "settings") == (redis, ["high", "low"])

    (place / "settings.py").write_text("URL = 'sqlite:///other.db'\nQUEUES = ['high', 'low']\n")
    with Ramify("sqlite:///other.db") as other:
        job = other.enqueue({"func": "consumer:count_words", "args": "a", "queue": "low"})
        work("-c", "settings")
        assert job.state is State.DONE


def test_r2_11_a_worker_finds_the_module_in_its_directory(place: Path) -> None:
    """The working directory, or that of `--dir`, is on the import path; else the path that was searched is named."""
    with Ramify(f"sqlite:///{place}/ramify.db") as app:
        here = app.enqueue("consumer:whereabouts")
        work()
        assert here.result(timeout=0) == [str(place), str(place / "consumer.py")]

        elsewhere = place / "elsewhere"
        elsewhere.mkdir()
        there = app.enqueue("consumer:whereabouts")
        url = f"sqlite:///{place}/ramify.db"
        told = run("-m", "ramify.cli", "worker", "consumer", "--burst", "--url", url, where=elsewhere)
        assert told.returncode == 2
        assert told.stderr.startswith(f"ramify: there is no module 'consumer'; searched: {elsewhere}")
        done = run("-m", "ramify.cli", "worker", "consumer", "--burst", "--dir", "..", where=elsewhere)
        assert done.returncode == 0
        assert there.result(timeout=0) == [str(place), str(place / "consumer.py")]


def test_r2_17_a_worker_serves_the_named_queues_in_that_order(app: Ramify, place: Path) -> None:
    """What is in the first queue runs before what is in the second, whenever it was put there; others stay."""
    jobs = {
        name: app.enqueue({"func": "consumer:count_words", "args": name, "queue": name})
        for name in ("low", "other", "high")
    }

    work("--queue", "high", "--queue", "low")

    assert (place / "order.txt").read_text().split() == ["high", "low"]
    assert [jobs[name].state for name in ("high", "low", "other")] == ["done", "done", "ready"]


def test_r2_20_an_open_server_is_warned_about_and_nothing_is_pickled(app: Ramify) -> None:
    """A server elsewhere that wants no password is named; what is stored is JSON, and a pickle in it stays text."""
    for url, warned in [
        ("redis://emm.com:6387/0", True),
        ("postgresql://me@emm.com/jobs", True),
        ("redis://127.0.0.1:6387/0", False),
        ("redis://:secret@emm.com:6387/0", False),
        ("sqlite:///jobs.db", False),
    ]:
        assert bool(find_open_door(read_settings(url=url, environment={}).url, {})) is warned
    assert "emm.com:6387" in ramify("info", "--settings", "--url", "redis://emm.com:6387/0").stderr

    trap = pickle.dumps(_Trap()).hex()
    job = app.enqueue("consumer:count_words", trap)
    work()
    assert job.result(timeout=0) == 1
    stored = Path("ramify.db").read_bytes() + Path("ramify.db-wal").read_bytes()
    assert trap.encode() in stored
    assert b"\x80\x04\x95" not in stored


class _Trap:
    """Raises if it is ever unpickled."""

    def __reduce__(self) -> tuple[Callable[..., object], tuple[str]]:
        return exec, ("raise SystemExit('unpickled')",)
