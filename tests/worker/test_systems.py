"""A worker and its store where nothing is POSIX-only: what macOS and Windows have not is taken away from Linux."""

import ast
import ctypes
import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

import ramify
from ramify import Ramify, group, job
from ramify.windows import Limits
from tests.portable.sitecustomize import CALLS, MODULES, SIGNALS, SOCKETS

ROOT: Final = Path(ramify.__file__).parents[1]
PORTABLE: Final = ROOT / "tests" / "portable"
ALLOWED: Final = {"ramify/system.py"}

SUMS: Final = """
import os
from ramify import system

def double(x):
    return 2 * x

def has_posix():
    return system.HAS_GROUPS or system.HAS_POLL or system.CAN_FORK

def crash():
    os._exit(3)
"""


def _words(path: Path) -> set[str]:
    """Return the modules that a file imports, and the attributes of modules that it asks for."""
    found = set[str]()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found |= {node.module or "", *(f"{node.module}.{alias.name}" for alias in node.names)}
        elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            found.add(f"{node.value.id}.{node.attr}")
    return found


def test_posix_only_calls_stand_in_one_file() -> None:
    """No other file asks for a module or a call that only POSIX has."""
    forbidden = MODULES | {f"os.{name}" for name in CALLS} | {f"signal.{name}" for name in SIGNALS}
    forbidden |= {f"socket.{name}" for name in SOCKETS}

    found = {path.relative_to(ROOT).as_posix(): _words(path) & forbidden for path in (ROOT / "ramify").rglob("*.py")}

    assert {path: words for path, words in found.items() if words}.keys() == ALLOWED


def test_the_layout_of_a_structure_of_windows() -> None:
    """What its kernel is handed has the size that it expects on 64 bits."""
    assert 144 == ctypes.sizeof(Limits)


@pytest.mark.slow
def test_a_worker_runs_without_posix(tmp_path: Path) -> None:
    """With the POSIX-only modules blocked and nothing to fork with, a worker and its children run jobs on SQLite."""
    (tmp_path / "sums.py").write_text(SUMS)
    url = f"sqlite:///{tmp_path}/jobs.db"
    with Ramify(url) as app:
        tree = app.enqueue(group(*[job("sums:double", n) for n in range(20)], job("sums:has_posix")))
        dead = app.enqueue("sums:crash")
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(map(str, [PORTABLE, tmp_path, ROOT])), "RAMIFY_URL": url}

    worker = subprocess.run(
        [sys.executable, "-m", "ramify.cli", "worker", "sums", "--burst", "-n", "2"],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )

    assert worker.returncode == 1, worker.stderr  # one of its jobs failed
    with Ramify(url) as app:
        assert app.job(tree.id).result(timeout=0) == [*range(0, 40, 2), False], worker.stderr
        error = app.job(dead.id).error
        assert error is not None and error.kind == "crashed"


@pytest.mark.slow
def test_a_pool_runs_without_posix(tmp_path: Path) -> None:
    """Nothing of a pool needs more either: its workers run jobs, are replaced when they die, and stop with it."""
    (tmp_path / "sums.py").write_text(SUMS)
    (tmp_path / "ramify.toml").write_text('tasks = ["sums"]\nworkers = 1\n')
    url = f"sqlite:///{tmp_path}/jobs.db"
    path = os.pathsep.join(map(str, [PORTABLE, tmp_path, ROOT]))
    with Ramify(url) as app:
        first = app.enqueue("sums:double", 4)
        command = [sys.executable, "-m", "ramify.cli", "pool"]
        with (tmp_path / "log").open("wb") as log:
            pool = subprocess.Popen(
                command, cwd=tmp_path, env=os.environ | {"PYTHONPATH": path, "RAMIFY_URL": url}, stdout=log, stderr=log
            )
        try:
            assert 8 == first.result(timeout=40)
            worker = re.search(r"worker.1 starts \(process (\d+)\)", (tmp_path / "log").read_text())
            assert worker is not None
            os.kill(int(worker[1]), signal.SIGTERM)
            assert 10 == app.enqueue("sums:double", 5).result(timeout=40)
        finally:
            pool.terminate()
            status = pool.wait(40)
    assert 0 == status, (tmp_path / "log").read_text()
