"""How jobs end: the table of the documentation, line by line, for every two edges that a job can have.

The expected ends are written here a second time, in the words of the table and not of the code.
"""

from itertools import product

import pytest

from ramify.model import ENDED, Batch, Edge, Kind, Lane, Row, State, Step, Verb, When
from tests.stores.kit import Desk, leaf

ASKS = [(Kind.CHILD, When.DONE), *[(Kind.AFTER, when) for when in When]]
EDGES = [(kind, when, end) for kind, when in ASKS for end in sorted(ENDED)]
PAIRS = list(product(EDGES, EDGES))


def expected_end(*edges: tuple[Kind, When, State]) -> str:
    """Return the end that the table promises; `run` if the body runs."""
    asked = {When.DONE: {State.DONE}, When.FAILED: {State.FAILED}, When.ENDED: ENDED}
    children = {end for kind, _, end in edges if kind is Kind.CHILD}
    if any(kind is Kind.AFTER and end not in asked[when] for kind, when, end in edges):
        return "skipped"
    for end in ("failed", "cancelled", "skipped"):
        if end in children:
            return end
    return "run"


def add_predecessors(desk: Desk) -> None:
    """Add a job for each end."""
    desk.add(leaf("done"))
    desk.add(leaf("failed"))
    desk.add(leaf("cancelled").options(hold=True))
    desk.add(leaf("skipped").options(after=desk.ref("failed")))


def end_predecessors(desk: Desk) -> None:
    """Let each of them end as its name says."""
    desk.move(Verb.CANCEL, "cancelled")
    desk.run("done")
    desk.run("failed", state=State.FAILED)
    desk.drain()
    assert desk.claim(n=0, ends=1) == ["skipped"]
    desk.end("skipped")


def add_successors(desk: Desk, body: bool) -> None:
    """Add a job for each pair of edges."""
    for number, pair in enumerate(PAIRS):
        [id] = desk.names(1)
        edges, size = [], 0
        for place, (kind, when, end) in enumerate(pair):
            size += kind is Kind.CHILD
            edges.append(Edge(id, size - 1 if kind is Kind.CHILD else -1 - place, desk.ids[end], kind, when))
        row = Row(id, id, lane=Lane(task="m:t" if body else None), step=Step.RUN if body else Step.END, waits=2)
        row.size, row.last = size, next((edge.before for edge in reversed(edges) if edge.kind is Kind.CHILD), None)
        desk.ids[f"pair {number}"], desk.labels[id] = id, f"pair {number}"
        desk.store.add(Batch([row], edges))


@pytest.mark.parametrize("body", [True, False])
@pytest.mark.parametrize("late", [True, False])
def test_every_pair_of_edges_ends_as_the_table_says(desk: Desk, body: bool, late: bool) -> None:
    """Whether its predecessors end before or after a job is added, and with or without a body, it ends as promised."""
    add_predecessors(desk)
    if not late:
        end_predecessors(desk)
    add_successors(desk, body)
    if late:
        end_predecessors(desk)
    desk.drain()

    desk.claim()
    ran = {label for label, claim in desk.claims.items() if label.startswith("pair") and not claim.row.doomed}
    desk.end(*[label for label in desk.claims if label.startswith("pair")])

    promised = [expected_end(*pair) for pair in PAIRS]
    assert {f"pair {number}" for number, end in enumerate(promised) if body and end == "run"} == ran
    assert [desk.state(f"pair {number}") for number in range(len(PAIRS))] == [
        "done" if end == "run" else end for end in promised
    ]
