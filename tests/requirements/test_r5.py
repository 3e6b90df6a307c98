"""Checklist R5, the directory queue: each line is a test named after its id, in ramify's own words.

`createJobQueue`, `JobProc` and the other names of the document come with its adapter.
"""

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from ramify import JobFailed, Ramify, group, job
from ramify.errors import AlreadyReleased, BadStore
from tests.requirements.r5_tasks import fail, note, report, run, stumble, where
from tests.stores.kit import MEMORY

TASKS = ["tests.requirements.r5_tasks"]


@pytest.fixture
def queue() -> Iterator[Path]:
    """Where the queue is made."""
    with tempfile.TemporaryDirectory(dir=MEMORY) as folder:
        yield Path(folder) / "queue"


@pytest.fixture
def app(queue: Path) -> Iterator[Ramify]:
    """An app on a directory."""
    with Ramify(f"dir://{queue}", tasks=TASKS) as app:
        yield app


def test_r5_02_a_directory_that_is_not_empty_is_refused(tmp_path: Path) -> None:
    """A place that is not there, or has something else in it, is an error that says so."""
    (tmp_path / "file").touch()

    for path in (tmp_path, tmp_path / "none" / "queue"):
        with pytest.raises(BadStore):
            Ramify(f"dir://{path}")


def test_r5_08_no_state_in_memory(app: Ramify, queue: Path, tmp_path: Path) -> None:
    """Two objects and two processes submit and run at once, and any of them may be dropped at any time."""
    ledger = tmp_path / "ledger"
    script = f"""
from ramify import Ramify, job
from tests.requirements.r5_tasks import note
app = Ramify("dir://{queue}", tasks={TASKS})
for number in range(20):
    app.enqueue(note, {str(ledger)!r}, f"{{number}} of the other")
app.run_until_empty()
import os; os._exit(0)
"""
    process = subprocess.Popen([sys.executable, "-c", script], env={**os.environ, "PYTHONPATH": os.getcwd()})
    for number in range(20):
        dropped = Ramify(f"dir://{queue}", tasks=TASKS)
        dropped.enqueue(note, str(ledger), str(number))
        del dropped
        app.run_one()
    assert process.wait(60) == 0
    app.run_until_empty()

    expected = [*map(str, range(20)), *(f"{number} of the other" for number in range(20))]
    assert sorted(ledger.read_text().splitlines()) == sorted(expected)


def test_r5_09_synchronization_is_disk_based(app: Ramify, queue: Path) -> None:
    """There are no sockets and no locks: nothing in the directory but files and directories, and none is locked."""
    app.enqueue(note, os.devnull, "a")
    app.run_until_empty()

    assert all(path.is_dir() or path.is_file() for path in queue.rglob("*"))
    inodes = {str(path.stat().st_ino) for path in queue.rglob("*")}
    held = {line.split()[5].rpartition(":")[2] for line in Path("/proc/locks").read_text().splitlines()}
    assert inodes & held == set()


def test_r5_10_one_directory_per_job(app: Ramify, queue: Path) -> None:
    """Jobs are directories named by number, sub-jobs are sub-directories."""
    app.enqueue(group(job(note, os.devnull, "a"), group(job(note, os.devnull, "b"))))

    assert {str(file.parent.relative_to(queue / "jobs")) for file in queue.glob("jobs/**/state")} == {
        "1", "1/1", "1/2", "1/2/1",
    }  # fmt: skip


def test_r5_27_nothing_is_visible_before_it_is_activated(app: Ramify, queue: Path, tmp_path: Path) -> None:
    """No worker runs what is held, in any process; once let go it cannot be changed."""
    ledger = str(tmp_path / "ledger")
    root = app.enqueue(group(job(note, ledger, "a")).options(hold=True))
    with Ramify(f"dir://{queue}", tasks=TASKS) as other:
        assert other.run_until_empty() == 0
        root.add(job(note, ledger, "b"))
        root.release()
        assert other.run_until_empty() == 2

    with pytest.raises(AlreadyReleased):
        root.add(job(note, ledger, "c"))


def test_r5_28_depth_first(app: Ramify, tmp_path: Path) -> None:
    """A job runs only when all its sub-jobs ran: of a(b(d, e), c) the order of one process is d e b c a."""
    ledger = tmp_path / "ledger"

    def call(name: str) -> object:
        return job(note, str(ledger), name)

    b = group(call("d"), call("e"), body=call("b"))  # type: ignore[call-overload]
    app.enqueue(group(b, call("c"), body=call("a")))  # type: ignore[call-overload]
    app.run_until_empty()

    assert ledger.read_text().split() == ["d", "e", "b", "c", "a"]


def test_r5_31_a_failed_sub_job(app: Ramify, tmp_path: Path) -> None:
    """The parent never runs, the siblings still do."""
    ledger = tmp_path / "ledger"
    top = app.enqueue(group(job(fail, "no"), job(note, str(ledger), "sibling"), body=job(note, str(ledger), "parent")))
    app.run_until_empty()

    assert ledger.read_text().split() == ["sibling"]
    with pytest.raises(JobFailed, match="no"):
        top.result()


def test_r5_42_to_47_the_handle(app: Ramify) -> None:
    """Progress begins as unknown and ends where the job said, the status line is the last text, an error is marked."""
    waiting = app.enqueue(report, [10, 50], "half")
    failed = app.enqueue(job(fail, "marked").options(label="named"))
    assert (waiting.state, waiting.progress, waiting.status) == ("ready", None, None)
    app.run_until_empty()

    assert (waiting.state, waiting.progress, waiting.status) == ("done", 50, "half")
    assert failed.state == "failed"
    assert failed.error is not None
    assert failed.error.message == "marked"


def test_r5_62_progress_is_clamped_and_never_decreases(app: Ramify) -> None:
    """Values outside of 0 to 100 count as those, and smaller ones than before are passed over."""
    clamped, falling = app.enqueue(report, [-5, 1000], ""), app.enqueue(report, [60, 20], "")
    app.run_until_empty()

    assert (clamped.progress, falling.progress) == (100, 60)


def test_r5_65_to_67_a_command(app: Ramify) -> None:
    """The exit status is returned, output is captured, and callbacks get each line in order, numbered from 1."""
    handle = app.enqueue(run, "echo one; echo two; echo oops >&2; exit 7")
    app.run_until_empty()

    heard = handle.result()
    assert (heard["status"], heard["err"]) == (7, [[1, "oops"]])
    assert heard["out"] == [[1, "one"], [2, "two"]]
    assert sorted((line.stream, line.text) for line in handle.log()) == [
        ("err", "oops"),
        ("out", "one"),
        ("out", "two"),
    ]


def test_r5_68_an_exception_in_a_callback(app: Ramify) -> None:
    """Its traceback goes to the job's errors, the callback is disabled, and the command goes on."""
    handle = app.enqueue(stumble)
    app.run_until_empty()

    assert handle.result() == 0
    assert [line.text for line in handle.log() if line.stream == "out"] == ["a", "b"]
    assert [line.text for line in handle.log() if line.stream == "err"][-1] == "ValueError: a"


def test_r5_69_the_last_line_is_delivered(app: Ramify) -> None:
    """Whatever the command wrote last is there when it returns, also without an end of line."""
    handle = app.enqueue(run, "seq 3000; printf end")
    app.run_until_empty()

    assert handle.result()["out"][-2:] == [[3000, "3000"], [3001, "end"]]


def test_r5_70_the_running_directory(app: Ramify) -> None:
    """A job has a working directory while it runs."""
    handle = app.enqueue(where)
    app.run_until_empty()

    given, told = handle.result()
    assert os.path.realpath(given) == told
    assert not Path(given).exists()
