"""How much of ramify a reader must open to follow one job from `enqueue` to `done`.

The road is what stands on the call stack when the job is stored, claimed, run and ended. What these functions ask for
help (planner, codecs, locks, indexes) is beside it, and so is how a child process came to be.
"""

import inspect
from pathlib import Path

import ramify
from ramify import Ramify

HOME = Path(ramify.__file__).parent
MILESTONES = {
    "INSERT INTO job": "stored",
    "UPDATE job SET state = 'running'": "claimed",
    "UPDATE job SET state = 'done'": "ended",
}


def stack() -> list[str]:
    """Return the functions of ramify that stand on the stack, outermost first."""
    frames = [frame.frame.f_code for frame in inspect.stack(0)]
    ours = [code for code in reversed(frames) if Path(code.co_filename).is_relative_to(HOME)]
    return [f"{Path(code.co_filename).relative_to(HOME)}:{code.co_qualname}" for code in ours]


def look_around() -> list[str]:
    return stack()


def test_one_job_passes_at_most_15_functions(tmp_path: Path) -> None:
    """A reader follows a job from `enqueue` to its end through no more than 15 functions."""
    road: dict[str, list[str]] = {}

    def note(statement: str) -> None:
        for beginning, milestone in MILESTONES.items():
            if statement.startswith(beginning):
                road[milestone] = stack()

    with Ramify(f"sqlite:///{tmp_path}/jobs.db", tasks=[__name__]) as app:
        app.store._file.connection.set_trace_callback(note)  # type: ignore[attr-defined]

        job = app.enqueue(look_around)
        app.worker(children=1, burst=True).run()

        called = job.result()
    road["run"] = called[called.index("worker/child.py:Child.serve") :]
    functions = list(dict.fromkeys(name for part in ("stored", "claimed", "run", "ended") for name in road[part]))
    assert len(functions) <= 15, "\n".join(functions)
