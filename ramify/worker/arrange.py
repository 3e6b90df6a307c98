"""What becomes of a claimed job before it runs: it may be too late for it, and what its task needs must have been done.

Policy only: it returns outcomes, which the desk reports. What needs mean is `graph/need.py`.
"""

import time
from collections.abc import Mapping

from msgspec.structs import replace

from ramify.codec import decode
from ramify.declared import Declaration, Need
from ramify.errors import BadArguments, BadNode, Lost, StoreDown
from ramify.graph.need import Wanted, find_loops, marks_for, resolve, say_impossible
from ramify.graph.plan import plan
from ramify.graph.sketch import sketch
from ramify.graph.walk import name_loop
from ramify.ids import made_at, make_ids
from ramify.known import Known, call_values, make_unique
from ramify.model import (
    Batch,
    Claim,
    Edge,
    Ended,
    Failure,
    Grown,
    JobId,
    Kind,
    Outcome,
    Refusal,
    Row,
    State,
    Step,
    Unless,
    Value,
)
from ramify.node import Node
from ramify.span import spell_time
from ramify.stores.protocol import Store
from ramify.task import terms_of
from ramify.tasks import Tasks
from ramify.worker.run import fill
from ramify.worker.trouble import explain

HIGHEST = 2**31 - 1


class Arranger:
    """Looks at each claimed job before it runs. `tasks` are those served here."""

    def __init__(self, store: Store, tasks: Tasks) -> None:
        self.known = Known(store, tasks.modules)
        self._needy = {name for name in tasks.names() if terms_of(tasks.find(name)).needs}
        self._loops: dict[str, str] = {}
        self._missing: dict[JobId, str] = {}

    def arrange(self, claim: Claim, results: Mapping[JobId, Value]) -> Outcome | None:
        """Return what is reported of the job instead of running it; None if it can run now.

        Whatever its arguments are, they are no trouble but its own.
        """
        row = claim.row
        if (late := find_late(claim)) is not None:
            return late
        if row.grown or row.lane.task not in self._needy:
            return None
        try:
            return self._add_needs(claim, results)
        except (BadArguments, BadNode) as error:
            return Ended(row.id, row.attempt, State.FAILED, failure=Failure("needs", str(error)))
        except (StoreDown, Lost):
            raise
        except Exception as error:  # noqa: BLE001 -- what is stored may be anything, and fails no job but this
            return Ended(row.id, row.attempt, State.FAILED, failure=explain(error, "needs"))

    def refused(self, job: JobId, refusal: Refusal) -> Failure:
        """Return why a job fails whose needs the store did not take."""
        return Failure("needs", self._missing.get(job) or f"it cannot wait for what it needs: {refusal.reason}")

    def _add_needs(self, claim: Claim, results: Mapping[JobId, Value]) -> Grown:
        row = claim.row
        task = row.lane.task or ""
        if loop := self._find_loop(task):
            raise BadNode(loop)
        declaration = self.known.find(task)
        args, kwargs = decode(claim.payload.args)
        for edge in claim.slots:
            for path in edge.slots or ():
                args = fill(args, kwargs, path, results.get(edge.before, Value()))
        own = call_values(task, declaration, args, kwargs, set())
        wanted = resolve(declaration.needs if declaration else (), own, self.known.find)
        self._missing.pop(row.id, None)
        batch = Batch(into=row.id)
        for place, each in enumerate(wanted, 1):
            if each.missing and row.id not in self._missing:
                self._missing[row.id] = say_impossible(task, each.task, each.missing)
            self._add(batch, each, row)
            batch.edges.append(Edge(row.id, -place, batch.rows[-1].id, Kind.AFTER))
        return Grown(row.id, row.attempt, batch, Step.RUN)

    def _add(self, batch: Batch, wanted: Wanted, row: Row) -> None:
        """Add the job that is wanted, unless there is one; it goes before the one that needs it."""
        declaration = self.known.find(wanted.task)
        assert declaration is not None  # or it would not have been resolved
        values = call_values(wanted.task, declaration, wanted.args, wanted.kwargs, set())
        marks = {wanted.mark, *marks_for(wanted.task, self.known.asked(wanted.task), values)}
        how = declaration.how
        if how.unique is not None:
            marks.add(make_unique(wanted.task, how, wanted.args, wanted.kwargs, values).mark)
        how = replace(
            how,
            queue=how.queue or row.lane.queue,
            priority=min(HIGHEST, row.priority + 1),
            delay=None,
            unique=None,
            marks=tuple(sorted(marks)),
            unless=Unless(wanted.mark, wanted.within, required=bool(wanted.missing)),
        )
        node = Node[object](wanted.task, tuple(wanted.args), wanted.kwargs or None, (), how)
        added = plan(sketch([node]), make_ids)
        batch.rows += added.rows
        batch.payloads |= added.payloads
        batch.marks |= added.marks
        batch.unless |= added.unless

    def _find_loop(self, task: str) -> str:
        """Return a sentence if the task needs itself in the end, by what is known here; empty if it does not."""
        if task not in self._loops:
            needs: dict[str, tuple[Need, ...]] = {}
            todo = [task]
            while todo:
                declaration: Declaration | None = self.known.find(name := todo.pop())
                needs[name] = declaration.needs if declaration else ()
                todo += [need.task for need in needs[name] if need.task not in needs]
            loops = find_loops(needs)
            self._loops[task] = f"these tasks need each other: {name_loop(loops[0], str)}" if loops else ""
        return self._loops[task]


def find_late(claim: Claim) -> Ended | None:
    """Return the end of a job that was claimed too late to begin; None if it was not, or if it had begun before.

    Asked of a job whose worker was lost, it tells whether that worker can have begun it.
    """
    row, policy = claim.row, claim.payload.policy
    times = [policy.start_before] if policy.start_before is not None else []
    if policy.start_within is not None:
        times.append(made_at(row.id) + policy.start_within)
    if not times or row.cancelled or row.tries or row.crashes or row.losses:
        return None
    claimed = time.time() if row.started is None else row.started
    if claimed <= min(times):
        return None
    late = f"nobody had begun it by {spell_time(min(times))}, its start_before"
    return Ended(row.id, row.attempt, State.SKIPPED, failure=Failure("late", late))
