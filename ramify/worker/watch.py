"""What a worker tells of each run, once the store has taken its outcome, and to whom.

Those who watch are functions of one argument, called in the supervisor: they should be quick. What they raise is logged
and changes nothing.
"""

import logging
import time
from collections.abc import Callable, Sequence
from importlib import import_module
from typing import TypeAlias

from msgspec import Struct

from ramify.errors import BadSettings
from ramify.model import Again, Ended, Failure, JobId, Outcome, Row

_log = logging.getLogger("ramify.worker")


class Run(Struct, frozen=True):
    """One run of a job. `outcome` is `done`, `failed` or `cancelled`; `again`, if the job is tried again; or `grown`,
    if its body is over and it waits for jobs that it added. `seconds` are 0 if its process died. `ended` is seconds
    since 1970 by this host's clock.
    """

    job: JobId
    tree: JobId
    parent: JobId | None
    task: str
    queue: str
    label: str | None
    attempt: int
    outcome: str
    seconds: float
    ended: float
    failure: Failure | None = None


Watch: TypeAlias = Callable[[Run], None]


class Watchers:
    """Those who are told of runs, and the runs whose outcome the store has not taken yet."""

    def __init__(self, watches: Sequence[Watch]) -> None:
        self._watches = watches
        self._runs: dict[JobId, tuple[Row, float]] = {}

    def note(self, row: Row, seconds: float) -> None:
        """Remember a run that is over."""
        if self._watches:
            self._runs[row.id] = (row, seconds)

    def tell(self, outcomes: Sequence[Outcome], refused: Callable[[JobId], str | None]) -> None:
        """Tell of the runs whose outcomes the store has taken; `refused` says why it did not take one, else None."""
        if not self._runs:
            return
        now = time.time()
        for outcome in outcomes:
            why = refused(outcome.job)
            if why not in (None, "lost"):  # it will be reported anew
                continue
            row, seconds = self._runs.pop(outcome.job, (None, 0.0))
            if row is not None and why is None:
                self._tell(_make_run(row, outcome, seconds, now))

    def forget(self) -> None:
        """Forget all runs; they belong to another worker now."""
        self._runs.clear()

    def _tell(self, run: Run) -> None:
        for watch in self._watches:
            try:
                watch(run)
            except Exception:  # noqa: BLE001 -- the user's function
                _log.exception("a function that watches runs failed at job %s", run.job)


def _make_run(row: Row, outcome: Outcome, seconds: float, now: float) -> Run:
    how = "grown"
    if isinstance(outcome, Ended):
        how = outcome.state.value
    elif isinstance(outcome, Again):
        how = "again"
    lane, failure = row.lane, getattr(outcome, "failure", None)
    own = (row.id, row.tree, row.parent, lane.task or "", lane.queue, row.label, outcome.attempt)
    return Run(*own, how, seconds, now, failure)


def find_watch(name: str) -> Watch:
    """Return the function that `module:function` names. Raise `BadSettings` if there is none."""
    module, _, function = name.partition(":")
    try:
        found = getattr(import_module(module), function)
    except (ImportError, AttributeError, ValueError) as error:
        raise BadSettings(f"watch names no function: {name!r} ({error}); write 'module:function'") from None
    if not callable(found):
        raise BadSettings(f"watch names no function: {name!r} is {found!r:.80}")
    watch: Watch = found
    return watch
