"""Every call that only some operating systems have stands here, with what stands for it elsewhere.

POSIX has it all but for a few calls of Linux alone. Windows has locks, time, a way to ask a process to stop and one to
end all that it started; nothing can be forked there. What stands for POSIX on Windows is portable but for a few calls,
so the tests run it on Linux, too, where they take away what only POSIX has. Nothing here knows a job or a store.
"""

import ctypes
import os
import select
import signal
import socket
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from typing import Any, Final

from ramify import windows

NAME: Final[str] = sys.platform
HAS_GROUPS: Final = hasattr(os, "killpg")
"""Whether processes form groups and sessions, as on POSIX."""

CAN_FORK: Final = sys.platform == "linux" and hasattr(os, "fork")
"""macOS frameworks and Windows do not survive a fork."""

HAS_UNIX_SOCKETS: Final = hasattr(socket, "AF_UNIX")
HAS_PACKETS: Final = sys.platform == "linux" and hasattr(socket, "SOCK_SEQPACKET")
"""Whether several messages may wait in a socket, each of which can be taken out whole by either side."""

STOP: Final[int] = getattr(signal, "CTRL_BREAK_EVENT", signal.SIGTERM)
"""What is sent to a worker that is to stop."""

STOPS: Final = tuple(name for name in ("SIGTERM", "SIGINT", "SIGBREAK") if hasattr(signal, name))
"""What asks a worker to stop; Windows has Ctrl-Break, and no way to send the first."""

STANDARD: Final = 3
"""Descriptors of standard input, output and error: those below."""

CLOSE_ON_EXEC: Final[int] = getattr(os, "O_CLOEXEC", 0)
HAS_POLL: Final = hasattr(select, "poll")
NO_FOLLOW: Final[int] = getattr(os, "O_NOFOLLOW", 0)
NO_WAIT: Final[int] = getattr(os, "O_NONBLOCK", 0)
FOLDER: Final[int] = getattr(os, "O_DIRECTORY", 0)
AT_ONCE: Final[int] = getattr(socket, "MSG_DONTWAIT", 0)
_PR_SET_PDEATHSIG: Final = 1
_PR_SET_NAME: Final = 15
_PR_SET_CHILD_SUBREAPER: Final = 36


def _prctl(option: int, value: int | bytes) -> None:
    if sys.platform == "linux" and CAN_FORK:
        ctypes.CDLL(None, use_errno=True).prctl(option, value, 0, 0, 0)


def die_with_parent(stopped: bool = False) -> None:
    """Let the kernel kill this process when its parent dies, or only stop it, where the kernel does such things."""
    _prctl(_PR_SET_PDEATHSIG, getattr(signal, "SIGSTOP" if stopped else "SIGKILL", 0))


def call_process(name: bytes) -> None:
    """Give this process a name of at most 15 letters that `ps` and `top` show."""
    _prctl(_PR_SET_NAME, name)


def adopt_orphans(adopts: bool) -> None:
    """Become the parent of those under this process that lose theirs, or no longer."""
    _prctl(_PR_SET_CHILD_SUBREAPER, int(adopts))


def open_streams() -> None:
    """Give a process that was started with standard input, output or error closed nothing to read and nowhere to write.

    Else what it opens next would get their numbers, and what jobs print would go there.
    """
    while (number := os.open(os.devnull, os.O_RDWR)) < STANDARD:
        os.set_inheritable(number, True)
    os.close(number)
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: SIM115 -- for as long as we live


def count_allowed() -> int | None:
    """Return how many processors the affinity of this process allows, None where there is no such thing."""
    if sys.platform == "linux" and hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return None


def step_back() -> None:
    """Let this process not push aside the one that wakes it."""
    if sys.platform == "linux" and hasattr(os, "sched_setscheduler"):
        with suppress(OSError):
            os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))


def watch(pid: int) -> int | None:
    """Return a descriptor that can be read once the process is dead, None where there is no such thing."""
    if sys.platform == "linux":
        with suppress(OSError, AttributeError):
            return os.pidfd_open(pid)
    return None


class Waiter(threading.Thread):
    """A thread that only waits in the kernel; it holds no lock that a fork made beside it would need."""


def clock() -> float:
    """Return seconds that also pass while the machine sleeps, where it tells; the same in all processes."""
    if sys.platform == "linux":
        return time.clock_gettime(time.CLOCK_BOOTTIME)
    else:  # a checker for one system reads only one of them
        return time.monotonic()


if sys.platform == "win32" or not HAS_GROUPS:
    from multiprocessing.connection import wait as wait_for_connections

    CAN_LOCK = windows.CAN_LOCK

    def user() -> int:
        """Return the number of this user; Windows has none."""
        return 0

    def is_ours(about: os.stat_result) -> bool:
        """Tell whether only this user can write there: on Windows what is in a user's folders is his."""
        return True

    def lock(descriptor: int, wait: bool = True) -> bool:
        """Take the lock on a file until it is closed or the process ends; return False if another process has it."""
        return windows.lock(descriptor, wait)

    def open_folder(path: os.PathLike[str]) -> int | None:
        """Open a folder to queue on it; None where that cannot be done."""
        return None

    def take_turn(descriptor: int, wait: bool = True) -> bool:
        """Take the turn of those who queue; return False if another one has it, unless that is waited for."""
        return True

    def leave_turn(descriptor: int) -> None:
        """Let the next one have his turn."""

    def has_open(path: os.PathLike[str]) -> bool:
        """Tell whether this process has the file open, which would lose its locks by closing it once more."""
        return False  # locks belong to a handle here

    def kill(pid: int) -> None:
        """Kill a process, if it is there."""
        with suppress(OSError):
            os.kill(pid, getattr(signal, "SIGKILL", signal.SIGTERM))  # on Windows the latter ends it at once

    def stop(pid: int) -> None:
        """Let a process do nothing more; Windows has no call for it."""

    def kill_group(group: int) -> None:
        """Kill the process that a group began with; on Windows the rest is in a job with it (see `Group`)."""
        kill(group)

    def leads_group(pid: int) -> bool:
        """Tell whether the process leads a group of its own."""
        return False

    def is_of_our_group(pid: int) -> bool:
        """Tell whether the process is of this one's group."""
        return True

    def lead_session() -> None:
        """Make this process the first of a session and group of its own."""

    def fork(run: Callable[[int, Callable[[], None]], None]) -> int:
        """Start a copy of this process that calls `run` with this one's pid, and return its own."""
        raise NotImplementedError("nothing can be forked on Windows")

    def wait_for(pid: int, wait: bool) -> tuple[int, int, int] | None:
        """Return exit status, signal and peak of memory in MB of a child that is dead; None while it lives."""
        raise NotImplementedError("Windows waits for processes by their handles (see `Group`)")

    def is_child_of(parent: int) -> bool:
        """Tell whether the process that started this one lives."""
        return windows.lives(parent)  # between the two may be the launcher of a virtual environment

    def grow_pipe(descriptor: int, size: int) -> None:
        """Let a pipe hold so much, if this user may."""

    def close_files(keep: Collection[int]) -> None:
        """Close all files from 3 on but these, devices, and what can only be written."""

    def close_all_but(descriptor: int) -> None:
        """Close all files but one."""

    def set_blocking(descriptor: int, blocks: bool) -> None:
        """Let reads and writes of a pipe wait, or not."""
        raise NotImplementedError("pipes of Windows are read by threads")

    def look_into(descriptors: Collection[int]) -> Callable[[float | None], object]:
        """Return what waits for input, for so many milliseconds at most (None: for ever), and tells what it found."""
        raise NotImplementedError("Windows cannot wait for pipes like this")

    def wait_for_any(readers: Sequence[Any], timeout: float) -> list[Any]:
        """Return those sockets that can be read or are closed, after `timeout` seconds at most."""
        return wait_for_connections(readers, timeout)

    def call_in_forks(leave: Callable[[], None]) -> None:
        """Let each copy of this process call a function first; there are none on Windows."""

    def write_at(descriptor: int, text: bytes, place: int) -> int:
        """Write into a file at a place, and return how much."""
        os.lseek(descriptor, place, os.SEEK_SET)
        return os.write(descriptor, text)

    def local_socket(packets: bool = True) -> socket.socket:
        """Return a socket that is a file of this host, for datagrams or for a stream."""
        raise OSError("Python knows no sockets in files on Windows")

    def socket_pair() -> tuple[socket.socket, socket.socket]:
        """Return two ends of a line that keeps messages apart."""
        raise NotImplementedError("Windows has no such line")

    def ignore_stops() -> None:
        """Leave the signals that stop to others."""
        for name in STOPS:
            signal.signal(signal.Signals[name], signal.SIG_IGN)

    def give(descriptor: int) -> str:
        """Let a process that is started with this descriptor have it; return the word by which it finds it."""
        return windows.give(descriptor)

    def take(word: str) -> int:
        """Return the descriptor that was given, for this process alone."""
        return windows.take(word)

    def _start_options(gives: Sequence[int], session: bool) -> dict[str, Any]:
        return windows.start_options(gives)

    def _end_group(group: "Group", gently: bool) -> None:
        if gently:
            group.send_signal(STOP)
        else:
            group.job.end()

    def _reap(group: "Group", wait: bool) -> tuple[int, int, int] | None:
        status = group.wait() if wait else group.poll()
        return None if status is None else (max(status, 0), max(-status, 0), group.job.peak_mb())

else:
    import fcntl

    CAN_LOCK = True

    def user() -> int:
        """Return the number of this user."""
        return os.getuid()

    def is_ours(about: os.stat_result) -> bool:
        """Tell whether only this user can write there."""
        return about.st_uid == os.getuid() and not about.st_mode & 0o022

    def lock(descriptor: int, wait: bool = True) -> bool:
        """Take the lock on a file until it is closed or the process ends; return False if another process has it.

        A POSIX lock and not `flock`: a forked child would keep a `flock` alive. Closing any descriptor of a file drops
        the locks that the process has on it.
        """
        try:
            fcntl.lockf(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except OSError:
            if wait:
                raise
            return False
        return True

    def open_folder(path: os.PathLike[str]) -> int | None:
        """Open a folder to queue on it; None where that cannot be done."""
        return os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)

    def take_turn(descriptor: int, wait: bool = True) -> bool:
        """Take the turn of those who queue; return False if another one has it, unless that is waited for."""
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError:
            return False
        return True

    def leave_turn(descriptor: int) -> None:
        """Let the next one have his turn."""
        fcntl.flock(descriptor, fcntl.LOCK_UN)

    def has_open(path: os.PathLike[str]) -> bool:
        """Tell whether this process has the file open, which would lose its locks by closing it once more."""
        for descriptor in os.listdir("/dev/fd"):
            with suppress(OSError):
                if os.path.samestat(os.fstat(int(descriptor)), os.stat(path)):
                    return True
        return False

    def kill(pid: int) -> None:
        """Kill a process, if it is there."""
        with suppress(OSError):
            os.kill(pid, signal.SIGKILL)

    def stop(pid: int) -> None:
        """Let a process do nothing more."""
        with suppress(OSError):
            os.kill(pid, signal.SIGSTOP)

    def kill_group(group: int) -> None:
        """Kill a process and all of its group, as far as they are there."""
        with suppress(OSError):
            os.killpg(group, signal.SIGKILL)

    def leads_group(pid: int) -> bool:
        """Tell whether the process leads a group of its own."""
        with suppress(OSError):
            return os.getpgid(pid) == pid
        return False

    def is_of_our_group(pid: int) -> bool:
        """Tell whether the process is of this one's group. Raise `OSError` if it is gone."""
        return os.getpgid(pid) == os.getpgrp()

    def lead_session() -> None:
        """Make this process the first of a session and group of its own."""
        with suppress(OSError):  # it is that already
            os.setsid()

    def fork(run: Callable[[int, Callable[[], None]], None]) -> int:
        """Start a copy of this process that calls `run` with this one's pid, and return its own.

        The signals that stop wait in the copy until it calls what it is given besides.
        """
        here = os.getpid()
        before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGINT})
        pid = os.fork()
        if pid == 0:
            try:
                run(here, lambda: _set_mask(before))
            finally:
                os._exit(1)
        _set_mask(before)
        return pid

    def _set_mask(signals: Collection[signal.Signals | int]) -> None:
        signal.pthread_sigmask(signal.SIG_SETMASK, signals)

    def wait_for(pid: int, wait: bool) -> tuple[int, int, int] | None:
        """Return exit status, signal and peak of memory in MB of a child that is dead; None while it lives.

        Raise `ChildProcessError` if somebody else has waited for it.
        """
        found, status, usage = os.wait4(pid, 0 if wait else os.WNOHANG)
        if found == 0:
            return None
        code = os.waitstatus_to_exitcode(status)
        # Linux counts in KiB, macOS in bytes.
        return max(code, 0), max(-code, 0), usage.ru_maxrss // (1024 if sys.platform == "linux" else 1024 * 1024)

    def is_child_of(parent: int) -> bool:
        """Tell whether the process that started this one lives."""
        return os.getppid() == parent

    def grow_pipe(descriptor: int, size: int) -> None:
        """Let a pipe hold so much, if this user may: refused if his pipes take too much already."""
        if sys.platform == "linux":
            with suppress(PermissionError):
                fcntl.fcntl(descriptor, fcntl.F_SETPIPE_SZ, size)

    def close_files(keep: Collection[int]) -> None:
        """Close all files from 3 on but these, devices, and what can only be written."""
        for name in os.listdir("/proc/self/fd"):
            number = int(name)
            if number <= 2 or number in keep:
                continue
            with suppress(OSError):
                mode = os.fstat(number).st_mode
                if stat.S_ISCHR(mode) or (stat.S_ISREG(mode) and _only_writes(number)):
                    continue
                os.close(number)

    def close_all_but(descriptor: int) -> None:
        """Close all files but one."""
        os.closerange(0, descriptor)
        os.closerange(descriptor + 1, os.sysconf("SC_OPEN_MAX"))

    def _only_writes(descriptor: int) -> bool:
        return fcntl.fcntl(descriptor, fcntl.F_GETFL) & os.O_ACCMODE == os.O_WRONLY

    def set_blocking(descriptor: int, blocks: bool) -> None:
        """Let reads and writes of a pipe wait, or not."""
        os.set_blocking(descriptor, blocks)

    def look_into(descriptors: Collection[int]) -> Callable[[float | None], object]:
        """Return what waits for input, for so many milliseconds at most (None: for ever), and tells what it found."""
        looker = select.poll()
        for descriptor in descriptors:
            looker.register(descriptor, select.POLLIN)
        return looker.poll

    def wait_for_any(readers: Sequence[Any], timeout: float) -> list[Any]:
        """Return those sockets and descriptors that can be read or are closed, after `timeout` seconds at most."""
        # A worker sleeps twice for a job, and the standard library's way takes 20 µs to begin, 20 ms to import.
        poll = select.poll()
        known = {reader if type(reader) is int else reader.fileno(): reader for reader in readers}
        for descriptor in known:
            poll.register(descriptor, select.POLLIN)
        return [known[descriptor] for descriptor, _ in poll.poll(max(0.0, timeout) * 1000)]

    def call_in_forks(leave: Callable[[], None]) -> None:
        """Let each copy of this process call a function first."""
        os.register_at_fork(after_in_child=leave)

    def write_at(descriptor: int, text: bytes, place: int) -> int:
        """Write into a file at a place, and return how much."""
        return os.pwrite(descriptor, text, place)

    def local_socket(packets: bool = True) -> socket.socket:
        """Return a socket that is a file of this host, for datagrams or for a stream."""
        return socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM if packets else socket.SOCK_STREAM)

    def socket_pair() -> tuple[socket.socket, socket.socket]:
        """Return two ends of a line that keeps messages apart."""
        return socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)

    def ignore_stops() -> None:
        """Leave the signals that stop to others."""
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)

    def give(descriptor: int) -> str:
        """Let a process that is started with this descriptor have it; return the word by which it finds it."""
        return str(descriptor)

    def take(word: str) -> int:
        """Return the descriptor that was given, for this process alone."""
        number = int(word)
        os.set_inheritable(number, False)
        return number

    def _start_options(gives: Sequence[int], session: bool) -> dict[str, Any]:
        return {"pass_fds": gives, **({"start_new_session": True} if session else {"process_group": 0})}

    def _end_group(group: "Group", gently: bool) -> None:
        os.killpg(group.pid, signal.SIGTERM if gently else signal.SIGKILL)

    def _reap(group: "Group", wait: bool) -> tuple[int, int, int] | None:
        group.returncode = 0  # so that Popen does not reap it itself
        return wait_for(group.pid, wait)


class Group(subprocess.Popen[bytes]):
    """A program, a text by the shell, and what it starts: ended together, and not reached by a Ctrl-C for this process.

    On POSIX they are a process group or a session, on Windows a job object. The program has the descriptors that we
    `give` it.
    """

    def __init__(
        self,
        command: str | Sequence[str],
        directory: str | os.PathLike[str] | None = None,
        environment: Mapping[str, str] | None = None,
        *,
        gives: Sequence[int] = (),
        session: bool = False,
        **streams: int,
    ) -> None:
        options = {**_start_options(gives, session), **streams}
        super().__init__(command, shell=isinstance(command, str), cwd=directory, env=environment, **options)
        self.job = windows.Job(self)

    def end(self, gently: bool = False) -> None:
        """Kill all of it, as far as it is there; `gently` asks it to stop."""
        with suppress(OSError):
            _end_group(self, gently)

    def reap(self, wait: bool) -> tuple[int, int, int] | None:
        """Return exit status, signal and peak of memory in MB once the program is dead; None while it lives.

        Raise `ChildProcessError` if somebody else has waited for it.
        """
        return _reap(self, wait)
