"""The bare loop: the file operations of a drain, done again with nothing around them, with two children over pipes.

First a worker drains a queue in a directory, and each call that it makes of the file system is noted. Then the same
is done to a copy of the queue as it was before: the same calls in the same order, by names, with the same bytes and the
same waits for the disk, while two children decode JSON arguments, call a function and encode JSON results, in frames
of 100 jobs. What ramify adds to this is what it promises.
"""

import os
import shutil
import time
from collections.abc import Callable
from contextlib import suppress
from multiprocessing import Pipe, Process
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any

import msgspec

from bench import tasks
from bench.bare import BATCH, pack, serve, unpack
from ramify import Ramify, group, job
from ramify.stores.directory.disk import Disk

Act = tuple[str, tuple[Any, ...]]
"""A call of `Disk` and its arguments."""

CALLS = (
    "make",
    "furnish",
    "change",
    "append",
    "link",
    "rename",
    "remove",
    "make_folder",
    "sync",
    "list",
    "read",
    "look",
)


def replay(folder: str, n: int, shown: bool = False) -> float:
    """Return how many jobs a second the file operations of a drain allow, or those until all of it is `shown`."""
    before = f"{folder}/before"
    acts = _record(f"{folder}/queue", before, n, shown)
    os.chdir(before)
    lines = []
    for _ in range(2):
        near, far = Pipe()
        Process(target=serve, args=(far,), daemon=True).start()
        lines.append(near)
    jobs = iter(range(n))
    each = -(-len(acts) // -(-n // BATCH))
    begin = time.perf_counter()
    busy = [line for line in lines if _send(line, jobs)]
    at = 0
    while busy:
        for line in wait(busy):
            assert isinstance(line, Connection)
            unpack(line.recv_bytes())
            for name, arguments in acts[at : at + each]:
                with suppress(OSError):
                    BARE[name](*arguments)
            at += each
            if not _send(line, jobs):
                busy.remove(line)
    assert at >= len(acts)
    return n / (time.perf_counter() - begin)


def _send(line: Connection, jobs: Any) -> bool:
    frame = [(i, msgspec.json.encode([i])) for _, i in zip(range(BATCH), jobs, strict=False)]
    if frame:
        line.send_bytes(pack(frame))
    return bool(frame)


def show_all(app: Ramify) -> None:
    """Let people see all that was done."""
    while app.store._show_more(60):  # type: ignore[attr-defined]
        pass


def _record(queue: str, before: str, n: int, shown: bool) -> list[Act]:
    """Drain a queue; return what was done to the file system, and leave a copy of how it was before."""
    acts: list[Act] = []
    kept: dict[str, Callable[..., Any]] = {name: getattr(Disk, name) for name in CALLS}
    with Ramify(f"dir://{queue}", tasks=["bench.tasks"]) as app:
        app.enqueue(group(*[job(tasks.noop, i) for i in range(n)]))
        shutil.copytree(queue, before)
        for name in CALLS:
            setattr(Disk, name, _noting(name, kept[name], acts))
        app.worker(children=2, burst=True).run()
        if shown:
            show_all(app)
        for name in CALLS:
            setattr(Disk, name, kept[name])
    return acts


def _noting(name: str, act: Callable[..., Any], acts: list[Act]) -> Callable[..., Any]:
    def do(self: Disk, *arguments: Any, **options: Any) -> Any:
        acts.append((name, (*arguments, *options.values())))
        return act(self, *arguments, **options)

    return do


def _make(name: str, text: bytes, sync: bool = False) -> None:
    file = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
    os.write(file, text)
    if sync:
        os.fsync(file)
    os.close(file)


def _furnish(name: str, files: dict[str, bytes]) -> None:
    with suppress(FileExistsError):
        os.mkdir(name)
    for last, text in files.items():
        with suppress(FileExistsError):
            _make(f"{name}/{last}", text)


def _change(name: str, text: bytes) -> None:
    file = os.open(name, os.O_WRONLY)
    os.pwrite(file, text, 0)
    os.close(file)


def _append(name: str, text: bytes) -> None:
    file = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
    os.write(file, text)
    os.close(file)


def _sync(name: str) -> None:
    file = os.open(name, os.O_RDONLY)
    os.fsync(file)
    os.close(file)


BARE: dict[str, Callable[..., object]] = {
    "make": _make,
    "furnish": _furnish,
    "change": _change,
    "append": _append,
    "link": os.link,
    "rename": os.rename,
    "remove": os.remove,
    "make_folder": os.mkdir,
    "sync": _sync,
    "list": os.listdir,
    "read": lambda name: Path(name).read_bytes(),
    "look": os.lstat,
}
