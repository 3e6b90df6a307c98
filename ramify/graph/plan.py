"""From a sketch to a batch: rows and edges with ids, counters and positions.

This is where `blocking`, `previous`, `after`, holds and inheritance become edges and columns. Edges stay linear in
nodes: a group's own `after` reaches what stands in it through one gate (`gate.py`), and a barrier through the last
blocking sibling. A sketch is planned either as a tree of its own or `Into` a stored job.
"""

from collections.abc import Callable
from typing import Final

from msgspec import Struct

from ramify.errors import BadNode
from ramify.graph.gate import find_sites
from ramify.graph.order import check_order, drop_redundant
from ramify.graph.sketch import Before, Flat, Path
from ramify.model import Array, Batch, Edge, JobId, Kind, Lane, Payload, Row, Step, When
from ramify.node import PLAIN

NO_ARRAY: Final = Array()


class Into(Struct, frozen=True):
    """The stored job that gains children, and what they inherit from it."""

    job: JobId
    tree: JobId
    array: Array = NO_ARRAY
    queue: str = "default"
    priority: int = 0
    hold: JobId | None = None
    gates: tuple[tuple[JobId, When], ...] = ()


def plan(flats: list[Flat], make_ids: Callable[[int], list[JobId]], into: Into | None = None) -> Batch:
    """Return the batch that stores the sketch. Its last row is the root when there is no `into`.

    Raise `BadNode` or `Cycle` with the path to the mistake.
    """
    return _Planner(flats, into).run(make_ids)


class _Planner:
    """Works on numbers: those of the sketch, and above them one for each join that a gate needs."""

    def __init__(self, flats: list[Flat], into: Into | None) -> None:
        self.flats = flats
        self.into = into
        self.tops = [number for number, flat in enumerate(flats) if flat.parent < 0]
        self.after: list[dict[Before, When]] = [{} for _ in flats]
        self.slots: list[dict[Before, list[Path]]] = [{} for _ in flats]
        self.joins: list[tuple[int, dict[Before, When]]] = []
        self.array = into.array if into else NO_ARRAY

    def run(self, make_ids: Callable[[int], list[JobId]]) -> Batch:
        if any(flat.children and max(flat.children) >= number for number, flat in enumerate(self.flats)):
            raise BadNode("a sketch names children before their parents; this one was not made by `sketch`")
        for number, flat in enumerate(self.flats):
            for before, when in flat.after:
                self._demand(number, self.after[number], before, when)
            self._check(number, flat)
            for before, path in flat.slots:
                self.slots[number].setdefault(before, []).append(path)
            if flat.children:
                self._order_siblings(flat.children, NO_ARRAY, flat.how.series)
        if self.into:
            self.array = self._order_siblings(self.tops, self.array)
        drop_redundant(self.flats, self.after, self.slots)
        if any(self.after) or (self.into and self.into.gates):
            self._set_gates()
        for number, flat in enumerate(self.flats):
            if flat.how.unless and (flat.children or self.after[number] or self.slots[number]):
                raise BadNode(
                    f"{self.path(number)}: a job that may be replaced by an earlier one cannot wait for others"
                )
        return self._write(make_ids)

    def _check(self, number: int, flat: Flat) -> None:
        how = flat.how
        if flat.task is None and how.previous:
            raise BadNode(f"{self.path(number)}: a group without body takes no arguments, so it cannot take a result")
        for child in flat.children:
            if self.after[number].get(child) is When.FAILED:
                raise BadNode(f"{self.path(number)}: waits for its own child to fail, which would fail it as well")
            self.after[number].pop(child, None)

    def _demand(self, number: int, own: dict[Before, When], before: Before, when: When) -> None:
        """Ask for one more end; `ended` asks for nothing that `done` and `failed` do not."""
        asked = own.setdefault(before, when)
        if asked is When.ENDED:
            own[before] = when
        elif when not in (asked, When.ENDED):
            raise BadNode(f"{self.path(number)}: waits for the same job to be done and to fail, so it could never run")

    def _order_siblings(self, array: list[int], start: Array, series: bool = False) -> Array:
        """Add what `blocking`, `barrier`, `previous` and `series` ask for; return the array as it is then."""
        barrier: Before | None = start.barrier
        previous: Before | None = start.last
        since: list[Before] = []
        for number in array:
            how = self.flats[number].how
            if barrier is not None:
                self._order(number, barrier)
            if how.barrier:
                for earlier in since:
                    self._order(number, earlier)
                since = []
            if how.previous:
                if previous is None:
                    raise BadNode(
                        f"{self.path(number)}: the first of its array has no previous job whose result to take"
                    )
                self.slots[number].setdefault(previous, []).append(["*"])
            if series or how.blocking or how.barrier:
                barrier = number
            since.append(number)
            previous = number
        # Numbers become ids when the batch is written.
        return Array(start.size + len(array), previous, barrier)  # type: ignore[arg-type]

    def _order(self, number: int, earlier: Before) -> None:
        """Make a node wait for an earlier sibling, unless it is the same or the node itself says what it asks of it."""
        if earlier != number and earlier not in self.after[number]:
            self.after[number][earlier] = When.DONE

    def _set_gates(self) -> None:
        """Hold up what stands in a node, or beside it, with the node, from the top down."""
        n = len(self.flats)
        sites = find_sites(self.flats)
        taken = set(sites)
        gates: list[Before | None] = [None] * (2 * n + 1)
        for number in reversed(range(n)):
            own, above = self.after[number], gates[sites[number]]
            from_into = self.into.gates if self.into and sites[number] == 2 * n else ()
            for gate, when in from_into:
                self._demand(number, own, gate, when)
            if above is None and number not in taken and n + number not in taken:
                continue
            beside = inside = above
            if n + number in taken:
                named = {before for before, _ in self.flats[number].after} - {gate for gate, _ in from_into}
                ordered = {before: own.pop(before) for before in list(own) if before not in named}
                beside = inside = self._join(number, ordered, above) if ordered else above
            if number in taken and own:
                inside = self._join(number, own, beside)
                # Edges that carry results stay, and those from under a node, for a cancel goes that way.
                stays = self.slots[number].keys()
                own = {b: when for b, when in own.items() if b in stays or self._is_under(b, number)}
                own[inside] = When.DONE
                self.after[number] = own
            if beside is not None and (inside == beside or self._is_under(beside, number)):
                self._demand(number, own, beside, When.DONE)
            gates[n + number], gates[number] = beside, inside

    def _join(self, number: int, own: dict[Before, When], above: Before | None) -> Before:
        """Return the job whose being done stands for all of these and the gate above: one of them, or a new join."""
        if above is not None:
            self._demand(number, own, above, When.DONE)
        if list(own.values()) == [When.DONE]:
            return next(iter(own))
        self.joins.append((number, own))
        return len(self.flats) + len(self.joins) - 1

    def _is_under(self, before: Before, number: int) -> bool:
        if isinstance(before, str):
            return False
        n = len(self.flats)
        return number == (self.flats[before].parent if before < n else self.joins[before - n][0])

    def _write(self, make_ids: Callable[[int], list[JobId]]) -> Batch:
        ids = self._name(make_ids)
        check_order(self.flats, self.after, self.slots, self.joins, self.path)
        into = self.into
        tree = into.tree if into else ids[len(self.flats) - 1]
        batch = Batch(into=into.job if into else None)
        for number, flat in enumerate(self.flats):
            batch.rows.append(self._row(number, flat, ids, tree))
            self._add_facts(batch, ids[number], flat)
        for offset, (owner, own) in enumerate(self.joins):
            batch.rows.append(self._join_row(ids[len(self.flats) + offset], batch.rows[owner]))
            batch.edges += self._edges(len(self.flats) + offset, own, {}, [], ids)
        self._inherit(batch)
        for number, flat in enumerate(self.flats):
            batch.edges += self._edges(number, self.after[number], self.slots[number], flat.children, ids)
        counts: dict[JobId, int] = {}
        for edge in batch.edges:
            counts[edge.after] = counts.get(edge.after, 0) + 1
        for row in batch.rows:
            row.waits = counts.get(row.id, 0)
        if into:
            self._write_array(batch, into, ids)
        batch.rows.sort(key=lambda row: row.id)
        return batch

    def _name(self, make_ids: Callable[[int], list[JobId]]) -> list[JobId]:
        """Return the id of every number: a join comes right before the first of the subtree that it gates."""
        fresh = make_ids(len(self.flats) + len(self.joins))
        if not self.joins:
            return fresh
        first = list(range(len(self.flats)))
        for number, flat in enumerate(self.flats):
            if flat.parent >= 0:
                first[flat.parent] = min(first[flat.parent], first[number])
        firsts: dict[int, list[int]] = {}
        for offset, (owner, _) in enumerate(self.joins):
            firsts.setdefault(first[owner], []).append(len(self.flats) + offset)
        ids = [""] * len(fresh)
        supply = iter(fresh)
        for number in range(len(self.flats)):
            for join in firsts.get(number, ()):
                ids[join] = next(supply)
            ids[number] = next(supply)
        return ids

    def _row(self, number: int, flat: Flat, ids: list[JobId], tree: JobId) -> Row:
        how = flat.how
        parent = ids[flat.parent] if flat.parent >= 0 else self.into.job if self.into else None
        row = Row(ids[number], tree, parent, Lane("", flat.task, how.slot, how.units), 0, how.label)
        row.step = Step.RUN if flat.task else Step.END
        if how.hold:
            row.hold = row.id if how.hold is True else how.hold
        if flat.children:
            row.size, row.last = len(flat.children), ids[flat.children[-1]]
            row.barrier = next((ids[n] for n in reversed(flat.children) if how.series or self._blocks(n)), None)
        row.fast, row.limit, row.due = how.fast, how.limit, how.at
        return row

    def _blocks(self, number: int) -> bool:
        return self.flats[number].how.blocking or self.flats[number].how.barrier

    def _add_facts(self, batch: Batch, id: JobId, flat: Flat) -> None:
        how = flat.how
        if flat.task:
            batch.payloads[id] = Payload(flat.args, how.policy)
        if how.delay is not None:
            batch.delays[id] = how.delay
        if how.marks:
            batch.marks[id] = list(how.marks)
        if how.unless:
            batch.unless[id] = how.unless
        if isinstance(how.hold, str):
            batch.gates.append(how.hold)

    def _join_row(self, id: JobId, owner: Row) -> Row:
        return Row(id, owner.tree, owner.id, Lane(""), 0, None, owner.hold, Step.END)

    def _inherit(self, batch: Batch) -> None:
        """Pass holds, queues, priorities and times down, parents before children."""
        into = self.into
        rows = {row.id: row for row in batch.rows}
        options = [flat.how for flat in self.flats] + [PLAIN] * len(self.joins)
        downward = [*range(len(self.flats) - 1, -1, -1), *range(len(self.flats), len(options))]
        for number in downward:
            row, how = batch.rows[number], options[number]
            above = rows.get(row.parent or "")
            queue = above.lane.queue if above else into.queue if into else "default"
            priority = above.priority if above else into.priority if into else 0
            row.lane = Lane(how.queue or queue, row.lane.task, row.lane.slot, row.lane.units)
            row.priority = priority if how.priority is None else how.priority
            if row.hold is None:
                row.hold = above.hold if above else into.hold if into else None
            if above and row.due is None and row.id not in batch.delays:
                row.due = above.due
                if above.id in batch.delays:
                    batch.delays[row.id] = batch.delays[above.id]

    def _edges(
        self,
        number: int,
        own: dict[Before, When],
        slots: dict[Before, list[Path]],
        children: list[int],
        ids: list[JobId],
    ) -> list[Edge]:
        def name(before: Before) -> JobId:
            return before if isinstance(before, str) else ids[before]

        edges = [Edge(ids[number], place, ids[child], slots=slots.get(child)) for place, child in enumerate(children)]
        others = own if not slots else {**own, **{b: own.get(b, When.DONE) for b in slots if b not in set(children)}}
        for place, (before, when) in enumerate(others.items(), 1):
            edges.append(Edge(ids[number], -place, name(before), Kind.AFTER, when, slots.get(before)))
        return edges

    def _write_array(self, batch: Batch, into: Into, ids: list[JobId]) -> None:
        def name(before: Before | None) -> JobId | None:
            return ids[before] if isinstance(before, int) else before

        batch.planned_size = into.array.size
        batch.array = Array(self.array.size, name(self.array.last), name(self.array.barrier))
        for place, number in enumerate(self.tops, into.array.size):
            batch.edges.append(Edge(into.job, place, ids[number]))

    def path(self, number: int) -> str:
        """Return where a node stands, as `jobs[0].jobs[2]`."""
        parts: list[str] = []
        while number >= 0:
            parent = self.flats[number].parent
            array = self.flats[parent].children if parent >= 0 else self.tops if self.into else []
            if number in array:
                parts.append(f"jobs[{array.index(number)}]")
            elif parent >= 0:
                parts.append(f"({self.flats[number].task or 'group'}, an argument)")
            number = parent
        return ".".join(reversed(parts)) or "the root"
