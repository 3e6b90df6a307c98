"""What the tests of workers share: a place with a store, where work is added, run and looked at."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from ramify.graph.plan import plan
from ramify.graph.sketch import sketch
from ramify.ids import make_ids
from ramify.model import Failure, JobId, Policy, Result, Row, Which
from ramify.node import AnyNode, Node
from ramify.stores.gather import gather
from ramify.stores.open import open_store
from ramify.stores.protocol import Store
from ramify.worker.loop import Worker
from tests.urls import URLS

JOBS = "tests.worker.jobs"
PLAIN = Policy()


def call(name: str, *args: Any, policy: Policy = PLAIN, **kwargs: Any) -> AnyNode:
    """Return a node of one of the functions in `jobs.py`."""
    return Node(f"{JOBS}:{name}", args, kwargs).changed(policy=policy)


def group(*nodes: AnyNode) -> AnyNode:
    """Return a group of nodes."""
    return Node(None, children=nodes)


class Place:
    """A store and what is done with it."""

    def __init__(self, store: Store, url: str) -> None:
        self.store, self.url = store, url

    def add(self, node: AnyNode) -> JobId:
        """Store a tree; return its root."""
        batch = plan(sketch([node]), make_ids)
        self.store.add(batch)
        return batch.rows[-1].id

    def work(self, **options: Any) -> None:
        """Run a worker until nothing is left."""
        options = {"burst": True, "children": 1, **options}
        Worker(self.store, [JOBS], **options).run()

    def row(self, job: JobId) -> Row:
        """Return the row of a job."""
        return self.store.jobs(Which(ids=(job,)))[0]

    def left(self, job: JobId) -> Result:
        """Return what a job left."""
        return self.store.results([job])[0]

    def value(self, job: JobId) -> Any:
        """Return the result of a job that is done."""
        assert self.row(job).state == "done", (self.row(job), self.left(job).failure)
        return msgspec.json.decode(gather(self.store, [job])[job].json)

    def failure(self, job: JobId) -> Failure:
        """Return why a job failed."""
        failure = self.left(job).failure
        assert (self.row(job).state, failure is None) == ("failed", False)
        assert failure is not None
        return failure

    def run(self, node: AnyNode, **options: Any) -> JobId:
        """Store a tree and run a worker until nothing is left; return the root."""
        root = self.add(node)
        self.work(**options)
        return root


@pytest.fixture(params=URLS)
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    """A place with an empty store of each kind."""
    url = URLS[request.param](tmp_path)
    store = open_store(url)
    yield Place(store, url)
    store.close()
