"""`await job`, `async for` and `async with`: what a program with an event loop does."""

import asyncio
import threading

import pytest

from ramify import JobFailed, NotFound, Ramify, State, WouldDeadlock, group, job
from ramify.ids import make_id
from tests.face.tasks import boom, double


def test_many_jobs_are_awaited_at_once(app: Ramify) -> None:
    """Awaiting a hundred jobs, the ones that end last before the others, needs no thread for each."""
    held = [app.enqueue(job(double, n).options(hold=True)) for n in range(50)]
    free = [app.enqueue(double, n) for n in range(50)]

    async def work() -> list[int]:
        first = [asyncio.ensure_future(wait(each)) for each in held]
        others = [asyncio.ensure_future(wait(each)) for each in free]
        await asyncio.to_thread(app.run_until_empty)
        await asyncio.gather(*others)
        for each in held:
            each.release()
        await asyncio.to_thread(app.run_until_empty)
        return await asyncio.gather(*first, *others)

    async def wait(stored: object) -> int:
        return await stored  # type: ignore[misc, no-any-return]

    assert asyncio.run(work()) == [2 * n for n in range(50)] * 2


def test_awaiting_may_be_given_up(app: Ramify) -> None:
    """A job that nobody awaits any more keeps no thread, so the program can end; another may still await it."""
    stored = app.enqueue(job(double, 1).options(hold=True))

    async def work() -> None:
        other = asyncio.ensure_future(asyncio.wait_for(stored, 30))
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(stored, 0.05)
        assert not other.done()
        stored.release()
        await asyncio.to_thread(app.run_until_empty)
        assert await other == 2

    async def give_up() -> None:
        endless = app.enqueue(job(double, 1).options(hold=True))
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(endless, 0.05)

    asyncio.run(work())
    asyncio.run(give_up())
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("asyncio")]


def test_await_raises_what_result_raises(app: Ramify) -> None:
    """A failed job and an unknown one, with the reason."""
    stored = app.enqueue(boom, "no such thing")
    app.run_until_empty()
    gone = app.enqueue(double, 1)
    gone.id = make_id()

    async def work() -> None:
        with pytest.raises(JobFailed, match="no such thing"):
            await stored
        with pytest.raises(NotFound, match=gone.id):
            await gone
        with pytest.raises(NotFound, match=gone.id):
            async for _ in app.as_completed([gone, stored]):
                pass

    asyncio.run(work())


def test_jobs_come_as_they_end(app: Ramify) -> None:
    """`async for` yields each job once, whatever its end, those that had ended first; so does `for`."""
    ended = app.enqueue(double, 1)
    app.run_until_empty()
    held = app.enqueue(job(double, 2).options(hold=True))
    bad = app.enqueue(boom, "x")

    async def work() -> list[object]:
        seen = []
        async for each in app.as_completed([held, bad, ended, ended]):
            seen.append(each)
            if len(seen) == 1:
                await asyncio.to_thread(app.run_until_empty)
            if len(seen) == 2:
                held.release()
                await asyncio.to_thread(app.run_until_empty)
        return seen

    assert asyncio.run(work()) == [ended, bad, held]
    assert set(app.as_completed([held, bad, ended])) == {held, bad, ended}
    assert held.state is State.DONE


def test_a_timeout_in_async_for_names_what_is_unfinished(app: Ramify) -> None:
    """What had ended comes first; then `TimeoutError` says what did not."""
    ended = app.enqueue(double, 1)
    app.run_until_empty()
    held = app.enqueue(job(double, 2).options(hold=True, label="the slow one"))

    async def work() -> None:
        seen = []
        with pytest.raises(TimeoutError, match=r"after 0\.05 s these have not ended: the slow one"):
            async for each in app.as_completed([held, ended], timeout=0.05):
                seen.append(each)
        assert seen == [ended]

    asyncio.run(work())


def test_the_loop_goes_on_meanwhile(app: Ramify) -> None:
    """Waiting, and closing the app, leave the loop to others."""

    async def work() -> tuple[list[int], int]:
        ticks = 0

        async def tick() -> None:
            nonlocal ticks
            while True:
                ticks += 1
                await asyncio.sleep(0)

        async with app:
            ticking = asyncio.ensure_future(tick())
            tree = app.enqueue(group(job(double, 1), job(double, 2)))
            result = asyncio.ensure_future(asyncio.wait_for(tree, 30))
            await asyncio.to_thread(app.run_until_empty)
            await result
            ticking.cancel()
            return result.result(), ticks

    result, ticks = asyncio.run(work())

    assert result == [2, 4]
    assert ticks > 3


@pytest.mark.slow
def test_nobody_at_work_is_told() -> None:
    """Awaiting a job in memory that nothing runs would be for ever: that is said instead."""

    async def work() -> None:
        async with Ramify("memory:", tasks=["tests.face.tasks"]) as app:
            with pytest.raises(WouldDeadlock, match=r"call app\.run_until_empty\(\)"):
                await app.enqueue(double, 1)

    asyncio.run(work())
