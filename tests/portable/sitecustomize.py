"""On the path of a Python, this lets `ramify.system` see of Linux only what Windows has, too: `make portable`.

What is written for Windows is then taken everywhere, for nothing else of ramify asks for more (see test_systems.py).
The standard library keeps what it needs.
"""

import importlib.abc
import importlib.machinery
import os
import select
import signal
import socket
import sys
import types
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final

MODULES: Final = {"fcntl", "pwd", "grp", "resource", "termios", "tty", "pty", "syslog", "posix"}
CALLS: Final = {
    *("fork", "forkpty", "register_at_fork", "killpg", "setsid", "setpgid", "getpgid", "getpgrp", "getsid", "wait3"),
    *("wait4", "waitpid", "waitid", "pidfd_open", "pidfd_send_signal", "getuid", "geteuid", "getgid", "chown"),
    *("mkfifo", "pread", "pwrite", "fchmod", "fdatasync", "sched_setscheduler", "sched_getaffinity", "sysconf"),
    *("set_blocking", "statvfs", "nice", "WNOHANG", "O_CLOEXEC", "O_NOFOLLOW", "O_NONBLOCK", "O_DIRECTORY"),
}
SIGNALS: Final = {"SIGKILL", "SIGSTOP", "SIGCONT", "SIGHUP", "SIGCHLD", "SIGQUIT", "pthread_sigmask", "alarm", "pause"}
SOCKETS: Final = {"AF_UNIX", "SOCK_SEQPACKET", "MSG_DONTWAIT"}
HIDDEN: Final = {os: CALLS, signal: SIGNALS, socket: SOCKETS, select: {"poll", "epoll"}}


@contextmanager
def hidden() -> Iterator[None]:
    """Take it away, for the length of a block."""
    kept = {
        module: {name: vars(module).pop(name) for name in names & vars(module).keys()}
        for module, names in HIDDEN.items()
    }
    try:
        yield
    finally:
        for module, values in kept.items():
            vars(module).update(values)


class Loader(importlib.machinery.SourceFileLoader):
    """Loads a module that sees less."""

    def exec_module(self, module: types.ModuleType) -> None:
        """Run the module; what it asks for later is not there either."""
        with hidden():
            super().exec_module(module)
            for whole in HIDDEN:
                part = types.ModuleType(whole.__name__)
                vars(part).update(vars(whole))
                setattr(module, whole.__name__, part)


class Finder(importlib.abc.MetaPathFinder):
    """Finds that module."""

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: types.ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        """Return how `ramify.system` is loaded."""
        if name != "ramify.system":
            return None
        spec: Any = importlib.machinery.PathFinder.find_spec(name, path)
        spec.loader = Loader(name, spec.origin)
        return spec


sys.meta_path.insert(0, Finder())
