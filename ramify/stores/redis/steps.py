"""Steps: taking the lock, reading ahead, writing all at once, and doing large ones in slices."""

import secrets
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any, Final

from ramify.errors import StoreDown
from ramify.graph.fit import serves
from ramify.model import Outcome, SessionId, Want
from ramify.stores.engine import Engine
from ramify.stores.lifelines import Lifelines, private_folder
from ramify.stores.protocol import SLICE
from ramify.stores.redis.link import Word
from ramify.stores.redis.records import read_limit, word
from ramify.stores.redis.scripts import SCRIPTS
from ramify.stores.redis.server import Server, pairs, read_lanes
from ramify.stores.redis.tables import RedisTables
from ramify.stores.redis.transaction import Transaction
from ramify.stores.tables import Tables

MOST: Final = 12_000
"""Words in one script: it takes some 5 ms. What has more is put aside first and then done in slices."""

SLICE_WORDS: Final = 4000
"""About how many words of it are done at once."""

AHEAD: Final = 2000
"""How many edges are read ahead."""

LANES: Final = 100
"""How many lanes are looked into ahead; more are looked into as they are needed."""


class Steps(Server, Engine):
    """The engine's steps on a server: `open` and `commit`, and Python between them."""

    def __init__(self, url: str, clock: Callable[[], float] | None) -> None:
        self._clock = clock
        self._lifelines = Lifelines(private_folder() / "sessions")
        self._ahead: list[Word] = []
        self._unlimited = True
        """Whether there was no limit when last a step began."""
        super().__init__(url)

    @contextmanager
    def _write(self, durable: bool = True) -> Iterator[Tables]:
        with self._lock:
            token = secrets.token_hex(8)
            tables = self._open(token)
            try:
                yield tables
                tables.flush()
            except BaseException:
                self._close(token)
                raise
            self._commit(token, tables.transaction, durable)
            self._publish(sorted(tables.woken), tables.speaker)

    def _open(self, token: str) -> RedisTables:
        ahead: list[Word]
        ahead, self._ahead = self._ahead or ["", 0, -1, 0, 0], []
        while True:
            reply = self._again(
                lambda: self._run("open", token, self.patience, len(self._lanes), self.slice, AHEAD, *ahead)
            )
            if reply[0] == b"open":
                return self._begin(token, reply, ahead)
            if reply[0] == b"redo":
                self._redo(token)
            else:
                # A little more than its holder may take; whoever ends a step wakes the next in line.
                patience = f"{max(0.05, min(reply[1] / 1000 + 0.01, 0.5)):.3f}"
                self._link.call("BLPOP", f"{self._prefix}turn:{token}", patience)

    def _begin(self, token: str, reply: list[Any], ahead: Sequence[Word]) -> RedisTables:
        """Return the tables of a step, knowing what was read ahead."""
        _, written, now, lanes, limits, counts, first, last, purging, due, *more = reply
        self._count_up(written)
        self._heard = time.monotonic()
        if lanes:
            self._lanes.learn(read_lanes(lanes))
        transaction = Transaction(partial(self._ask_in_step, token), partial(self._pulse, token))
        tables = RedisTables(transaction, self._lanes, self._clock() if self._clock else float(now), self._lifelines)
        self._unlimited = not limits
        tables.learn_limits({name.decode(): read_limit(rule) for name, rule in pairs(limits)})
        tables.learn_counts({name.decode(): int(n) for name, n in pairs(counts)})
        tables.last_entry = float(last[1]) if last else 0.0
        transaction.learn_lowest("order", first, not first)
        transaction.learn_lowest("purge", purging, len(purging) < 2000)
        transaction.learn_lowest("due", due, not due)
        if more:
            session = tables.speaker = str(ahead[0])
            tables.alive = session if more[0] is not None else None
            transaction.learn_group("cancel", word(session), more[1], True)
        if more[2:]:
            self._learn(transaction, more[2:], ahead)
        return tables

    def _learn(self, transaction: Transaction, read: list[Any], ahead: Sequence[Word]) -> None:
        rows, records, outs, edges, found, doomed, heads, ready, payloads, slots, results = read
        own = int(ahead[3])
        ids, lanes = [str(id) for id in ahead[4 : 4 + own]], ahead[5 + own :]
        names = [id.decode() for id in ready]
        transaction.learn("job", [id.decode() for id in rows], records)
        transaction.learn("edge", [key.decode() for key in edges], found)
        transaction.learn("payload", names, payloads)
        transaction.learn("slots", names, slots)
        transaction.learn("result", ids[: len(results)], results)
        left = AHEAD
        for id, members in zip(ids, outs, strict=False):
            transaction.learn_group("out", id, members, len(members) < min(self.slice + 1, left))
            left -= len(members)
        transaction.learn_lowest("ends", doomed, len(doomed) < 2 * int(ahead[1]))
        for lane, most, head in zip(lanes[::2], lanes[1::2], heads, strict=True):
            transaction.learn_lowest(f"ready:{int(lane)}", head, len(head) < 2 * int(most))

    def _commit(self, token: str, transaction: Transaction, durable: bool) -> None:
        commands: list[list[Word]] = []
        for command in transaction.commands():
            transaction.pulse()
            commands.append(command)
        counted = list(transaction.counted())
        if not commands and not counted:
            self._close(token)
        elif sum(map(len, commands)) <= MOST:
            self._count_up(self._check(self._run("commit", token, *flat(commands + counted), durable=durable)))
        else:
            self._decide(token, self._stage(token, in_slices(commands)), counted, durable)

    def _stage(self, token: str, slices: Iterable[Sequence[Word]]) -> int:
        """Put aside slices of a step; return how many words they are."""
        there, self._link.unheard = 0, None
        for words in slices:
            # The first is waited for, so the server has the script; what became of the rest is seen by who decides.
            stage = self._link.tell_script if there else self._link.run
            own = (self._generation, self._written, token, self.patience, there, len(words))
            stage("stage", self._meta, self._prefix, *own, *words)
            there += 1 + len(words)
        return there

    def _decide(self, token: str, staged: int, counted: Sequence[Sequence[Word]], durable: bool) -> None:
        """Say that what was put aside is to be done, do it, and end the step."""
        reply = self._run("decide", token, staged, *flat(counted), durable=durable)
        if reply[0] == b"short":
            self._close(token)
            raise self._link.why_unheard("a part of a large step was lost on its way; it was never there")
        self._count_up(self._check(reply))
        self._redo(token)
        self._close(token)

    def _redo(self, token: str) -> None:
        """Do what was decided, by us or by somebody who died of it."""
        while self._check(self._run("redo", token, self.patience)):
            pass

    def _check(self, reply: list[Any]) -> int:
        if reply[0] == b"late":
            raise StoreDown(f"a step took longer than {self.patience / 1000:g} s and was given up; it was never there")
        return int(reply[1])

    def _close(self, token: str) -> None:
        self._link.tell("EVAL", SCRIPTS["close"], 1, self._meta, self._prefix, self._generation, self._written, token)

    def _publish(self, channels: Iterable[str], speaker: SessionId = "") -> None:
        for channel in channels:
            self._link.tell("PUBLISH", self._prefix + channel, speaker)

    def _look_ahead(self, session: SessionId, outcomes: Sequence[Outcome], want: Want) -> None:
        """Have the next step, an exchange, read at its beginning what it will ask for."""
        lanes: list[Word] = []
        rank = {queue: number for number, queue in enumerate(want.queues)}
        if want.n > 0:
            served = [(rank[lane.queue], number) for number, lane in self._lanes.items() if serves(want, lane)]
            others = self._lanes.keys() - {number for _, number in served}
            for _, number in sorted(served)[:LANES]:
                lanes += (number, want.n)
            for number in sorted(others)[: LANES - len(served)] if len(served) < LANES else ():
                lanes += (number, 1)
        ids = list(dict.fromkeys(outcome.job for outcome in outcomes))[:SLICE]
        self._ahead = [session, min(want.ends, SLICE), min(want.n, SLICE), len(ids), *ids, len(lanes) // 2, *lanes]


def in_slices(commands: Iterable[Sequence[Word]]) -> Iterator[list[Word]]:
    """Yield commands in slices, as they are put aside."""
    words: list[Word] = ["rest"]
    for command in commands:
        words += (len(command), *command)
        if len(words) > SLICE_WORDS:
            yield words
            words = ["rest"]
    if len(words) > 1:
        yield words


def flat(commands: Sequence[Sequence[Word]]) -> list[Word]:
    """Return the words of commands, each after their number."""
    words: list[Word] = []
    for command in commands:
        words.append(len(command))
        words += command
    return words
