"""R2-01 to R2-05 and R2-19: workers that people leave running."""

import os
import shutil
import signal
import site
import sqlite3
import subprocess
import sys
import time
import venv
from collections.abc import Callable
from pathlib import Path

import pytest

from ramify import Ramify
from ramify.model import Which
from tests.cli.conftest import ROOT, environment, run
from tests.pool.conftest import Pool, app, place, pool, until
from tests.worker.test_worker import is_alive

__all__ = ["app", "place", "pool"]
Start = Callable[..., Pool]


def test_r2_01_three_commands_from_nothing_to_a_pool(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`ramify init`, a program that adds a job, `ramify pool`: no server, one file of settings, one module."""
    monkeypatch.chdir(tmp_path)
    assert run("init").code == 0
    added = "from ramify import Ramify; print(Ramify().enqueue('tasks:survey').id)"
    done = subprocess.run([sys.executable, "-c", added], env=environment(), capture_output=True, text=True, check=True)

    running = Pool(tmp_path, "-n", "1")

    with Ramify() as app:
        assert app.job(done.stdout.strip()).result(timeout=30) == "1 files"
    assert running.stop() == 0
    assert sorted(path.name for path in tmp_path.iterdir() if path.suffix in (".toml", ".py")) == [
        "ramify.toml",
        "tasks.py",
    ]


def test_r2_02_a_killed_worker_is_back_within_5_s(app: Ramify, pool: Start) -> None:
    """Its job is run again, or failed if it may run at most once."""
    running = pool("-n", "1")
    again = app.enqueue({"func": "chores:wait_for", "args": "again"})
    until(Path("again.awaited").exists)
    os.unlink("again.awaited")
    killed = time.monotonic()

    os.kill(running.workers()[0], signal.SIGKILL)

    until(Path("again.awaited").exists, 20)
    print(f"{time.monotonic() - killed:.1f} s from kill to the job's second start")
    Path("again").touch()
    assert again.result(timeout=30) == "it is there"


def test_r2_03_the_pool_comes_back_after_a_boot(app: Ramify, place: Path, tmp_path: Path) -> None:
    """With every process killed, what `service install` wrote starts the pool again, and its jobs go on."""
    tool = _record_crontab(tmp_path)
    path = f"{tool.parent}:{os.environ['PATH']}"
    assert run("service", "install", "--by", "cron", "--name", "shop", PATH=path).code == 0
    until(lambda: run("pool", "status").code == 0)
    job = app.enqueue("chores:wait_for", "flag")
    until(Path("flag.awaited").exists)
    os.unlink("flag.awaited")
    pool = int(_ask_pid())
    everything = [pool, *_workers(pool)]

    for pid in everything:
        os.kill(pid, signal.SIGKILL)
    until(lambda: not any(map(is_alive, everything)))
    boot = (tmp_path / "crontab").read_text().removeprefix("@reboot ").rpartition(" #")[0]
    with subprocess.Popen(["/bin/sh", "-c", boot], env=environment(), cwd="/") as booted:
        until(Path("flag.awaited").exists)
        Path("flag").touch()
        assert job.result(timeout=30) == "it is there"
        booted.terminate()
    assert run("service", "uninstall", "--name", "shop", "--by", "cron", PATH=path).code == 0
    assert (tmp_path / "crontab").read_text() == ""


def _ask_pid() -> str:
    from ramify.pool.control import Ask, ask

    return str(ask(Path(), Ask("status")).pid)


def _workers(pid: int) -> list[int]:
    return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def _record_crontab(folder: Path) -> Path:
    """Make a `crontab` that keeps its lines in a file here: the real one is the system's."""
    tool = folder / "bin" / "crontab"
    tool.parent.mkdir()
    tool.write_text(
        f'#!/bin/sh\nif [ "$1" = -l ]; then cat {folder}/crontab 2>/dev/null || '
        f'{{ echo "no crontab for you" >&2; exit 1; }}; else cat > {folder}/crontab; fi\n'
    )
    tool.chmod(0o755)
    return tool


def test_r2_04_exactly_n_workers(app: Ramify, pool: Start) -> None:
    """`ramify info` shows as many workers as were asked for."""
    running = pool("-n", "3")
    running.is_up(3)

    assert run("info").out.count(":".join([os.uname().nodename, ""])) == 3


@pytest.mark.slow
def test_r2_05_projects_with_environments_of_their_own(place: Path, pool: Start) -> None:
    """Each project's tasks run in its directory with its own Python; a task that nobody knows stays, and is named."""
    for name in ("shop", "mail"):
        (place / name).mkdir()
        shutil.copy(place / "chores.py", place / name / f"{name}_tasks.py")
        venv.create(place / name / ".venv", symlinks=True)
        [packages] = (place / name / ".venv" / "lib").glob("python*/site-packages")
        (packages / "ramify.pth").write_text("\n".join([str(ROOT), *site.getsitepackages()]))
    (place / "ramify.toml").write_text(
        f"""
        [project.shop]
        directory = "shop"
        venv = ".venv"
        tasks = ["shop_tasks"]
        url = "sqlite:///{place}/jobs.db"
        workers = 1
        [project.mail]
        directory = "mail"
        venv = ".venv"
        tasks = ["mail_tasks"]
        url = "sqlite:///{place}/jobs.db"
        workers = {{ default = 1, letters = 1 }}
        environment = {{ MAIL_FROM = "us@emm.com" }}
        """
    )
    running = pool()

    with Ramify(f"sqlite:///{place}/jobs.db") as app:
        shop, mail = app.enqueue("shop_tasks:where"), app.enqueue("mail_tasks:where")
        nobody = app.enqueue("other_tasks:where")
        assert shop.result(timeout=30) == [str(place / "shop"), str(place / "shop" / ".venv")]
        assert mail.result(timeout=30) == [str(place / "mail"), str(place / "mail" / ".venv")]
        running.is_up(3)
        assert sorted(name.split(" | ")[0].strip() for name in running.log.splitlines() if "Ctrl-C" in name) == [
            "mail.default.1",
            "mail.letters.1",
            "shop.1",
        ]
        assert nobody.state == "ready"
        reply = run("health", "--url", f"sqlite:///{place}/jobs.db")
        assert reply.code == 1
        assert "other_tasks:where" in reply.out


def test_r2_19_workers_outlive_a_restart_of_the_store(app: Ramify, place: Path, pool: Start) -> None:
    """While the store cannot be used workers wait, and then go on by themselves."""
    running = pool("-n", "2")
    running.is_up(2)
    before = running.workers()
    other = sqlite3.connect("ramify.db", isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    time.sleep(2)

    other.execute("ROLLBACK")
    back = time.monotonic()

    assert app.enqueue("chores:double", 2).result(timeout=30) == 4
    print(f"{time.monotonic() - back:.1f} s from the store's return to a job's end")
    assert running.workers() == before
    assert app.store.jobs(Which())[0].attempt == 1
