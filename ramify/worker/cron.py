"""Tasks that run at certain times: any worker that serves one adds its next job, and each tick is taken once.

A clock in the store says up to which tick a task has been served; who moves it on adds the job in the same step.
"""

import logging
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from itertools import dropwhile, takewhile
from typing import Final
from zoneinfo import ZoneInfo

from cronsim import CronSim
from msgspec import Struct
from msgspec.structs import replace

from ramify.declared import Terms
from ramify.errors import Changed
from ramify.graph.plan import plan
from ramify.graph.sketch import Flat, sketch
from ramify.ids import make_ids
from ramify.known import Known
from ramify.model import TICK, Batch, Clock
from ramify.node import Node
from ramify.stores.now import StoreTime
from ramify.stores.protocol import Store
from ramify.system import clock
from ramify.task import terms_of
from ramify.tasks import Tasks

ON_TIME: Final = 60.0
"""A tick that is served within so many seconds was not missed."""

REPEATED: Final = 3 * 3600.0
"""More than clocks are ever put back at once."""

LOOK: Final = 600.0
"""So often it is looked where the clocks stand and what time it is, also when no tick has come."""

MOST: Final = 1000
"""So many missed ticks of a task are served in one step."""

_log = logging.getLogger("ramify.worker")


class _Schedule(Struct):
    """A task that runs by itself: its terms, where its clock stands, and when its next tick is."""

    task: str
    terms: Terms
    was: float | None = None
    next: float = 0.0


class Crontab:
    """The schedules of the tasks that are served here."""

    def __init__(self, store: Store, tasks: Tasks, known: Known, count: Callable[[], float] = clock) -> None:
        self._store, self._known, self._time = store, known, StoreTime(store, count)
        terms = {name: terms_of(tasks.find(name)) for name in sorted(tasks.current())}
        self._schedules = [_Schedule(name, each) for name, each in terms.items() if each.cron is not None]
        self._read = False

    def due_in(self) -> float | None:
        """Return in how many seconds the next tick is; None without schedules."""
        if not self._schedules:
            return None
        if not self._read:
            return 0.0
        next_tick = min(schedule.next for schedule in self._schedules)
        return max(0.0, min(next_tick - self._time.now(), LOOK - self._time.age()))

    def tick(self) -> None:
        """Add the jobs of all ticks whose time has come, by the store's clock, and that nobody else has served."""
        if not self._schedules:
            return
        self._look()
        now = self._time.now()
        for schedule in self._schedules:
            while schedule.next <= now:
                try:
                    self._serve(schedule, now)
                except Changed:  # somebody else did
                    self._look()

    def _look(self) -> None:
        """Read where the clocks stand, and what time it is."""
        clocks = self._time.read().clocks
        for schedule in self._schedules:
            was = schedule.was = clocks.get(_name(schedule))
            unknown = was is None or was > self._time.now() + REPEATED
            schedule.next = 0.0 if was is None or unknown else ticks_after(schedule.terms, was, None, 1)[0]
        self._read = True

    def _serve(self, schedule: _Schedule, now: float) -> None:
        was = schedule.was
        if was is not None and was > now + REPEATED:  # served by a host or a server whose clock was wrong
            then = datetime.fromtimestamp(was, UTC)
            _log.warning(
                "%s was served up to %s UTC, which is still to come: set back to now", schedule.task, f"{then:%F %T}"
            )
            was = None
        ticks = [] if was is None else ticks_due(schedule.terms, was, now)
        upto = ticks[-1] if ticks else now
        batch = self._plan(schedule, choose(schedule.terms.missed, ticks, now))
        batch.clock = Clock(_name(schedule), schedule.was, upto)
        self._store.add(batch)
        schedule.was = upto
        schedule.next = ticks_after(schedule.terms, upto, None, 1)[0]
        if batch.rows:
            _log.info("%s: %d by its schedule", schedule.task, len(batch.rows))

    def _plan(self, schedule: _Schedule, ticks: list[float]) -> Batch:
        """Return the jobs of these ticks, each a tree of its own, known by its tick."""
        whole, zone = Batch(), ZoneInfo(schedule.terms.tz)
        for tick in ticks:
            at = datetime.fromtimestamp(tick, zone)
            how = schedule.terms.how
            name = how.label or schedule.task.rpartition(":")[2]
            how = replace(how, label=f"{name} {at:%Y-%m-%d %H:%M}", marks=(f"{TICK}{schedule.task}/{tick:.0f}",))
            flats: list[Flat] = sketch([Node[object](schedule.task, (), None, (), how)])
            self._known.prepare(flats)
            batch = plan(flats, make_ids)
            whole.rows += batch.rows
            for facts in ("payloads", "delays", "marks", "unless"):
                getattr(whole, facts).update(getattr(batch, facts))
        return whole


def ticks_after(terms: Terms, after: float, upto: float | None, most: int) -> list[float]:
    """Return the times of a schedule after one time, at most `most`, and none beyond `upto`."""
    found: list[float] = []
    start = datetime.fromtimestamp(after, ZoneInfo(terms.tz))
    for tick in map(datetime.timestamp, CronSim(terms.cron or "", start)):
        if len(found) == most or (upto is not None and tick > upto):
            break
        if tick > after:  # in an hour that clocks repeat, it begins with the first of the two
            found.append(tick)
    return found or [(start + timedelta(days=36500)).timestamp()]


def ticks_due(terms: Terms, after: float, now: float) -> list[float]:
    """Return the ticks after one time that have come: at most `MOST` if all that were missed get a job, else those that
    are on time and the one before them, however many there were.
    """
    if terms.missed == "all":
        return ticks_after(terms, after, now, MOST)
    found: list[float] = []
    # Backwards from within an hour that clocks repeat, what came in the first of the two would be passed over.
    start = datetime.fromtimestamp(now + REPEATED, ZoneInfo(terms.tz))
    backwards = map(datetime.timestamp, CronSim(terms.cron or "", start, reverse=True))
    for tick in takewhile(lambda tick: tick > after, dropwhile(lambda tick: tick > now, backwards)):
        found.append(tick)
        if now - tick > ON_TIME:
            break
    return found[::-1]


def choose(missed: str, ticks: list[float], now: float) -> list[float]:
    """Return which of the ticks that have come get a job: what is on time, and of the others as `missed` says."""
    if missed == "all":
        return ticks
    on_time = [tick for tick in ticks if now - tick <= ON_TIME]
    return on_time if on_time or missed == "skip" else ticks[-1:]


def _name(schedule: _Schedule) -> str:
    return f"cron/{schedule.task}"
