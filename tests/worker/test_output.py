"""What jobs write to standard output and error, and what they log, is kept in their logs."""

import os
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path

import pytest

from ramify.model import State
from ramify.tasks import Tasks
from ramify.worker.inline import run_until_empty
from ramify.worker.loop import Worker
from tests.worker.conftest import JOBS, Place, call, group
from tests.worker.test_exec import said
from tests.worker.test_worker import shared, start, start_process, until

__all__ = ["shared"]


@pytest.mark.posix
@pytest.mark.parametrize("fresh", [False, True], ids=["forked", "fresh"])
def test_all_that_a_job_writes_is_kept(place: Place, fresh: bool) -> None:
    """Prints, records of `logging`, threads, programs, lines without an end: each job's log has its own."""
    roots = [place.add(call("speak", word)) for word in ("one", "two", "three")]
    place.work(multiprocessing=fresh)

    for word, root in zip(("one", "two", "three"), roots, strict=True):
        lines = [line.replace("WARNING speaker: ", "") for line in said(place, root) if "INFO" not in line]
        verbs = ["called", "complained", "ended", "logged", "printed", "ran", "threaded", "wrote"]
        assert sorted(lines) == [f"{verb} {word}" for verb in verbs]
        streams = {line.text.split()[0]: line.stream for line in place.store.log(root)}
        assert (streams["printed"], streams["complained"], streams["called"], streams["ran"]) == (
            "out",
            "err",
            "out",
            "err",
        )


def test_coroutines_are_told_apart(place: Place) -> None:
    """Coroutines that run at the same time in one process do not find each other's lines in their logs."""
    words = ["one", "two", "three"]
    roots = [place.add(call("speak_slowly", word)) for word in words]
    place.work()

    for word, root in zip(words, roots, strict=True):
        expected = [*(f"{word} {number}" for number in range(5)), f"WARNING speaker: logged {word}", f"threaded {word}"]
        assert said(place, root) == expected


@pytest.mark.posix
def test_last_words_are_kept(place: Place) -> None:
    """What a job wrote right before its process died is in its log."""
    root = place.run(call("speak_and_die", "farewell"))

    assert place.row(root).state is State.FAILED
    assert sorted(set(said(place, root))) == ["farewell", "farewell again"]


@pytest.mark.posix
def test_lines_are_kept_while_nobody_reads_what_the_worker_shows(shared: Place, tmp_path: Path) -> None:
    """A job whose lines cannot be shown yet does not end without them."""
    near, far = os.pipe()
    os.set_blocking(far, False)
    with suppress(BlockingIOError):
        while True:
            os.write(far, bytes(1024))
    os.set_blocking(far, True)
    job = shared.add(call("speak_until", str(tmp_path / "enough")))
    process = start_process(shared.url, stdout=far)
    os.close(far)

    until(lambda: shared.row(job).state is State.RUNNING)
    time.sleep(0.3)  # for the line to get stuck on its way; without that nothing is tested, and nothing fails
    (tmp_path / "enough").touch()
    time.sleep(0.3)
    with open(near, "rb") as shown:
        reader = threading.Thread(target=shown.read)
        reader.start()
        until(lambda: shared.row(job).state is State.DONE)
        process.terminate()
        process.wait(20)
        reader.join()

    assert said(shared, job) == ["begun"]


@pytest.mark.posix
def test_a_fork_of_a_job_may_print(place: Place) -> None:
    """What a process that the job has forked prints is the job's, too."""
    root = place.run(call("speak_in_a_fork", "word"))

    assert sorted(said(place, root)) == ["after word", "forked word"]


def test_output_can_be_followed(place: Place, tmp_path: Path) -> None:
    """What a job printed can be read while it runs."""
    root = place.add(call("speak_until", str(tmp_path / "go")))
    thread = start(Worker(place.store, [JOBS], children=1, burst=True))

    until(lambda: said(place, root) == ["begun"])
    assert place.row(root).state is State.RUNNING

    (tmp_path / "go").touch()
    thread.join()


def test_what_is_too_much_is_cut_and_said(place: Place) -> None:
    """Of very many lines the newest are kept, of a very long one the beginning; numbers and a mark say so."""
    many, long = place.add(call("shout", 30_000, 10)), place.add(call("shout", 1, 100_000))
    place.work()

    lines = place.store.log(many, size=10_000)
    assert len(lines) <= 5000 < lines[0].number + 5000
    assert lines[-1].text == f"29999 {'x' * 10}"
    [line] = place.store.log(long)
    assert (len(line.text), line.text[-1]) == (2000, "…")


def test_a_process_of_its_own_keeps_what_it_prints(place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    """What a job prints in the caller's process is kept, and appears there as it would without us."""
    out, err = sys.stdout, sys.stderr
    roots = [place.add(group(call("speak_until", os.devnull), call("speak_slowly", "slow")))]
    run_until_empty(place.store, Tasks([JOBS]))

    plain, slow = (edge.before for edge in place.store.edges(roots))
    assert said(place, plain) == ["begun"]
    assert said(place, slow)[:2] == ["slow 0", "slow 1"]
    assert "WARNING speaker: logged slow" in said(place, slow)
    assert capsys.readouterr().out.splitlines()[:2] == ["begun", "slow 0"]
    assert (sys.stdout, sys.stderr) == (out, err)


def test_the_worker_shows_what_its_jobs_print(tmp_path: Path) -> None:
    """What jobs write appears where the worker writes, in whole lines."""
    script = f"""
from ramify import Ramify
from tests.worker import jobs
with Ramify("sqlite:///{tmp_path}/jobs.db", tasks=["{JOBS}"]) as app:
    app.enqueue(jobs.speak, "word")
    app.worker(children=1, burst=True).run()
"""
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=30)

    assert {"printed word", "called word", "threaded word", "wrote word"} < set(ran.stdout.split("\n"))
    assert {"complained word", "WARNING speaker: logged word", "INFO speaker: done", "ran word"} <= set(
        ran.stderr.split("\n")
    )
