"""Ends that are awaited on an event loop: one thread looks for all of them, so that a thousand awaits cost one.

Waiting in a thread is `wait_for` in `stores/read.py`. Here nothing blocks the loop, and what nobody awaits any more is
forgotten within a second.
"""

import asyncio
from collections.abc import AsyncIterator, Iterable
from typing import Final, TypeAlias
from weakref import WeakKeyDictionary

from ramify.errors import NotFound
from ramify.model import ENDED, JobId, Row
from ramify.stores.protocol import Store
from ramify.stores.read import LONGEST, SHORTEST, check_timeout, name_unfinished, read_rows, refuse_lonely

End: TypeAlias = "asyncio.Future[Row]"


async def each_end(store: Store, ids: Iterable[JobId], timeout: float | None) -> AsyncIterator[Row]:
    """Yield each of these jobs once, when it has ended. Raise `TimeoutError` naming what has not in time.

    Raise `NotFound` for an unknown job.
    """
    check_timeout(timeout)
    watch = _Watch.of(store)
    ends = {id: watch.expect(id) for id in ids}
    try:
        # What had ended before need not wait for the next look.
        watch.settle(await asyncio.to_thread(_find_ended, store, list(ends)))
        for end in asyncio.as_completed(ends.values(), timeout=timeout):
            try:
                row = await end
            except TimeoutError:
                left = await asyncio.to_thread(read_rows, store, [id for id, end in ends.items() if not end.done()])
                names = await asyncio.to_thread(name_unfinished, store, left.values())
                raise TimeoutError(f"after {timeout:g} s these have not ended: {names}") from None
            yield row
    finally:
        for end in ends.values():
            if not end.cancel() and not end.cancelled():
                end.exception()  # which is nobody's business any more


class _Watch:
    """What is awaited of one store on one event loop; it is over when nothing is left."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._awaited: dict[JobId, list[End]] = {}
        self._task: asyncio.Task[None] | None = None

    @staticmethod
    def of(store: Store) -> "_Watch":
        """Return the one of this store on the running loop."""
        watches = _watches.setdefault(asyncio.get_running_loop(), {})
        return watches.setdefault(store, _Watch(store))

    def expect(self, id: JobId) -> End:
        """Return what will be the job's row when it has ended. Who awaits it no longer cancels it."""
        end: End = asyncio.get_running_loop().create_future()
        self._awaited.setdefault(id, []).append(end)
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._run())
            self._task.add_done_callback(self._stop)
        return end

    def settle(self, ended: dict[JobId, Row | NotFound]) -> None:
        """Tell those who await these jobs."""
        for id, row in ended.items():
            for end in self._awaited.pop(id, ()):
                _settle(end, row)

    async def _run(self) -> None:
        pause = SHORTEST
        while self._awaited:
            ended = await asyncio.to_thread(self._look, list(self._awaited), pause)
            self.settle(ended)
            pause = SHORTEST if ended else min(LONGEST, pause * 1.5)
            self._awaited = {
                id: left for id, ends in self._awaited.items() if (left := [e for e in ends if not e.done()])
            }

    def _look(self, ids: list[JobId], pause: float) -> dict[JobId, Row | NotFound]:
        """Return what has ended; if nothing has, wait a little for it."""
        ended = _find_ended(self._store, ids)
        if not ended:
            if pause >= LONGEST:
                refuse_lonely(self._store)
            self._store.wait(None, pause)
        return ended

    def _stop(self, task: "asyncio.Task[None]") -> None:
        if task is not self._task:  # somebody came while it was ending, and began anew
            return
        _watches.get(task.get_loop(), {}).pop(self._store, None)
        error = None if task.cancelled() else task.exception()
        for end in [end for ends in self._awaited.values() for end in ends]:
            _settle(end, error)


# Whoever awaits on the same loop shares one of these; each goes as soon as nothing is awaited.
_watches: Final[WeakKeyDictionary[asyncio.AbstractEventLoop, dict[Store, _Watch]]] = WeakKeyDictionary()


def _find_ended(store: Store, ids: list[JobId]) -> dict[JobId, Row | NotFound]:
    rows = read_rows(store, ids)
    ended: dict[JobId, Row | NotFound] = {id: row for id, row in rows.items() if row.state in ENDED}
    return ended | {id: NotFound(f"job {id} is not stored (any more)") for id in ids if id not in rows}


def _settle(end: End, row: Row | BaseException | None) -> None:
    if end.done():
        return
    if row is None:
        end.cancel()
    elif isinstance(row, BaseException):
        end.set_exception(row)
    else:
        end.set_result(row)
