"""Looking: `ramify tree` of a job with few and with very many children, half of them done."""

import subprocess
import sys
import tempfile
import time

from bench import measure, tasks
from ramify import Ramify, group, job
from ramify.model import Ended, Session, State, Want
from ramify.picture.draw import draw_tree
from ramify.picture.fold import read_tree
from ramify.stores.read import read_row

FEW = 1_000
# What wait4 tells of memory counts from the fork on, when the child was as large as this process.
COMMAND = """
import sys
from ramify.cli import main
try:
    main()
finally:
    print(*[line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM")], file=sys.stderr)
"""
BATCH = 1_000


def store(folder: str, n: int) -> tuple[str, str]:
    """Store a group of so many jobs, each with a label of its own; return the address and the id."""
    url = f"sqlite:///{folder}/{n}.db?durability=fast"
    with Ramify(url) as app:
        top = app.enqueue(group(*[job(tasks.noop, i).options(label=f"number {i}") for i in range(n)]))
        app.store.enter(Session("s"))
        for _ in range(n // BATCH // 2):
            claims = app.store.exchange("s", [], Want(n=BATCH)).claims
            app.store.exchange("s", [Ended(claim.row.id, 1, State.DONE) for claim in claims], Want())
    return url, top.id


def look(url: str, id: str) -> float:
    """Return how many seconds it takes to read and draw the tree in a process that is up."""
    with Ramify(url) as app:
        row = read_row(app.store, id)
        begin = time.perf_counter()
        draw_tree(app.store, read_tree(app.store, row, 6), 100)
        return time.perf_counter() - begin


def command(url: str, id: str) -> tuple[float, float]:
    """Return how many seconds the whole command takes, and how many MiB it takes at most."""
    words = [sys.executable, "-c", COMMAND, "tree", id, "--url", url]
    begin = time.perf_counter()
    done = subprocess.run(words, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, check=True)
    return time.perf_counter() - begin, int(done.stderr) / 1024


def run(rounds: int, small: bool) -> dict[str, object]:
    """Measure few and many children in turn."""
    with tempfile.TemporaryDirectory() as folder:
        sizes = (FEW, 10_000 if small else 100_000)
        places = {n: store(folder, n) for n in sizes}
        memory: dict[int, list[float]] = {n: [] for n in sizes}

        def whole(n: int) -> float:
            seconds, mebibytes = command(*places[n])
            memory[n].append(mebibytes)
            return seconds

        figures = measure.interleave(
            rounds,
            {
                f"{kind} {n}": (lambda n=n, act=act: act(n))
                for n in sizes
                for kind, act in (("store", lambda n: look(*places[n])), ("command", whole))
            },
        )
    return {
        "seconds": measure.summary(figures),
        "MiB": measure.summary({str(n): values for n, values in memory.items()}),
    }
