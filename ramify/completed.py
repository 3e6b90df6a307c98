"""`Completed`: jobs as they end, for `for` and for `async for`."""

from collections.abc import AsyncIterator, Collection, Iterator
from typing import Any, Generic, Self, TypeVar

from ramify.handle import Job
from ramify.stores.protocol import Store
from ramify.stores.read import wait_for

T = TypeVar("T")


class Completed(Generic[T]):
    """Yields each of some jobs when it has ended, well or not, in a loop of either kind."""

    def __init__(self, store: Store, jobs: Collection[Job[T]], timeout: float | None) -> None:
        self._store, self._jobs, self._timeout = store, {job.id: job for job in jobs}, timeout
        self._rows: Iterator[Any] | None = None
        self._ends: AsyncIterator[Any] | None = None

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Job[T]:
        if self._rows is None:
            self._rows = wait_for(self._store, list(self._jobs), self._timeout)
        return self._jobs[next(self._rows).id]

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Job[T]:
        from ramify.awaited import each_end  # loads asyncio

        if self._ends is None:
            self._ends = each_end(self._store, list(self._jobs), self._timeout)
        return self._jobs[(await anext(self._ends)).id]
