"""Checklist R5, the queue that is a directory: each line is a test named after its id."""

import logging
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ramify import BadTask
from ramify.compat import connect
from ramify.compat.cgkit import JobHandle, JobProc, JobQueue, JobQueueError, createJobQueue
from ramify.worker import loop

PROCS = {
    "note": """
        def __init__(self, word, label=None):
            super().__init__(label)
            self.word = word

        def run(self):
            with open(ORDER, "a") as file:
                file.write(self.word + "\\n")
    """,
    "boom": """
        def run(self):
            raise ValueError("no luck")
    """,
    "wrong": """
        def run(self):
            self.setError()
    """,
    "picky": """
        def __init__(self, n):
            super().__init__("picky " + str(n))
            if n < 0:
                raise ValueError("n is too small")
            with open(ORDER, "a") as file:
                file.write("made\\n")

        def postCreate(self, jobDir):
            with open(os.path.join(jobDir, "created"), "a") as file:
                file.write("once\\n")
    """,
    "show": """
        def run(self):
            self.setProgress(30)
            self.setProgress(20)
            self.setProgress(120 if self.high else 40)
            self.setStatusLine("half way")
            with open(ORDER, "a") as file:
                print(self.runningDir, os.getcwd(), os.getpid(), file=file)

        def __init__(self, high=False):
            super().__init__()
            self.high = high
    """,
    "wait": """
        def __init__(self, me, other):
            super().__init__()
            self.me, self.other = me, other

        def run(self):
            open(self.me, "w").close()
            end = time.monotonic() + 20
            while not os.path.exists(self.other):
                if time.monotonic() > end:
                    raise TimeoutError(self.other)
                time.sleep(0.01)
    """,
    "default": """
        def __init__(self, size, colour="red"):
            super().__init__(f"{size} {colour}")
    """,
    "shell": """
        def __init__(self, cmd, stumble=0):
            super().__init__()
            self.cmd, self.stumble, self.heard = cmd, stumble, []

        def stdoutCallback(self, lineNr, line):
            self.heard.append((lineNr, line))
            if lineNr == self.stumble:
                raise ValueError("stumbled")

        def stderrCallback(self, lineNr, line):
            self.heard.append((-lineNr, line))

        def run(self):
            status = self.execCmd(self.cmd)
            with open(ORDER, "a") as file:
                print(status, self.heard, file=file)
    """,
}


class Place:
    """A queue in a directory, and what its jobs noted."""

    def __init__(self, location: Path, store: str | None) -> None:
        self.location = location
        createJobQueue(str(location), store=store)
        self.order = location / "order"
        for name, body in PROCS.items():
            head = f"import os, time\nfrom ramify.compat.cgkit import JobProc\nORDER = {str(self.order)!r}\n"
            text = "\n".join(line.removeprefix("    ") for line in body.splitlines())
            (location / "procs" / f"{name}.py").write_text(f"{head}\n\nclass {name}(JobProc):\n{text}")
        self.queue = JobQueue(str(location))

    def noted(self) -> list[str]:
        return self.order.read_text().splitlines() if self.order.exists() else []

    def run(self) -> int:
        """Run all there is; return how many jobs."""
        n = 0
        while self.queue.runNextAvailableJob():
            n += 1
        return n

    def work(self, children: int = 1) -> None:
        """Let a worker run all there is."""
        app = connect.connect(self.queue._require_place().store)
        loop.Worker(app.store, ["ramify.compat.cgkit.run"], children=children, queues=[self.name], burst=True).run()

    @property
    def name(self) -> str:
        """Of the jobs' queue in their store."""
        return self.queue._require_place().queue

    def only(self) -> JobHandle:
        [job] = self.queue.listJobs()
        return job

    def one(self, proc: str | None, **params: Any) -> JobHandle:
        """Queue one job, and return its handle."""
        self.queue.createJob(proc, **params).activate()
        return self.queue.listJobs()[-1]


@pytest.fixture
def there(url: str, place: Path) -> Iterator[Place]:
    """A queue whose jobs are kept in a store of each kind; a directory is what it has without being told."""
    yield Place(place / "queue", None if url.startswith("dir:") else url)
    for app in _opened(place):
        app.close()
    connect._open.cache_clear()


def _opened(place: Path) -> list[Any]:
    return [connect.connect(JobQueue(str(place / "queue"))._require_place().store)]


# 5.1 Queue


@pytest.mark.parametrize("exists", [False, True])
def test_r5_01_a_queue_is_created(place: Path, exists: bool) -> None:
    """In a new directory, or an empty one: with settings and procedures."""
    if exists:
        (place / "queue").mkdir()
    createJobQueue(str(place / "queue"))

    assert sorted(path.name for path in (place / "queue").iterdir()) == ["procs", "queue.cfg"]
    assert JobQueue(str(place / "queue")).listJobs() == []


def test_r5_02_what_cannot_become_a_queue_is_refused(place: Path) -> None:
    """A directory with something in it, a missing parent, and what is no path."""
    (place / "full").mkdir()
    (place / "full" / "file").touch()

    with pytest.raises(ValueError, match="not empty"):
        createJobQueue(str(place / "full"))
    with pytest.raises(ValueError, match="does not exist"):
        createJobQueue(str(place / "missing" / "queue"))
    with pytest.raises(TypeError):
        createJobQueue(3)  # type: ignore[arg-type]


def test_r5_03_options_are_kept_in_the_settings_file(place: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Unknown ones only warn."""
    createJobQueue(str(place / "queue"), keepJobsInRepository=True, useSymLinks=True)
    text = (place / "queue" / "queue.cfg").read_text()
    (place / "queue" / "queue.cfg").write_text(f"{text}colour = red\n")

    queue = JobQueue(str(place / "queue"), logging.getLogger("theirs"))

    assert text == "[main]\nkeepJobsInRepository = True\nuseSymLinks = True\n"
    assert (queue._require_place().keepJobsInRepository, queue._require_place().useSymLinks) == (True, True)
    assert "unknown option" in caplog.text and "colour" in caplog.text


def test_r5_04_ready_made_procedures_are_copied(there: Place) -> None:
    """They cannot be written by accident, and the one that needs no other program runs."""
    procs = there.location / "procs"
    ready = [procs / f"{name}.py" for name in ("blender", "dumpenv", "maya", "renderrib")]
    job = there.one("dumpenv")
    there.run()

    assert [path.stat().st_mode & 0o777 for path in ready] == [0o444] * 4
    assert "directory: " + job.runningDir in Path(job.stdoutFile).read_text()
    assert there.one("renderrib", ribFile="/a/b.rib").label == "Render b.rib"
    assert there.one("blender", file="/a/b.blend", end=3).label == "Render b.blend, frames 1 to 3"
    assert there.one("maya", scene="c.ma").label == "Render c.ma, frames 1 to 1"


def test_r5_05_a_queue_must_exist(place: Path) -> None:
    with pytest.raises(ValueError, match="there is no job queue"):
        JobQueue(str(place / "missing"))
    assert not (place / "missing").exists()
    with pytest.raises(TypeError):
        JobQueue(3)  # type: ignore[arg-type]


def test_r5_06_none_is_an_empty_queue() -> None:
    queue = JobQueue(None)

    assert (queue.listJobs(), queue.runNextAvailableJob(), queue.location) == ([], False, None)
    with pytest.raises(JobQueueError):
        queue.createJob("note", word="x")


def test_r5_07_a_logger_hears_what_is_done(there: Place) -> None:
    """Any object with the interface of those of `logging`."""
    heard: list[str] = []

    class Ear:
        def info(self, msg: str, *args: object) -> None:
            heard.append(msg % args)

        warning = info

    there.one("note", word="x")
    JobQueue(str(there.location), Ear()).runNextAvailableJob()

    assert heard == [f"attached to the job queue at {there.location}", "a job was run"]


def test_r5_08_nothing_is_kept_in_memory(there: Place) -> None:
    """Another object for the same directory sees and runs the same jobs."""
    there.one("note", word="x")
    other = JobQueue(str(there.location))
    there.queue = None  # type: ignore[assignment]

    assert other.runNextAvailableJob()
    assert other.listJobs()[0].isFinished()


@pytest.mark.slow
def test_r5_08_and_09_many_processes_run_each_job_once(url: str, there: Place) -> None:
    """Processes that know the directory only, and run what there is at the same time."""
    if url == "memory:":
        pytest.skip("other processes do not see this one's memory")
    for n in range(30):
        there.queue.createJob("note", word=str(n)).activate()
    environment = {**os.environ, "CGKIT_JOB_QUEUE": str(there.location), "PYTHONPATH": str(Path(__file__).parents[2])}
    command = [sys.executable, "-m", "ramify.compat.cgkit"]

    runners = [subprocess.Popen(command, env=environment) for _ in range(3)]

    assert [runner.wait(50) for runner in runners] == [0, 0, 0]
    assert sorted(map(int, there.noted())) == list(range(30))


def test_r5_10_each_job_has_a_directory(there: Place) -> None:
    """Those of sub-jobs lie in that of the job above."""
    root = there.queue.createJobRoot("note", word="root")
    root.createJob("note", word="first").createJob("note", word="under")
    root.createJob("note", word="second")
    root.activate()

    directories = sorted(str(path.relative_to(there.location)) for path in there.location.rglob("job[0-9]"))
    assert directories == ["job1", "job1/job0", "job1/job0/job0", "job1/job1"]


def test_r5_09_a_directory_may_be_seen_by_another_path(place: Path) -> None:
    """Who runs a job need not see the directory where the one that submitted it did."""
    here, there = place / "here", place / "there"
    createJobQueue(str(here))
    (here / "procs" / "look.py").write_text(
        "from ramify.compat.cgkit import JobProc\n\n\nclass look(JobProc):\n    def run(self):\n"
        "        print(self.runningDir, file=self.stdout)\n"
    )
    JobQueue(str(here)).createJob("look").activate()
    connect.connect(f"dir://{here}/store").close()
    here.rename(there)

    queue = JobQueue(str(there))
    assert queue.runNextAvailableJob()

    [job] = queue.listJobs()
    assert Path(job.stdoutFile).read_text() == f"{there}/job1/.running\n"
    connect.connect(f"dir://{there}/store").close()
    connect._open.cache_clear()


def test_r5_11_settings_have_default_parameters(there: Place) -> None:
    """In a section for each procedure; what is said goes before."""
    with (there.location / "queue.cfg").open("a") as file:
        file.write("\n[default proc]\nsize = 7\ncolour = blue\n")
    there.queue = JobQueue(str(there.location))

    assert there.one("default").label == "7 blue"
    assert there.one("default", size=3).label == "3 blue"


@pytest.mark.slow
def test_r5_12_a_variable_names_the_queue(url: str, there: Place) -> None:
    """Of the command that runs its jobs."""
    if url == "memory:":
        pytest.skip("other processes do not see this one's memory")
    there.one("note", word="x")
    environment = {**os.environ, "CGKIT_JOB_QUEUE": str(there.location), "PYTHONPATH": str(Path(__file__).parents[2])}

    subprocess.run([sys.executable, "-m", "ramify.compat.cgkit"], env=environment, check=True, timeout=50)

    assert there.noted() == ["x"]


def test_r5_13_the_location_is_absolute(there: Place, place: Path) -> None:
    assert JobQueue("queue").location == str(place / "queue") == there.queue.location


# 5.2 Jobs


def test_r5_20_and_27_a_new_root_is_not_seen(there: Place) -> None:
    """Before `activate` there is nothing to run, whatever becomes of the program."""
    root = there.queue.createJobRoot("note", word="x")
    before = (there.queue.listJobs(), there.run())
    root.activate()

    assert before == ([], 0)
    assert there.run() == 1


def test_r5_21_a_job_without_a_procedure_is_a_group(there: Place) -> None:
    """The original refuses its own default."""
    root = there.queue.createJobRoot()
    root.createJob("note", word="x")
    root.activate()

    assert there.run() == 1
    assert there.only().isFinished() and not there.only().hasError(True)


def test_r5_22_parameters_are_plain(there: Place) -> None:
    """What is plain comes back as it was, tuples too."""
    plain = {"a": (1, [2.5, None], {3: True}), "b": "ü"}
    from ramify.compat.cgkit.place import read, spell

    assert read(spell(plain)) == plain
    for wrong in (object(), {1, 2}, b"bytes", [object()], float("inf")):
        with pytest.raises(ValueError):
            there.queue.createJob("note", word=wrong)
    with pytest.raises(TypeError):
        there.queue.createJob(3)  # type: ignore[arg-type]


def test_r5_23_the_constructor_checks_parameters(there: Place) -> None:
    """When the job is made, not when it runs; and a procedure that there is not."""
    with pytest.raises(ValueError, match="n is too small"):
        there.queue.createJob("picky", n=-1)
    with pytest.raises(TypeError):
        there.queue.createJob("picky")
    with pytest.raises(ValueError, match="no procedure 'missing'"):
        there.queue.createJob("missing")

    assert there.queue.listJobs() == []


def test_r5_24_a_sub_job_belongs_to_its_job(there: Place) -> None:
    root = there.queue.createJobRoot("note", word="root", label="the root")
    root.createJob("note", word="sub", label="the sub")
    root.activate()

    [sub] = there.only().listSubJobs()
    assert (there.only().label, sub.label, sub.location) == ("the root", "the sub", f"{there.only().location}/job0")


@pytest.mark.parametrize("links", [False, True])
def test_r5_25_and_30_a_shared_sub_job_runs_once(place: Path, links: bool) -> None:
    """Before both that depend on it, whose directories have links to it."""
    there = Place(place / "queue", None)
    there.queue._require_place().useSymLinks = links
    root = there.queue.createJobRoot("note", word="root")
    left, right = root.createJob("note", word="left"), root.createJob("note", word="right")
    shared = left.createJob("note", word="shared")
    right.addDependency(shared)
    root.activate()
    there.run()

    assert there.noted() == ["shared", "left", "right", "root"]
    link = Path(right.location) / "job0"
    assert link.is_symlink() == links
    assert link.resolve() == Path(shared.location) if links else "target=$JOBROOT/job0/job0" in link.read_text()
    connect.connect(there.queue._require_place().store).close()
    connect._open.cache_clear()


def test_r5_25_wrong_dependencies_are_refused(there: Place) -> None:
    """On itself, on the root, on a job of another root."""
    root, other = there.queue.createJobRoot("note", word="a"), there.queue.createJobRoot("note", word="b")
    sub = root.createJob("note", word="c")

    for job, before in ((sub, sub), (sub, root), (sub, other), (sub, other.createJob("note", word="d"))):
        with pytest.raises(ValueError, match="cannot depend"):
            job.addDependency(before)


def test_r5_26_an_active_job_does_not_change(there: Place) -> None:
    root = there.queue.createJobRoot("note", word="x")
    sub = root.createJob("note", word="y")
    root.activate()

    for change in (root.activate, lambda: root.createJob("note", word="z"), lambda: sub.addDependency(root)):
        with pytest.raises(JobQueueError, match="was activated"):
            change()


def test_r5_26_a_circle_is_refused(there: Place) -> None:
    root = there.queue.createJobRoot("note", word="x")
    first = root.createJob("note", word="y")
    second = first.createJob("note", word="z")
    second.addDependency(first)

    with pytest.raises(JobQueueError, match="depend on each other: job1"):
        root.activate()
    assert there.queue.listJobs() == []


def test_r5_26_what_another_sub_job_waits_for_is_not_waited_for_twice(there: Place) -> None:
    """What a job depends on by way of another is dropped from its own sub-jobs."""
    root = there.queue.createJobRoot("note", word="root")
    first = root.createJob("note", word="first")
    under = first.createJob("note", word="under")
    root.addDependency(under)
    root.activate()
    there.run()

    assert [job.location for job in there.only().listSubJobs()] == [first.location]
    assert there.noted() == ["under", "first", "root"]


def tree(there: Place) -> None:
    """The document's shape: a(b(d, e), c)."""
    a = there.queue.createJobRoot("note", word="a")
    b = a.createJob("note", word="b")
    for word in "de":
        b.createJob("note", word=word)
    a.createJob("note", word="c")
    a.activate()


def test_r5_28_and_x5_one_process_goes_depth_first(there: Place) -> None:
    """Sub-jobs before their job, and strictly in post-order."""
    tree(there)
    there.run()

    assert there.noted() == ["d", "e", "b", "c", "a"]


@pytest.mark.slow
def test_r5_29_jobs_of_one_level_run_together(there: Place) -> None:
    """With two processes two that wait for each other both end."""
    root = there.queue.createJobRoot()
    here = [str(there.location / name) for name in ("left", "right")]
    root.createJob("wait", me=here[0], other=here[1])
    root.createJob("wait", me=here[1], other=here[0])
    root.activate()

    there.work(children=2)

    assert not there.only().hasError(True)


def test_r5_31_a_failed_sub_job_keeps_its_parent_from_running(there: Place) -> None:
    """And leaves its siblings alone."""
    root = there.queue.createJobRoot("note", word="root")
    root.createJob("boom")
    root.createJob("note", word="sibling")
    root.activate()
    there.run()

    assert there.noted() == ["sibling"]
    assert (there.only().isFinished(), there.only().hasError(), there.only().hasError(True)) == (True, False, True)


def test_r5_32_jobs_are_listed_in_order(there: Place) -> None:
    for word in "abc":
        there.one("note", word=word, label=word)
    listed = [job.label for job in there.queue.listJobs()]
    there.run()

    assert listed == there.noted() == ["a", "b", "c"]


@pytest.mark.parametrize("several", [False, True])
def test_r5_33_jobs_are_deleted(there: Place, several: bool) -> None:
    """One or several, with their directories; None is none, as in the original, and twice is no error."""
    jobs = [there.one("note", word=word) for word in "abc"]

    there.queue.deleteJobs(None)
    assert len(there.queue.listJobs()) == 3
    there.queue.deleteJobs(jobs[:2] if several else jobs[0])
    there.queue.deleteJobs(jobs[0])

    left = there.queue.listJobs()
    assert [job.location for job in left] == [job.location for job in jobs[2 if several else 1 :]]
    assert not os.path.exists(jobs[0].location)
    there.run()
    assert there.noted() == (["c"] if several else ["b", "c"])


def test_r5_34_running_the_next_job_tells_whether_there_was_one(there: Place) -> None:
    """Also if it failed. No race is lost, so `retries` changes nothing."""
    there.one("boom")
    there.one("note", word="x")

    assert [there.queue.runNextAvailableJob(retries=1) for _ in range(3)] == [True, True, False]


# 5.3 Handle


def test_r5_40_and_41_label_number_and_location(there: Place) -> None:
    """ "Job" and the number, unless the procedure says better."""
    plain, named = there.one("note", word="x"), there.one("note", word="y", label="paint: the wall")

    assert (plain.label, named.label) == ("Job 1", "paint: the wall")
    assert (plain.number, named.number) == (1, 2)
    assert named.location == str(there.location / "job2")


def test_r5_42_times(there: Place) -> None:
    """In seconds; None until they happen."""
    begin = time.time()
    job = there.one("note", word="x")
    before = (job.startTime, job.endTime)
    there.run()

    assert before == (None, None)
    assert job.startTime is not None and job.endTime is not None
    assert begin - 1 < job.submitTime <= job.startTime + 1 <= job.endTime + 2 <= time.time() + 3


def test_r5_43_44_and_62_progress_and_status(there: Place) -> None:
    """0 and "" at first; clamped, never less, and 100 when all is done."""
    job, high = there.one("show"), there.one("show", high=True)
    before = (job.progress, job.statusLine)
    app = connect.connect(there.queue._require_place().store)
    seen = []
    there.queue.runNextAvailableJob()
    seen.append(next(iter(app.store.results([job.native.id]))).percent)
    there.queue.runNextAvailableJob()
    seen.append(next(iter(app.store.results([high.native.id]))).percent)

    assert before == (0, "")
    assert seen == [40, 100]
    assert (job.progress, job.statusLine) == (100, "half way")
    there.queue.deleteJobs(job)
    assert job.progress is None


def test_r5_45_and_50_a_job_waits_runs_or_is_finished(there: Place) -> None:
    """Exactly one of the three, and its text says which."""
    job = there.one("note", word="x")

    def now() -> tuple[list[bool], str]:
        return [job.isWaiting(), job.isRunning(), job.isFinished()], str(job)

    waiting = now()
    app = connect.connect(there.queue._require_place().store)
    app.tasks = type(app.tasks)(["ramify.compat.cgkit.run"])
    claimed = app.claim([there.name])
    assert claimed is not None
    running = now()
    claimed.execute()

    assert waiting == ([True, False, False], "job1 (waiting)")
    assert running == ([False, True, False], "job1 (running)")
    assert now() == ([False, False, True], "job1 (finished)")


def test_r5_46_errors_are_ones_own_or_from_below(there: Place) -> None:
    root = there.queue.createJobRoot("note", word="x")
    root.createJob("boom")
    root.activate()
    there.run()
    [sub] = there.only().listSubJobs()

    assert (sub.hasError(), there.only().hasError(), there.only().hasError(recursive=True)) == (True, False, True)


def test_r5_47_an_error_may_be_set(there: Place) -> None:
    """From outside; the job has one from then on."""
    job = there.one("note", word="x")
    there.run()
    before = job.hasError()
    job.setError()

    assert (before, job.hasError()) == (False, True)


def test_r5_48_sub_jobs_are_listed_in_order(there: Place) -> None:
    tree(there)

    [b, c] = there.only().listSubJobs()
    assert ([b.number, c.number], len(b.listSubJobs()), c.listSubJobs()) == ([0, 1], 2, [])


def test_r5_49_files_tell_what_their_names_say(there: Place) -> None:
    """Where and by which process it was run, what it printed, and what it raised."""
    fine, bad = there.one("dumpenv"), there.one("boom")
    there.run()

    assert int(Path(fine.pidFile).read_text()) == os.getpid()
    assert Path(fine.hostFile).read_text().strip()
    assert "PATH=" in Path(fine.stdoutFile).read_text()
    assert Path(fine.stderrFile).read_text() == ""
    assert "ValueError: no luck" in Path(bad.procTracebackFile).read_text()
    assert not Path(fine.procTracebackFile).exists()


# 5.4 JobProc


def test_r5_60_an_exception_is_an_error(there: Place) -> None:
    """The job is finished, with an error and a traceback file."""
    job = there.one("boom")
    there.run()

    assert (job.isFinished(), job.hasError(), Path(job.procTracebackFile).exists()) == (True, True, True)
    assert job.native.error is not None and job.native.error.type == "ValueError"


def test_r5_61_what_is_done_once_is_done_once(there: Place) -> None:
    """`postCreate` when the job is made; the constructor again where it runs."""
    job = there.one("picky", n=1)
    there.run()

    assert (Path(job.location) / "created").read_text() == "once\n"
    assert there.noted() == ["made", "made"]


def test_r5_63_the_status_is_seen_at_once(there: Place) -> None:
    """While the job runs, by who asks elsewhere."""
    (there.location / "procs" / "telling.py").write_text(
        "import os, time\nfrom ramify.compat.cgkit import JobProc\n\n"
        "class telling(JobProc):\n    def run(self):\n        self.setStatusLine('telling')\n"
        f"        while not os.path.exists({str(there.location / 'go')!r}): time.sleep(0.01)\n"
    )
    job = there.one("telling")
    runner = threading.Thread(target=there.queue.runNextAvailableJob)
    runner.start()

    end = time.monotonic() + 20
    while job.statusLine != "telling":
        assert time.monotonic() < end
        time.sleep(0.01)
    seen = job.isRunning()
    (there.location / "go").touch()
    runner.join()

    assert seen


def test_r5_64_an_error_without_an_exception(there: Place) -> None:
    job = there.one("wrong")
    there.run()

    assert (job.isFinished(), job.hasError(), Path(job.procTracebackFile).exists()) == (True, True, False)


def test_r5_65_66_67_and_69_a_command_is_run(there: Place) -> None:
    """Its exit code comes back; all its lines, from 1, are delivered in order and kept in the job's files."""
    job = there.one("shell", cmd="for i in 1 2 3; do echo out $i; done; sleep 0.1; echo err >&2; echo end; exit 3")
    there.run()

    assert not job.hasError()
    [noted] = there.noted()
    heard = [(1, "out 1\n"), (2, "out 2\n"), (3, "out 3\n"), (4, "end\n")]
    status, _, shown = noted.partition(" ")
    assert status == "3"
    assert [pair for pair in eval(shown) if pair[0] > 0] == heard
    assert (-1, "err\n") in eval(shown)
    assert Path(job.stdoutFile).read_text() == "out 1\nout 2\nout 3\nend\n"
    assert Path(job.stderrFile).read_text() == "err\n"


def test_r5_68_a_callback_that_raises_is_not_called_again(there: Place) -> None:
    """The command goes on, and the traceback stands in the job's errors."""
    job = there.one("shell", cmd="echo 1; echo 2; echo 3", stumble=2)
    there.run()

    assert not job.hasError()
    assert "(3," not in there.noted()[0]
    assert "ValueError: stumbled" in Path(job.stderrFile).read_text()
    assert Path(job.stdoutFile).read_text() == "1\n2\n3\n"


@pytest.mark.slow
def test_r5_70_a_job_runs_in_its_directory(there: Place) -> None:
    """A worker's process goes there; a program that runs jobs itself stays where it is."""
    jobs = [there.one("show"), there.one("show")]
    there.queue.runNextAvailableJob()
    there.work()

    [here, worked] = [line.split() for line in there.noted()]
    assert here == [jobs[0].runningDir, os.getcwd(), str(os.getpid())]
    assert worked[:2] == [jobs[1].runningDir, jobs[1].runningDir]
    assert int(worked[2]) != os.getpid()


def test_r5_71_a_procedure_is_a_class_in_a_module_of_its_name(there: Place) -> None:
    (there.location / "procs" / "other.py").write_text("class another: pass\n")

    with pytest.raises(ValueError, match="no class 'other'"):
        there.queue.createJob("other")
    assert issubclass(there.queue._require_place()._load("note"), JobProc)


def test_r5_72_what_a_lost_process_ran_is_run_again(there: Place) -> None:
    """The original leaves it running for ever."""
    job = there.one("note", word="x")
    app = connect.connect(there.queue._require_place().store)
    app.tasks = type(app.tasks)(["ramify.compat.cgkit.run"])
    assert app.claim([there.name]) is not None

    for session in app.store.info().sessions:  # as when the lease of a dead process ends
        app.store.leave(session.id)
    there.run()

    assert there.noted() == ["x"]
    assert job.isFinished()


def test_procedures_that_others_may_have_written_do_not_run(there: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """Unless the queue is named as one to be trusted."""
    (there.location / "procs" / "note.py").chmod(0o666)

    with pytest.raises(BadTask, match="RAMIFY_PROCS="):
        there.queue.createJob("note", word="x")

    monkeypatch.setenv("RAMIFY_PROCS", str(there.location))
    there.one("note", word="x")
    assert there.run() == 1


@pytest.mark.parametrize("keep", [False, True])
def test_jobs_may_be_kept_in_a_repository(place: Path, keep: bool) -> None:
    """With links where they belong."""
    createJobQueue(str(place / "kept"), keepJobsInRepository=keep)
    queue = JobQueue(str(place / "kept"))
    root = queue.createJobRoot()
    sub = root.createJob("dumpenv")
    root.activate()

    assert sub.location == f"{root.location}/{'.jobs/j1' if keep else 'job0'}"
    assert (Path(root.location) / "job0").is_file() == keep
    assert queue.runNextAvailableJob()
    assert queue.listJobs()[0].listSubJobs()[0].location == sub.location
    connect.connect(queue._require_place().store).close()
    connect._open.cache_clear()
