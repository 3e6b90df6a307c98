"""The bank of the examples: alone, and while its workers, their children and its server are killed."""

import ast
import contextlib
import os
import random
import shutil
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from ramify import Ramify, group, job
from ramify.graph.check import find_violations
from ramify.handle import Job
from ramify.model import ENDED
from ramify.worker.process import children_of
from tests.postgres.server import Server, binaries, default_version

ROOT = Path(__file__).parents[2]
BANK = ROOT / "examples/bank.py"
TRANSFERS = int(os.environ.get("STORM_TRANSFERS", "400"))
KILLS = int(os.environ.get("STORM_KILLS", "12"))
SEED = int(os.environ.get("STORM_SEED") or random.SystemRandom().randrange(1 << 30))
PATIENCE = 60.0

pytestmark = [pytest.mark.slow, pytest.mark.skipif(default_version() is None, reason="no PostgreSQL here")]


@pytest.fixture
def own() -> Iterator[Server]:
    """A server that may be killed; what it has acknowledged it keeps."""
    own = Server(binaries()[default_version() or ""], {})
    yield own
    own.remove()


def test_the_bank_prints_what_it_promises(own: Server, tmp_path: Path) -> None:
    """Started as its reader starts it."""
    promise = ast.get_docstring(ast.parse(BANK.read_text("utf-8"))) or ""

    environment = os.environ | {"PYTHONPATH": str(ROOT), "DATABASE_URL": own.url()}
    command = [sys.executable, BANK]
    ran = subprocess.run(command, check=False, cwd=tmp_path, env=environment, capture_output=True, text=True)

    assert ran.stderr == ""
    assert textwrap.dedent(promise.partition("Prints:\n")[2]).strip() == ran.stdout.strip()


class Branch:
    """Workers of the bank in processes of their own; those that are killed are replaced."""

    def __init__(self, folder: Path, url: str) -> None:
        shutil.copy(BANK, folder)
        self.folder, self.url = folder, url
        self.workers = [self.start() for _ in range(2)]

    def start(self) -> subprocess.Popen[bytes]:
        """Start a worker."""
        environment = os.environ | {"RAMIFY_URL": self.url, "PYTHONPATH": str(ROOT)}
        command = [sys.executable, "-m", "ramify.cli", "worker", "bank", "--children", "2"]
        with (self.folder / "log").open("ab") as log:
            return subprocess.Popen(command, cwd=self.folder, env=environment, stdout=log, stderr=log)

    def strike(self, rng: random.Random) -> bool:
        """Kill a child or a worker; return whether there was one."""
        place = rng.randrange(len(self.workers))
        worker = self.workers[place]
        children = children_of(worker.pid)
        if not children:
            return False
        with contextlib.suppress(ProcessLookupError):
            os.kill(rng.choice(children) if rng.random() < 0.6 else worker.pid, signal.SIGKILL)
        return True

    def replace(self) -> None:
        """Start others for those that were killed, or that found no server when they began."""
        self.workers = [self.start() if worker.poll() is not None else worker for worker in self.workers]

    def finish(self, app: Ramify, top: Job[Any]) -> None:
        """Wait until all has ended."""
        deadline = time.monotonic() + PATIENCE + TRANSFERS // 10
        while top.state not in ENDED:
            assert time.monotonic() < deadline, app.counts()
            self.replace()
            app.store.wait(None, 0.5)

    def close(self) -> None:
        """Stop."""
        for worker in self.workers:
            worker.terminate()
        for worker in self.workers:
            worker.wait(timeout=30)


@pytest.mark.timeout(300 + TRANSFERS // 10)
def test_whatever_is_killed_no_money_comes_or_goes(own: Server, tmp_path: Path) -> None:
    """While children, workers and the server are killed each transfer is made exactly once, and the sum is constant,
    whenever one looks."""
    print(f"STORM_SEED={SEED}")
    rng = random.Random(SEED)
    sys.path.insert(0, str(ROOT / "examples"))
    try:
        import bank  # type: ignore[import-not-found]
    finally:
        sys.path.pop(0)
    bank.open_accounts(own.url())
    whole = bank.ACCOUNTS * bank.START
    kills = looks = crashes = 0
    with Ramify(own.url()) as app:
        jobs = [
            job(bank.transfer, n, *rng.sample(range(1, bank.ACCOUNTS + 1), 2), rng.randint(1, 500))
            for n in range(TRANSFERS)
        ]
        top = app.enqueue(group(*jobs))
        branch = Branch(tmp_path, own.url())
        try:
            while kills < KILLS and top.state not in ENDED:
                if rng.random() < 0.15:
                    own.stop(signal.SIGQUIT)
                    own.start()
                    kills, crashes = kills + 1, crashes + 1
                else:
                    kills += branch.strike(rng)
                with psycopg.connect(own.url()) as look:
                    assert look.execute("SELECT sum(balance) FROM account").fetchone() == (whole,)
                    looks += 1
                time.sleep(rng.uniform(0.02, 0.2))
                branch.replace()
            branch.finish(app, top)
            while top.state != "done":  # a job that we happened to kill three times is held for poison
                errors = [each.error for each in app.jobs(states={"failed"}, tasks={"bank:transfer"})]
                assert all(error is not None and error.kind == "crashed" for error in errors), errors
                top.retry()
                branch.finish(app, top)
        finally:
            branch.close()
        violations = find_violations(app.store.snapshot())
    with psycopg.connect(own.url()) as look:
        made = [n for (n,) in look.execute("SELECT number FROM made ORDER BY number")]
        [together] = look.execute("SELECT sum(balance) FROM account").fetchone() or [0]

    print(f"{kills} kills, {crashes} of them of the server, {looks} looks, {TRANSFERS} transfers")
    assert (list(range(TRANSFERS)), whole, []) == (made, together, violations)
