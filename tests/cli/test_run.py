"""`ramify run`: a document runs, and says how it ended."""

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from ramify import Ramify
from tests.cli.conftest import environment, run, start


def write(document: object) -> str:
    Path("project.json").write_text(document if isinstance(document, str) else json.dumps(document))
    return "project.json"


def call(name: str, *args: object, **more: object) -> dict[str, object]:
    return {"func": f"chores:{name}", **({"args": args[0]} if args else {}), **more}


def test_json_runs_and_its_result_is_printed() -> None:
    """Only the result goes to stdout; functions are found in the working directory; nothing is left running."""
    first = {"blocking": True, "jobs": [call("double", 1), call("double", 2)]}
    reply = run("run", write({"jobs": [first, call("double", 3)]}), "-n", "1")

    assert (reply.code, json.loads(reply.out)) == (0, [[2, 4], 6])
    assert reply.err.splitlines(keepends=True)[-1] == "5 of 5 done\n"
    with Ramify("sqlite:///ramify.db") as app:
        assert app.counts() == {"done": 5}
        assert app.store.info().sessions == []


def test_toml_runs_on_the_store_that_is_named() -> None:
    """TOML says the same with fewer brackets; `--url` says where, `--tasks` what may run."""
    Path("project.toml").write_text('[[jobs]]\nfunc = "chores.double"\nkwargs = { x = 4 }\nqueue = "mail"\n')

    reply = run("run", "project.toml", "--url", "sqlite:///other.db", "--tasks", "chores", "-n", "1")

    assert (reply.code, json.loads(reply.out)) == (0, [8])
    assert Path("other.db").exists()


def test_a_failure_is_told_and_counts() -> None:
    """Status 1, the reason on stderr, nothing on stdout."""
    reply = run("run", write({"jobs": [call("double", 1), call("boom", label="go")]}), "-n", "1")

    assert (reply.code, reply.out) == (1, "")
    assert "failed: ValueError: no \\x1b[31m such thing" in reply.err.splitlines()[-1]


def test_other_jobs_that_may_run_meanwhile_are_mentioned() -> None:
    """The worker is one like any other, so it says that it does not stop at this tree."""
    with Ramify("sqlite:///ramify.db") as app:
        app.enqueue("chores:double", 1)
        app.enqueue("elsewhere:paint", 1)

    reply = run("run", write({"jobs": [call("double", 1), call("double", 2)]}), "-n", "1")

    assert "note: 1 other ready job of these modules may run meanwhile\n" in reply.err


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ({"jobs": [{"jobs": [call("double", 1, blokking=True)]}]}, "jobs[0].jobs[0]: unknown key 'blokking'; did you"),
        ({"jobs": [call("double", 1), {}]}, "jobs[1]: neither 'func' nor 'jobs'"),
        ({"jobs": [{"jobs": [call("nope")]}]}, "jobs[0].jobs[0]: chores:nope is not a function of the modules"),
        ({"jobs": [call("double", kwargs={"y": 1})]}, "jobs[0]: chores:double(x: int) -> int: missing a required"),
        ({"jobs": [{"func": "nowhere:f"}]}, "jobs[0]: there is no module 'nowhere' here"),
        ({"jobs": [{"func": "os:system", "args": "id"}]}, "jobs[0]: module 'os' lies elsewhere; allow it with --tasks"),
        ({"jobs": [{"func": "double"}]}, "jobs[0]: 'double' does not name a function"),
        ({"hold": True, "jobs": [call("double", 1)]}, "the project: 'hold' keeps all of it from running"),
        ([], "project.json: a project is an object with 'jobs', not a list"),
        ('{"jobs": [', "project.json: "),
    ],
)
def test_a_mistake_in_the_document_is_told_with_its_place(document: object, message: str) -> None:
    """Status 2, one line with the path to the mistake, and nothing is stored."""
    reply = run("run", write(document))

    assert (reply.code, reply.out) == (2, "")
    assert reply.err.startswith(f"ramify: {message}")
    assert reply.err.count("\n") == 1
    assert not Path("ramify.db").exists()


def test_a_file_that_is_not_there_is_named() -> None:
    """Status 2 and the name."""
    reply = run("run", "nix.json")

    assert (reply.code, reply.err) == (2, "ramify: nix.json: No such file or directory\n")


def test_allowing_a_module_does_not_allow_what_it_imports() -> None:
    """Only functions that are defined in the module may run."""
    reply = run("run", write({"jobs": [{"func": "os:system", "args": "id"}]}), "--tasks", "os")

    assert reply.code == 2
    assert "os:system is not a function" in reply.err


def test_an_interrupt_stops_cleanly_and_says_how_to_go_on() -> None:
    """After Ctrl-C the running job is finished, the rest stays in the store, and a worker goes on with it."""
    slow = call("wait_for", "flag", blocking=True)
    file = write({"jobs": [slow, call("double", 1)]})
    with start("run", file, "-n", "1") as process:
        wait_until(Path("flag.awaited").exists)
        process.send_signal(signal.SIGINT)
        assert process.stderr is not None
        lines = [process.stderr.readline(), process.stderr.readline()]
        Path("flag").touch()
        out, err = process.communicate(timeout=30)

    assert (process.returncode, out) == (130, "")
    assert "stopping; what runs is finished first" in "".join(lines)
    assert "`ramify worker chores --burst` goes on" in err
    with Ramify("sqlite:///ramify.db") as app:
        [tree] = app.jobs(roots=True)
        assert [tree.state, *(child.state for child in tree.children)] == ["waiting", "done", "ready"]
        again = run("worker", "chores", "--burst", "-n", "1")
        assert (again.code, tree.result(timeout=0)) == (0, ["it is there", 2])


HELD = """
import pathlib
import signal
import sys
import threading

from ramify import Ramify
from ramify.cli.live import run_live

looks = 0


def trace(frame, event, argument):
    return interrupt if frame.f_code.co_name == "__enter__" and "contextlib" in frame.f_code.co_filename else None


def interrupt(frame, event, argument):
    global looks
    if event == "return" and getattr(frame.f_locals["self"], "gen", trace).__name__ == "reading":
        looks += 1
        if looks == 30:
            sys.settrace(None)
            threading.Timer(1, pathlib.Path("flag").touch).start()
            signal.raise_signal(signal.SIGINT)
    return interrupt


with Ramify("sqlite:///held.db", tasks=["chores"]) as app:
    job = app.enqueue("chores:wait_for", "flag")
    sys.settrace(trace)
    try:
        print(run_live(app, job, children=1))
    except KeyboardInterrupt:
        print("stopped")
"""


def test_an_interrupt_in_the_middle_of_a_look_stops_as_cleanly() -> None:
    """The store is not left locked, however unlucky the moment."""
    done = subprocess.run(
        [sys.executable, "-c", HELD], env=environment(), capture_output=True, text=True, timeout=50, check=False
    )

    assert (done.returncode, done.stdout) == (0, "stopped\n"), done.stderr


def wait_until(is_so: object) -> None:
    import time

    end = time.monotonic() + 20
    while not is_so():  # type: ignore[operator]
        assert time.monotonic() < end
        time.sleep(0.01)
