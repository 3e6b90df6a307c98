"""Short words for tests of one store without a desk."""

import os

from ramify.graph.plan import plan
from ramify.graph.sketch import sketch
from ramify.ids import make_ids
from ramify.model import Batch, Ended, Exchange, JobId, Session, State, Value, Want, Which
from ramify.node import AnyNode, Node
from ramify.stores.redis import Redis


def leaf(name: str = "f") -> AnyNode:
    """Describe one call."""
    return Node(f"m:{name}", ())


def group(*nodes: AnyNode) -> AnyNode:
    """Describe a group."""
    return Node(None, children=nodes)


def batch(node: AnyNode) -> Batch:
    """Plan a tree."""
    return plan(sketch([node]), make_ids)


def add(store: Redis, node: AnyNode | None = None) -> JobId:
    """Store a tree; return its root."""
    planned = batch(node or leaf())
    store.add(planned)
    return planned.rows[-1].id


def enter(store: Redis, session: str = "s") -> None:
    """Begin a session."""
    store.enter(Session(session, pid=os.getpid()))


def claim(store: Redis, n: int = 100, session: str = "s", ends: int = 100) -> Exchange:
    """Claim."""
    return store.exchange(session, [], Want(n, ends=ends))


def done(reply: Exchange) -> list[Ended]:
    """Return the ends of all that was claimed."""
    return [Ended(claim.row.id, claim.row.attempt, State.DONE, Value(b"1")) for claim in reply.claims]


def states(store: Redis) -> dict[JobId, str]:
    """Return the states of all jobs."""
    return {row.id: row.state.value for row in store.jobs(Which())}
