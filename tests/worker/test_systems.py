"""A worker and its store where nothing is POSIX-only: what macOS and Windows have not is taken away from Linux."""

import ast
import os
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

import ramify
from ramify import Ramify, group, job

ROOT: Final = Path(ramify.__file__).parents[1]
MODULES: Final = {"fcntl", "pwd", "grp", "resource", "termios", "tty", "pty", "syslog", "posix"}
CALLS: Final = {
    *(
        "fork",
        "forkpty",
        "register_at_fork",
        "killpg",
        "setsid",
        "setpgid",
        "getpgid",
        "getpgrp",
        "getsid",
        "wait3",
        "wait4",
    ),
    *(
        "waitpid",
        "waitid",
        "pidfd_open",
        "pidfd_send_signal",
        "getuid",
        "geteuid",
        "getgid",
        "chown",
        "mkfifo",
        "pread",
    ),
    *("pwrite", "fchmod", "fdatasync", "sched_setscheduler", "sysconf", "set_blocking", "statvfs", "nice", "WNOHANG"),
    *("O_CLOEXEC", "O_NOFOLLOW", "O_NONBLOCK", "O_DIRECTORY"),
}
SIGNALS: Final = {"SIGKILL", "SIGSTOP", "SIGCONT", "SIGHUP", "SIGCHLD", "SIGQUIT", "pthread_sigmask", "alarm", "pause"}
SOCKETS: Final = {"AF_UNIX", "SOCK_SEQPACKET", "MSG_DONTWAIT"}
ALLOWED: Final = {"ramify/system.py"}

BLOCKED: Final = """
import os, sys

class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name in {"fcntl", "pwd", "grp", "resource", "termios"}:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

for name in ("fcntl", "pwd", "grp", "resource", "termios"):
    sys.modules.pop(name, None)
sys.meta_path.insert(0, Blocker())
for name in ("fork", "forkpty", "pidfd_open", "posix_spawn"):
    vars(os).pop(name, None)
"""


SUMS: Final = """
import os

def double(x):
    return 2 * x

def can_fork():
    return hasattr(os, "fork")

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


@pytest.mark.slow
def test_a_worker_runs_without_posix(tmp_path: Path) -> None:
    """With the POSIX-only modules blocked and nothing to fork with, a worker and its children run jobs on SQLite."""
    (tmp_path / "sitecustomize.py").write_text(BLOCKED)  # the children are fresh Pythons: they find it too
    (tmp_path / "sums.py").write_text(SUMS)
    url = f"sqlite:///{tmp_path}/jobs.db"
    with Ramify(url) as app:
        tree = app.enqueue(group(*[job("sums:double", n) for n in range(20)], job("sums:can_fork")))
        dead = app.enqueue("sums:crash")
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(tmp_path), str(ROOT)]), "RAMIFY_URL": url}

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
