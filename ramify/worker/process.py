"""The processes of a worker: how a child is started, ended and found again.

A child leads a session and process group of its own, so that what its jobs started can be ended with it. When its
supervisor dies the kernel stops it, and the guard kills it with all that is under it. Were it in the supervisor's
session, the kernel would also hang up on it: it sends SIGHUP to a stopped group that has lost its last tie to the rest
of its session, and a child that died of that would leave what is under it to nobody.
"""

import gc
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from typing import Final, NoReturn

from msgspec import Struct

from ramify import system

CHILD: Final = "import sys; from ramify.worker.child import main; main(sys.argv[1:])"
SECRETS: Final = ("RAMIFY_URL",)
"""Variables that name the store; jobs do not get them."""


class Death(Struct, frozen=True):
    """How a process ended: its exit status or the signal, and the most memory it held at once."""

    status: int
    signal: int
    peak_mb: int

    def __str__(self) -> str:
        how = f"exit status {self.status}"
        if self.signal:
            how = f"signal {self.signal}"
            with suppress(ValueError):
                how += f" ({signal.Signals(self.signal).name})"
        return f"{how}; it used at most {self.peak_mb:,} MB"


class Process:
    """A child process. `watch` is a descriptor that can be read once it is dead, None where there is no such thing."""

    def __init__(self, pid: int, group: system.Group | None = None) -> None:
        self.pid, self._group = pid, group
        self.watch = system.watch(pid)
        self._death: Death | None = None

    def kill(self) -> None:
        """Kill the process and whatever else is in its group."""
        if self._group is None:
            system.kill_group(self.pid)
        else:
            self._group.end()
        system.kill(self.pid)

    def reap(self, wait: bool = False) -> Death | None:
        """Return how the process ended, None while it lives. Call `kill` first if you `wait`."""
        if self._death is None:
            try:
                ended = system.wait_for(self.pid, wait) if self._group is None else self._group.reap(wait)
            except ChildProcessError:  # somebody else reaped it
                ended = (-1, 0, 0)
            if ended is None:
                return None
            self._death = Death(*ended)
            # Its group may outlive it.
            if self._group is None:
                system.kill_group(self.pid)
            else:
                self._group.end()
        return self._death

    def close(self) -> None:
        """Let go of the descriptor."""
        if self.watch is not None:
            os.close(self.watch)
            self.watch = None


def kill_groups(groups: Collection[int]) -> None:
    """Kill these process groups, as far as they are left."""
    for group in groups:
        system.kill_group(group)


def fork(run: Callable[[], None], keep: Collection[int]) -> Process:
    """Start a child that calls `run` and ends; of the open files it has `keep` and those it can only write to."""
    gc.freeze()  # the collector of the child leaves alone what the parent made, so those pages stay shared
    sys.stdout.flush()
    sys.stderr.flush()
    pid = system.fork(lambda supervisor, hear_signals: _be_child(run, keep, supervisor, hear_signals))
    gc.unfreeze()
    return Process(pid)


def _be_child(
    run: Callable[[], None], keep: Collection[int], supervisor: int, hear_signals: Callable[[], None]
) -> NoReturn:
    status = 1
    try:
        system.close_files(keep)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        settle_in(supervisor)
        hear_signals()
        run()
        status = 0
    except BaseException:  # noqa: BLE001 -- nothing may climb into the supervisor's frames, of which this is a copy
        sys.excepthook(*sys.exc_info())
    finally:
        with suppress(Exception):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(status)


def spawn(arguments: Sequence[str], gives: Sequence[int]) -> Process:
    """Start a fresh Python with `ramify.worker.child`, and give it these arguments and descriptors."""
    environment = {name: value for name, value in os.environ.items() if name not in SECRETS}
    # The modules of tasks are found as they were found here.
    environment["PYTHONPATH"] = os.pathsep.join(path or os.getcwd() for path in sys.path)
    group = system.Group(
        [find_python(environment), "-c", CHILD, str(os.getpid()), *arguments],
        None,
        environment,
        gives=gives,
        session=True,
        stdin=subprocess.DEVNULL,
    )
    return Process(group.pid, group)


def find_python(environment: dict[str, str]) -> str:
    """Return the Python that runs this program, itself: on Windows a virtual environment has a launcher in its place,
    which finds that environment again by a variable.
    """
    base: str = getattr(sys, "_base_executable", sys.executable)
    if system.HAS_GROUPS or base == sys.executable:
        return sys.executable
    environment["__PYVENV_LAUNCHER__"] = sys.executable
    return base


def start_apart(
    command: Sequence[str], directory: str | os.PathLike[str], environment: Mapping[str, str]
) -> subprocess.Popen[bytes]:
    """Start a process which a Ctrl-C for this one does not reach; what it says comes out of its `stdout`."""
    return system.Group(
        command, directory, environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )


def ask_to_stop(process: subprocess.Popen[bytes]) -> None:
    """Send what makes a worker stop: SIGTERM, or Ctrl-Break on Windows."""
    with suppress(OSError):
        process.send_signal(system.STOP)


def settle_in(supervisor: int) -> None:
    """Make this process a child as it should be: own session, dies with its supervisor, leaves signals to it."""
    system.lead_session()
    system.die_with_parent()
    system.call_process(_name(supervisor))
    system.step_back()  # not to push aside the supervisor, which is about to send it more
    if not system.is_child_of(supervisor):  # it died before the line above
        os._exit(1)
    signal.set_wakeup_fd(-1)
    for name in system.STOPS:
        signal.signal(signal.Signals[name], signal.SIG_DFL if name == "SIGTERM" else signal.SIG_IGN)
    for name in SECRETS:
        os.environ.pop(name, None)


def leave_to_guard() -> None:
    """Let the kernel stop this process when its supervisor dies, and no longer kill it: its guard does that.

    What is under a dead process cannot be found any more, and would live on. Called before the first job, when there is
    nothing yet: by then the guard knows of this process.
    """
    system.die_with_parent(stopped=True)


def _name(supervisor: int) -> bytes:
    """Return what a child calls itself, in at most 15 letters; `ps` and `top` show it."""
    return b"ramify/%d" % supervisor


def find_left() -> list[int]:
    """Return children that were stopped when supervisor and guard died together, so that nobody is left to end them."""
    try:
        pids = [int(name) for name in os.listdir("/proc") if name.isdecimal()]
    except OSError:
        return []
    about = {pid: _read_status(pid) for pid in pids}
    return [
        pid
        for pid, (name, state, parent) in about.items()
        # What a job started has its name too, but then its parent is the job, or the supervisor that it names.
        if state == b"T" and name.startswith(b"ramify/") and name != _name(parent)
        if about.get(parent, (b"", b"", 0))[0] != name
    ]


def _read_status(pid: int) -> tuple[bytes, bytes, int]:
    """Return name, state and parent of a process; nothing if it has gone."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            name, _, rest = file.read().partition(b"(")[2].rpartition(b") ")
    except OSError:
        return b"", b"", 0
    state, parent, *_ = rest.split()
    return name, state, int(parent)


class Orphans:
    """What jobs leave behind when their process dies: this process becomes its parent, so that it can be ended.

    Only in the main thread, to which the kernel gives orphans, and never a process of somebody else's: not one that
    was there before, nor one of our own process group, to which no job belongs.
    """

    def __init__(self) -> None:
        self._before: set[int] = set()
        self._adopts = threading.current_thread() is threading.main_thread()
        if self._adopts:
            system.adopt_orphans(True)
            self._before = set(_children())

    def find(self, known: Collection[int]) -> set[int]:
        """Return the orphans that live; reap the others. `known` are our living children."""
        found = set[int]()
        for pid in _children() if self._adopts else ():
            if pid in known or pid in self._before:
                continue
            with suppress(OSError):
                if not system.is_of_our_group(pid) and system.wait_for(pid, wait=False) is None:
                    found.add(pid)
        return found

    def end(self, known: Collection[int]) -> None:
        """Kill and reap the orphans, and then those that they leave."""
        seen = set[int]()
        while found := self.find(known) - seen:
            seen |= found
            for pid in found:
                system.kill(pid)
                with suppress(OSError):
                    system.wait_for(pid, wait=True)

    def close(self) -> None:
        """Adopt no more."""
        if self._adopts:
            system.adopt_orphans(False)


def _children() -> list[int]:
    return _read_children(f"/proc/self/task/{threading.get_native_id()}/children")


def children_of(pid: int) -> list[int]:
    """Return the processes that this one, or a thread of it, has started; none where the system does not say."""
    try:
        threads = os.listdir(f"/proc/{pid}/task")
    except OSError:
        return []
    return [child for thread in threads for child in _read_children(f"/proc/{pid}/task/{thread}/children")]


def _read_children(path: str) -> list[int]:
    try:
        with open(path) as file:
            return [int(word) for word in file.read().split()]
    except OSError:
        return []


def tie_to(parent: int) -> None:
    """Let the kernel kill this process when its parent, of this pid, dies."""
    system.die_with_parent()
    if not system.is_child_of(parent):  # it died before the line above
        os._exit(1)
