"""What a running job may ask and say: `current()` inside the function that runs.

It collects; the runner that entered it hands on what was collected with the outcome, so nothing here knows a store.
"""

from collections.abc import Callable
from contextvars import ContextVar, Token
from typing import Final, NoReturn

from ramify.errors import BadNode, Fail, OutsideJob
from ramify.model import JobId
from ramify.node import AnyNode, Node


class Context:
    """The running job, as its function sees it.

    `spawned` and `siblings` are the nodes to add when the function returns. `report` takes percent and status, None
    for what stays as it is.
    """

    def __init__(
        self,
        job: JobId,
        tree: JobId,
        parent: JobId | None,
        attempt: int,
        is_cancelled: Callable[[], bool],
        report: Callable[[int | None, str | None], None],
    ) -> None:
        self.job, self.tree, self.parent, self.attempt = job, tree, parent, attempt
        self.spawned: list[AnyNode] = []
        self.siblings: list[AnyNode] = []
        self._is_cancelled, self._report = is_cancelled, report

    @property
    def key(self) -> str:
        """A name for this run of this job, never used again: give it to systems that drop repeated requests."""
        return f"{self.job}-{self.attempt}"

    @property
    def cancelled(self) -> bool:
        """Whether somebody cancelled the job: return soon, or be ended. What it returns still counts."""
        return self._is_cancelled()

    def spawn(self, *nodes: AnyNode) -> None:
        """Add children to this job when its function has returned; it is done when they are.

        Nothing is added if the function fails.
        """
        self.spawned += map(_check, nodes)

    def spawn_sibling(self, *nodes: AnyNode) -> None:
        """Add nodes to the end of the group this job is in; the same as `spawn` for a job without a group."""
        (self.siblings if self.parent is not None else self.spawned).extend(map(_check, nodes))

    def progress(self, done: float, total: float | None = None) -> None:
        """Say how much is done: of `total`, or percent."""
        share = done if total is None else 100 * done / total if total > 0 else 100
        self._report(round(min(100, max(0, share))), None)

    def status(self, text: str) -> None:
        """Say in a line what is being done; of a longer text the beginning counts."""
        self._report(None, str(text)[:1000].encode("utf-8", "replace").decode())

    def fail(self, reason: str) -> NoReturn:
        """End this job `failed`, without another try."""
        raise Fail(reason)


_running: Final[ContextVar[Context | None]] = ContextVar("ramify_running", default=None)


def current() -> Context:
    """Return the job that runs here. Raise `OutsideJob` if none does."""
    context = running()
    if context is None:
        raise OutsideJob()
    return context


def running() -> Context | None:
    """Return the job that runs here, or None outside of jobs."""
    return _running.get()


class entered:
    """Make this the current job for the body of a `with`."""

    __slots__ = ("_context", "_token")

    def __init__(self, context: Context) -> None:
        # Not a generator: this is done for every job, and takes a third of the time.
        self._context = context

    def __enter__(self) -> Context:
        self._token: Token[Context | None] = _running.set(self._context)
        return self._context

    def __exit__(self, *_: object) -> None:
        _running.reset(self._token)


def _check(node: object) -> AnyNode:
    if not isinstance(node, Node):
        raise BadNode(f"{node!r} is not a node; make one with job(function, …)")
    return node
