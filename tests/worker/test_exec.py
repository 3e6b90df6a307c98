"""Programs that jobs run: their lines, their end, and that nothing of them outlives the job."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from ramify import BadNode, group, job, shell
from ramify.model import Policy, State, Verb, Which
from ramify.stores.open import open_store
from ramify.stores.read import read_log
from ramify.worker.loop import Worker
from tests.worker.conftest import JOBS, Place, call
from tests.worker.test_worker import start, until

PROGRAMS = "ramify.programs"


def said(place: Place, job: str) -> list[str]:
    return [line.text for line in read_log(place.store, job)]


def is_gone(path: Path) -> bool:
    """Tell whether the process whose number stands in a file has ended."""
    try:
        os.kill(int(path.read_text()), 0)
    except ProcessLookupError:
        return True
    status = Path(f"/proc/{path.read_text().strip()}/stat")
    return not status.exists() or status.read_text().rpartition(")")[2].split()[0] == "Z"


def test_lines_are_delivered_in_order(place: Place) -> None:
    """Callbacks get each line with its number from 1, whatever ends it, and the last one though nothing ends it."""
    root = place.run(call("hear", r"printf 'one\ntwo\r\nthree\rfour\n\nend'; printf 'oops\n' >&2"))

    heard = place.value(root)
    out = [[number, line] for stream, number, line in heard if stream == "out"]
    assert out == [[1, "one"], [2, "two"], [3, "three"], [4, "four"], [5, ""], [6, "end"]]
    assert ["err", 1, "oops"] in heard
    assert sorted(said(place, root)) == ["", "end", "four", "one", "oops", "three", "two"]


def test_the_tail_is_never_lost(place: Place) -> None:
    """All of 20,000 lines are delivered though the program ends at once after the last; the log keeps the newest."""
    root = place.run(call("hear", "seq 20000"))

    assert place.value(root) == [["out", n, str(n)] for n in range(1, 20001)]
    assert said(place, root)[-1] == "20000"


def test_the_exit_status_decides(place: Place) -> None:
    """A program that fails fails the job, with its last words; asked not to check, the status is returned."""
    failed = place.run(call("execute", "echo no such frame >&2; exit 3"))
    asked = place.run(call("execute", ["sh", "-c", "exit 3"], check=False))
    killed = place.run(call("execute", "kill -9 $$", check=False))

    assert "exit status 3: no such frame" in place.failure(failed).message
    assert (3, -9) == (place.value(asked), place.value(killed))
    assert "is a text for the shell" in place.failure(place.run(call("execute", []))).message


def test_a_callback_that_fails_is_left_out(place: Place) -> None:
    """What a callback raises stands in the log; it is not called again, and the program goes on."""
    root = place.run(call("stumble"))

    assert place.value(root) == 1
    assert [line for line in said(place, root) if len(line) == 1] == ["a", "b", "c"]
    assert "ValueError: too much: b" in said(place, root)


def test_progress_is_found_in_lines(place: Place) -> None:
    """A regular expression finds how far the program is: so many of so many, or percent."""
    frames = place.run(call("execute", "echo Frame 3/4", progress=r"Frame (\d+)/(\d+)"))
    percent = place.run(call("execute", "echo 30% >&2; echo 20%", progress=r"(\d+)%"))
    wrong = place.run(call("execute", "true", progress="("))

    assert (75, 30) == (place.left(frames).percent, place.left(percent).percent)
    assert "not a regular expression" in place.failure(wrong).message


def test_a_log_can_be_followed(place: Place, tmp_path: Path) -> None:
    """Lines can be read while the program runs."""
    go = tmp_path / "go"
    root = place.add(call("execute", f"echo begun; until [ -e {go} ]; do sleep 0.05; done; echo over"))
    thread = start(Worker(place.store, [JOBS], children=1, burst=True))

    until(lambda: said(place, root) == ["begun"])
    assert place.row(root).state is State.RUNNING
    go.touch()

    thread.join()
    assert said(place, root) == ["begun", "over"]


@pytest.mark.posix
def test_what_a_program_leaves_is_ended(place: Place, tmp_path: Path) -> None:
    """What a program left running in the background ends with it, and does not hold up the job."""
    root = place.run(call("execute", f"sleep 1000 & echo $! > {tmp_path}/pid; echo over"))

    assert (0, ["over"]) == (place.value(root), said(place, root))
    until(lambda: is_gone(tmp_path / "pid"))


def test_a_cancel_ends_the_program(place: Place, tmp_path: Path) -> None:
    """A job that is cancelled ends its program, and can say so in the log; it is not tried again."""
    script = f"trap 'echo told; exit 1' TERM; echo $$ > {tmp_path}/pid; while true; do sleep 0.05; done"
    root = place.add(call("execute", script))
    thread = start(Worker(place.store, [JOBS], children=1, burst=True))
    until(lambda: (tmp_path / "pid").exists() and (tmp_path / "pid").read_text())

    place.store.move(Which(ids=(root,)), Verb.CANCEL)

    thread.join()
    assert State.CANCELLED is place.row(root).state
    assert "told" in said(place, root)
    assert is_gone(tmp_path / "pid")


@pytest.mark.posix
def test_a_time_limit_ends_the_program(place: Place, tmp_path: Path) -> None:
    """A job that runs out of time takes its program with it, also one that does not listen."""
    script = f"trap '' TERM; sleep 1000 & echo $! > {tmp_path}/pid; wait"
    root = place.run(call("execute", script, policy=Policy(timeout=0.5)))

    assert place.failure(root).kind == "timeout"
    until(lambda: is_gone(tmp_path / "pid"))


@pytest.mark.slow
def test_a_killed_worker_takes_its_programs(tmp_path: Path) -> None:
    """When a worker is killed, the programs of its jobs are gone soon after."""
    url = f"sqlite:///{tmp_path}/jobs.db"
    place = Place(open_store(url), url)
    place.add(call("execute", f"echo $$ > {tmp_path}/pid; exec sleep 1000"))
    worker = subprocess.Popen([sys.executable, "-m", "ramify.cli", "worker", JOBS, "--url", url])
    until(lambda: (tmp_path / "pid").exists() and (tmp_path / "pid").read_text())

    worker.send_signal(signal.SIGKILL)

    worker.wait()
    until(lambda: is_gone(tmp_path / "pid"), 5.0)
    place.store.close()


def test_a_job_may_be_only_a_command(place: Place) -> None:
    """`shell` describes a job that is a command; who is not given its module does not run it."""
    node = group(shell("echo hello"), job(shell(["sh", "-c", "echo 50%"], progress=r"(\d+)%")), shell("exit 2"))
    root = place.add(node)
    place.work()
    assert place.row(root).state is State.WAITING

    Worker(place.store, [PROGRAMS], children=1, burst=True).run()

    first, second, third = (edge.before for edge in place.store.edges([root]))
    assert (0, 0, ["hello"], 50) == (
        place.value(first), place.value(second), said(place, first), place.left(second).percent,
    )  # fmt: skip
    assert "`exit 2` ended with exit status 2" in place.failure(third).message
    with pytest.raises(BadNode, match="a command is a text"):
        shell([])


def test_the_running_directory(place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A job has a directory of its own, which is gone after the run, or kept where the setting says."""
    gone, worked = place.value(place.run(call("use_directory")))
    assert (worked, Path(gone).exists()) == (True, False)

    monkeypatch.setenv("RAMIFY_DIRECTORIES", str(tmp_path / "runs"))
    root = place.run(call("use_directory"))

    kept, worked = place.value(root)
    assert (worked, kept) == (True, str(tmp_path / "runs" / f"{root}-1"))
    assert Path(kept, "file").read_text() == "text\n"
