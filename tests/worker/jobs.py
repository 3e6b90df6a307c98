"""Functions that workers run in the tests."""

import asyncio
import contextlib
import fcntl
import logging
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

from ramify.context import current
from ramify.node import Node

HERE = "tests.worker.jobs"


def double(x: int) -> int:
    return 2 * x


def pair() -> tuple[int, int]:
    return 1, 2


def add(*numbers: int) -> int:
    return sum(numbers)


def nothing() -> None:
    pass


def pick(letter: ["A", "B"]) -> str:  # type: ignore[valid-type]  # noqa: F821
    return letter


def pid() -> int:
    return os.getpid()


def url() -> str | None:
    return os.environ.get("RAMIFY_URL")


def open_files() -> list[str]:
    """What the files are that this process has open, apart from the first three."""
    found = []
    for name in os.listdir("/proc/self/fd"):
        if int(name) > 2:
            with contextlib.suppress(OSError):
                found.append(os.readlink(f"/proc/self/fd/{name}"))
    return found


def fail(text: str = "no luck") -> None:
    raise ValueError(text)


def fail_until(path: str, times: int) -> int:
    """Fail so many times, counting in a file."""
    tries = note(path)
    if tries <= times:
        raise ConnectionError(f"try {tries}")
    return tries


def note(path: str) -> int:
    """Write a letter to a file; return how many it has then."""
    with open(path, "a") as file:
        file.write("x")
        file.flush()
        return file.tell()


def leave() -> None:
    sys.exit(3)


def interrupt() -> None:
    raise KeyboardInterrupt


class Unsayable(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no words")


def fail_unsayably() -> None:
    raise Unsayable


def return_set() -> object:
    return {"fine": [1, {2, object()}]}


def big(size: int) -> str:
    return "x" * size


def length(text: str) -> int:
    return len(text)


def crash(path: str | None = None) -> str:
    """Kill the process; with a file, only the first time."""
    if path is None or note(path) == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    return "survived"


def crash_with(path: str, times: int) -> str:
    if note(path) <= times:
        os.kill(os.getpid(), signal.SIGKILL)
    return "survived"


def exit_at_once() -> None:
    os._exit(0)


def compute_for_ever() -> int:
    """Hold the interpreter in a loop of C."""
    return sum(range(10**14))


def sleep(seconds: float) -> float:
    time.sleep(seconds)
    return seconds


def wait_for(path: str) -> int:
    """Wait until there is such a file."""
    while not Path(path).exists():
        time.sleep(0.005)
    return os.getpid()


def create(path: str) -> int:
    Path(path).touch()
    return os.getpid()


def create_and_wait(path: str, other: str) -> int:
    create(path)
    return wait_for(other)


def wait_for_cancel(path: str) -> str:
    create(path)
    while not current().cancelled:
        time.sleep(0.005)
    return "stopped in time"


def leave_orphans(path: str) -> None:
    """Start a process that leaves the group, and wait to be killed."""
    other = subprocess.Popen(["sleep", "1000"], start_new_session=True)
    Path(path + ".part").write_text(str(other.pid))
    os.rename(path + ".part", path)
    time.sleep(1000)


def fork_and_return() -> str:
    """Return twice: in this process and in a copy of it."""
    child = os.fork()
    if child:
        os.waitpid(child, 0)
    return "once"


def use_pool() -> list[int]:
    with multiprocessing.get_context("fork").Pool(2) as pool:
        return pool.map(double, [1, 2])


def tell() -> None:
    current().progress(30)
    current().status("on the way")


def tell_bit_by_bit(gate: str, other: str) -> None:
    """Say how far it is, and only when that was read, what it does."""
    current().progress(30)
    wait_for(gate)
    current().status("on the way")
    wait_for(other)


def tell_and_wait(path: str) -> None:
    tell()
    wait_for(path)


async def doze(seconds: float) -> int:
    await asyncio.sleep(seconds)
    return os.getpid()


_DOZING: list[float] = []


async def doze_beside(seconds: float) -> int:
    """Return how many of these slept in this process when this one began, itself among them."""
    _DOZING.append(seconds)
    beside = len(_DOZING)
    await asyncio.sleep(seconds)
    _DOZING.pop()
    return beside


async def doze_for_ever(path: str) -> None:
    Path(path).touch()
    await asyncio.sleep(1000)


async def doze_until_noted(path: str, times: int) -> None:
    """Wait until `note` was called so often with this file."""
    while not Path(path).exists() or len(Path(path).read_bytes()) < times:
        await asyncio.sleep(0.01)


async def block_the_loop() -> None:
    time.sleep(1000)


async def fail_softly() -> str:
    await asyncio.sleep(0)
    return current().job


async def raise_error() -> None:
    raise LookupError("not here")


def nest(depth: int) -> int:
    """Spawn one child that does the same, down to depth 0."""
    if depth:
        current().spawn(Node(f"{HERE}:nest", (depth - 1,)))
    return depth


def grow(n: int) -> int:
    """Add siblings."""
    current().spawn_sibling(*[Node(f"{HERE}:double", (i,)) for i in range(n)])
    return n


def grow_both() -> None:
    current().spawn(Node(f"{HERE}:nothing"))
    current().spawn_sibling(Node(f"{HERE}:nothing"))


def spawn_and_fail() -> None:
    current().spawn(Node(f"{HERE}:double", (1,)))
    raise ValueError("after all")


def spawn_nonsense() -> None:
    current().spawn(Node(f"{HERE}:double", (object(),)))


def give_up() -> None:
    current().fail("no use")


def add_jobs(n: int) -> dict[str, Any]:
    return {"result": 2 * n, "addJobs": [{"func": f"{HERE}:double", "args": i} for i in range(n)]}


def run_program(path: str) -> None:
    """Start a program and wait for it."""
    other = subprocess.Popen(["sleep", "1000"])
    Path(path + ".part").write_text(str(other.pid))
    os.rename(path + ".part", path)
    other.wait()


def alone(path: str, heavy: bool) -> bool:
    """Tell whether no other job runs now that is at odds with this one."""
    with open(path, "w") as file:
        try:
            fcntl.flock(file, (fcntl.LOCK_EX if heavy else fcntl.LOCK_SH) | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        time.sleep(0.02 if heavy else 0.002)
        return True


def tell_later() -> None:
    """Leave a thread that speaks for the job after its end."""
    context = current()
    threading.Timer(0.05, context.progress, (50,)).start()


def write_everywhere() -> None:
    for name in os.listdir("/proc/self/fd"):
        if int(name) > 2:
            with contextlib.suppress(OSError):
                os.write(int(name), b"\x10\x00\x00\x00" + b"garbage" * 100)
    time.sleep(1000)


def scatter(path: str) -> None:
    """Start what is hard to find again, in sessions of their own: a program, a copy, and last what lost its parent."""
    kept = subprocess.Popen(["sleep", "1000"], start_new_session=True)
    pids = [kept.pid]
    reading, writing = os.pipe()
    for leaves in (False, True):
        if os.fork() == 0:
            os.setsid()
            if not leaves or os.fork() == 0:
                os.write(writing, f"{os.getpid()}\n".encode())
                time.sleep(1000)
            os._exit(0)
        pids.append(int(os.read(reading, 100)))
    os.wait()
    Path(path + ".part").write_text(" ".join(map(str, pids)))
    os.rename(path + ".part", path)
    time.sleep(1000)


def tell_and_sleep(path: str, seconds: float) -> int:
    """Add our pid to a file, and return it after a while."""
    with open(path, "a") as file:
        file.write(f"{os.getpid()}\n")
    time.sleep(seconds)
    return os.getpid()


def execute(command: str | list[str], **options: Any) -> int:
    """Run a program."""
    return current().exec(command, **options)


def hear(command: str) -> list[Any]:
    """Run a program; return what its lines were, with their numbers."""
    heard: list[Any] = []
    current().exec(
        command,
        on_stdout=lambda number, line: heard.append(["out", number, line]),
        on_stderr=lambda number, line: heard.append(["err", number, line]),
    )
    return heard


def stumble() -> int:
    """Run a program with a callback that fails at the second line."""
    heard: list[str] = []

    def hear_one(number: int, line: str) -> None:
        if number == 2:
            raise ValueError(f"too much: {line}")
        heard.append(line)

    current().exec("echo a; echo b; echo c", on_stdout=hear_one)
    return len(heard)


def use_directory() -> tuple[str, bool]:
    """Run a program in the running directory."""
    here = current().directory
    current().exec("echo text > file", directory=here)
    return str(here), (here / "file").read_text() == "text\n"


def speak(word: str) -> None:
    """Write in every way there is."""
    print("printed", word)
    print("complained", word, file=sys.stderr)
    logging.getLogger("speaker").warning("logged %s", word)
    os.system(f"echo called {word}")
    subprocess.run(["sh", "-c", f"echo ran {word} >&2"], check=True)
    thread = threading.Thread(target=print, args=("threaded", word))
    thread.start()
    thread.join()
    os.write(1, f"wrote {word}\n".encode())
    logging.getLogger("speaker").info("done")
    print("ended", word, end="")


async def speak_slowly(word: str) -> None:
    """Print now and then, while others do."""
    for number in range(5):
        print(word, number)
        await asyncio.sleep(0.02)
    logging.getLogger("speaker").warning("logged %s", word)
    await asyncio.to_thread(print, "threaded", word)


def speak_and_die(word: str) -> None:
    """Say something, and take the process along."""
    print(word)
    os.write(2, f"{word} again\n".encode())
    os._exit(3)


def speak_in_a_fork(word: str) -> None:
    """Print in a process of our own, and after it."""
    pid = os.fork()
    if pid == 0:
        print("forked", word, flush=True)
        os._exit(0)
    os.waitpid(pid, 0)
    print("after", word)


def speak_until(path: str) -> None:
    """Print once, and go on until a file is there."""
    print("begun")
    while not os.path.exists(path):
        time.sleep(0.01)


def shout(lines: int, width: int) -> None:
    """Print a lot."""
    for number in range(lines):
        print(number, "x" * width)


def enter_ledger(path: str, name: str, *before: str) -> str:
    """Write into a file which job runs, and in which attempt; one grows, and one fails unless it has been there."""
    told = Path(path).read_text() if Path(path).exists() else ""
    with open(path, "a") as file:
        file.write(f"{name} {current().job}/{current().attempt}\n")
    print(name)
    if name == "fails once" and name not in told:
        raise ConnectionError("not the first time")
    if name == "grows":
        current().spawn(Node(f"{HERE}:enter_ledger", (path, "grown")))
    return name
