"""`ramify pool`: it keeps workers alive, whatever happens to them, and does as it is told."""

import os
import re
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from ramify import Ramify
from ramify.model import Session, Which
from tests.cli.conftest import run
from tests.pool.conftest import Pool, until
from tests.worker.test_worker import is_alive

Start = Callable[..., Pool]


def sessions(app: Ramify) -> list[Session]:
    return app.store.info().sessions


def test_a_dead_worker_is_replaced(app: Ramify, pool: Start) -> None:
    """Killed with -9, a worker is replaced, and what it ran is run again."""
    running = pool("-n", "2")
    running.is_up(2)
    job = app.enqueue("chores:wait_for", "flag")
    until(Path("flag.awaited").exists)
    [victim] = {
        session.pid for session in sessions(app) if session.id == app.store.jobs(Which(ids=(job.id,)))[0].session
    }
    os.unlink("flag.awaited")

    os.kill(victim, signal.SIGKILL)

    until(lambda: victim not in running.workers() and len(running.workers()) == 2, 5)
    until(Path("flag.awaited").exists)
    Path("flag").touch()
    assert job.result(timeout=30) == "it is there"
    running.says("was killed by SIGKILL")


@pytest.mark.parametrize(
    ("arguments", "queues"),
    [
        (["-n", "3"], ["default"] * 3),
        (["-n", "auto"], ["default"] * (os.cpu_count() or 1)),
        (["--queue", "mail:2", "--queue", "default:1"], ["default", "mail", "mail"]),
        (["--queue", "mail", "--queue", "default", "-n", "1"], ["mail default"]),
    ],
)
def test_so_many_workers_as_were_asked_for(app: Ramify, pool: Start, arguments: list[str], queues: list[str]) -> None:
    """By number, one a CPU, or for each queue: the store knows exactly these."""
    running = pool(*arguments)
    running.is_up(len(queues))

    until(lambda: len(sessions(app)) == len(queues))

    assert sorted(" ".join(session.queues) for session in sessions(app)) == queues
    assert len(running.workers()) == len(queues)


def test_one_log_with_names(app: Ramify, pool: Start) -> None:
    """What workers, and jobs in them, say comes out of the pool, each line with the name of its worker."""
    running = pool("--queue", "mail:1", "--queue", "default:1")
    app.enqueue("chores:shout", "here I am").result(timeout=30)

    running.says("here I am")
    running.is_up(2)

    assert re.search(r"^default\.1 \| here I am$", running.log, re.MULTILINE)
    assert re.search(r"^mail\.1    \| ramify worker ", running.log, re.MULTILINE)
    assert re.search(r"^pool      \| mail\.1 starts \(process \d+\)$", running.log, re.MULTILINE)
    assert "\x1b" not in running.log


def test_a_pool_is_resized_while_it_runs(app: Ramify, pool: Start) -> None:
    """`ramify pool scale` starts workers, or lets some finish what they run."""
    running = pool()
    running.is_up(1)

    assert run("pool", "scale", "3").code == 0
    running.is_up(3)
    assert len(sessions(app)) == 3
    assert run("pool", "status").out == "worker: 3 of 3 workers ready\n"

    assert run("pool", "scale", "worker:1").out == "worker: 1 of 1 workers ready\n"
    until(lambda: len(sessions(app)) == len(running.workers()) == 1)


def test_a_reload_replaces_workers_one_by_one(app: Ramify, place: Path, pool: Start) -> None:
    """After SIGHUP jobs run with the code and the settings as they are now; a running job is let finish."""
    running = pool()
    running.is_up(1)
    before = running.workers()
    slow = app.enqueue("chores:wait_for", "flag")
    until(Path("flag.awaited").exists)
    _rewrite(place / "chores.py", "VERSION = 1", "VERSION = 2")
    (place / "ramify.toml").write_text('tasks = ["chores"]\nworkers = 2\n')

    running.process.send_signal(signal.SIGHUP)

    until(lambda: app.enqueue("chores:version").result(timeout=30) == 2)
    Path("flag").touch()
    assert slow.result(timeout=30) == "it is there"
    until(lambda: len(running.workers()) == 2 and not set(before) & set(running.workers()))
    assert max(row.tries + row.crashes + row.losses for row in app.store.snapshot().rows) == 0


def test_broken_code_does_not_take_a_pool_down(app: Ramify, place: Path, pool: Start) -> None:
    """If the new workers cannot start, the old ones stay; so it is with broken settings."""
    running = pool("-n", "2")
    running.is_up(2)
    before = running.workers()
    _rewrite(place / "chores.py", "VERSION = 1", "VERSION = 1 / 0")

    assert run("pool", "reload").code == 0

    running.says("the new workers cannot start, so the old ones stay")
    assert app.enqueue("chores:version").result(timeout=30) == 1
    assert running.workers() == before
    (place / "ramify.toml").write_text('tasks = ["chores"]\ngrace = "long"\n')
    reply = run("pool", "reload")
    assert reply.code == 2
    assert "ramify.toml, line 2: grace is a number of seconds" in reply.err
    assert "everything stays as it was" in reply.err


def test_changed_files_are_noticed(app: Ramify, place: Path, pool: Start) -> None:
    """With `--reload` a change of the code is enough."""
    running = pool("--reload")
    running.is_up(1)

    _rewrite(place / "chores.py", "VERSION = 1", "VERSION = 2")

    running.says("chores.py has changed")
    until(lambda: app.enqueue("chores:version").result(timeout=30) == 2)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_stop_drains(app: Ramify, pool: Start, number: signal.Signals) -> None:
    """A signal lets running jobs finish, and leaves the others to whoever comes next."""
    running = pool()
    first, second = app.enqueue("chores:wait_for", "flag"), app.enqueue("chores:double", 1)
    until(Path("flag.awaited").exists)

    running.process.send_signal(number)
    running.says("finish what runs")
    Path("flag").touch()

    assert running.process.wait(30) == 0
    assert [first.state, second.state] == ["done", "ready"]
    assert sessions(app) == []
    assert not Path(".ramify-pool").exists()


def test_a_pool_is_stopped_from_elsewhere(app: Ramify, pool: Start) -> None:
    """`ramify pool stop` returns when the pool has gone."""
    running = pool()
    running.is_up(1)

    assert run("pool", "stop").code == 0

    assert running.process.wait(5) == 0
    assert run("pool", "stop").code == 2


def test_a_second_signal_means_now(app: Ramify, pool: Start) -> None:
    """What runs is given back, uncharged."""
    running = pool()
    job = app.enqueue("chores:wait_for", "flag")
    until(Path("flag.awaited").exists)

    running.process.send_signal(signal.SIGTERM)
    running.says("finish what runs")
    assert running.stop() == 0

    [row] = app.store.snapshot().rows
    assert (job.state, row.tries, row.crashes, row.losses) == ("ready", 0, 0, 0)


def test_a_dead_pool_leaves_nobody(app: Ramify, pool: Start) -> None:
    """Killed with -9, a pool takes its workers with it; the next one goes on with what they ran."""
    running = pool("-n", "2")
    running.is_up(2)
    job = app.enqueue("chores:wait_for", "flag")
    until(Path("flag.awaited").exists)
    workers = running.workers()
    os.unlink("flag.awaited")

    running.kill()

    until(lambda: not any(map(is_alive, workers)), 2)
    pool("-n", "2")
    until(Path("flag.awaited").exists)
    Path("flag").touch()
    assert job.result(timeout=30) == "it is there"


def test_a_worker_that_keeps_dying_is_started_ever_later(app: Ramify, place: Path, pool: Start) -> None:
    """A module that cannot be imported any more costs no processor time, and once mended the pool goes on."""
    running = pool()
    running.is_up(1)
    _rewrite(place / "chores.py", "VERSION = 1", "VERSION = 1 / 0")
    [worker] = running.workers()

    os.kill(worker, signal.SIGKILL)
    running.says("division by zero", 2)
    begun = time.monotonic()
    running.says("division by zero", 3)
    assert time.monotonic() - begun > 0.75

    _rewrite(place / "chores.py", "VERSION = 1 / 0", "VERSION = 1")
    assert app.enqueue("chores:version").result(timeout=30) == 1


def test_a_pool_in_which_nothing_starts_ends(place: Path, pool: Start) -> None:
    """A mistake in the first place is said once, and the status is 2."""
    _rewrite(place / "chores.py", "VERSION = 1", "VERSION = 1 / 0")
    running = pool("-n", "2")

    assert running.process.wait(30) == 2
    assert "division by zero" in running.log
    assert "no worker could start; see above" in running.log


def test_one_pool_in_a_directory(place: Path, pool: Start) -> None:
    """A second one is refused, and says what the first one can be told; without one there is nobody to tell."""
    assert "no pool runs in" in run("pool", "scale", "2").err
    running = pool()
    running.is_up(1)

    reply = run("pool")

    assert (reply.code, reply.out) == (2, "")
    assert f"a pool runs in {place} already (process {running.process.pid})" in reply.err
    assert "there is no line 'mail'; there are worker" in run("pool", "scale", "mail:2").err
    assert "'many' is no size" in run("pool", "scale", "many").err


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "no workers are asked for"),
        ('tasks = ["chores"]\nworkers = 0\n', "ramify.toml, line 2: workers is a number from 1 to 1024"),
        ('project = "shop"\n', "project is a table for each project"),
        ("[project.shop]\n", "[project.shop]: tasks names no module"),
        ('[project.shop]\ndirectory = "shop"\n', "[project.shop]: there is no directory"),
        ('[project.shop]\nvenv = "none"\ntasks = ["a"]\n', "[project.shop]: "),
        ('[project.shop]\nchilds = 3\ntasks = ["a"]\n', "[project.shop]: there is no setting 'childs'"),
        ('[project.shop]\nenvironment = ["a"]\n', "[project.shop]: environment is a table of texts"),
        ('[project.shop]\nchildren = "few"\ntasks = ["a"]\n', "[project.shop]: children is a number"),
    ],
)
def test_a_mistake_in_the_settings_is_one_line(place: Path, text: str, message: str) -> None:
    """Status 2, the place and the remedy."""
    (place / "ramify.toml").write_text(text)

    reply = run("pool")

    assert (reply.code, reply.out, reply.err.count("\n")) == (2, "", 1)
    assert message in reply.err


def _rewrite(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))
    # A new second, or the compiled file of the old text may be taken for that of the new one.
    os.utime(path, (path.stat().st_atime, path.stat().st_mtime + 1 + text.count("\n")))
