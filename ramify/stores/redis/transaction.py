"""What one step reads and writes: hashes and sorted sets as they will be once the step is kept.

Nothing is written before the end. What was read ahead or once is not asked for again: during a step nobody else
changes what it reads, but for new jobs, which it need not see.
"""

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Final

from ramify.stores.redis.link import Word

WORDS: Final = 1000
"""How many words a command may have: Lua cannot unpack many more than 7,000."""

GROUPED: Final = frozenset({"out", "tree", "held", "cancel", "mark", "name"})
"""The sorted sets of texts, whose first word groups them."""

Scored = tuple[float, str]


class Writes:
    """Commands that are collected; the last word on each field and each member counts."""

    def __init__(self) -> None:
        self.hashes: defaultdict[str, dict[str, bytes | str | None]] = defaultdict(dict)
        self.sorted: defaultdict[str, dict[str, float | None]] = defaultdict(dict)
        self.counts: defaultdict[tuple[str, str], int] = defaultdict(int)
        self.frees = False
        self.dropped: list[str] = []

    def put(self, key: str, field: str, value: bytes | str | None) -> None:
        """Set a field, or delete it."""
        self.hashes[key][field] = value

    def add(self, key: str, member: str, score: float = 0) -> None:
        """Put a member into a sorted set."""
        self.sorted[key][member] = score

    def remove(self, key: str, member: str) -> None:
        """Take a member out of a sorted set."""
        self.sorted[key][member] = None

    def count(self, key: str, field: str, n: int) -> None:
        """Add `n` to a field of a hash that counts."""
        self.counts[key, field] += n

    def commands(self) -> Iterator[list[Word]]:
        """Yield the commands that may be repeated, `key` being their second word.

        A server without memory refuses what needs some, but only while nothing has been written. So that comes first,
        and a step that frees memory (`frees`) begins with a removal of nothing.
        """
        if self.frees:
            yield ["ZREM", "line", ""]
        for key in self.dropped:
            yield ["UNLINK", key]
        yield from self._puts()
        yield from self._removals()

    def counted(self) -> Iterator[list[Word]]:
        """Yield the commands that count only once."""
        for (key, field), n in self.counts.items():
            if n:
                yield ["HINCRBY", key, field, n]

    def _puts(self) -> Iterator[list[Word]]:
        for key, fields in self.hashes.items():
            words: list[Word] = []
            for field, value in fields.items():
                if value is not None:
                    words += (field, value)
            yield from _commands("HSET", key, words)
        for key, members in self.sorted.items():
            words = []
            for member, score in members.items():
                if score is not None:
                    words += (repr(score), member)
            yield from _commands("ZADD", key, words)

    def _removals(self) -> Iterator[list[Word]]:
        for key, fields in self.hashes.items():
            yield from _commands("HDEL", key, [field for field, value in fields.items() if value is None])
        for key, members in self.sorted.items():
            yield from _commands("ZREM", key, [member for member, score in members.items() if score is None])


def _commands(name: str, key: str, words: Sequence[Word]) -> Iterator[list[Word]]:
    for start in range(0, len(words), WORDS):
        yield [name, key, *words[start : start + WORDS]]


class Transaction(Writes):
    """The writes of a step, and its view of the store through them. `ask` sends commands whose second word is a key.

    `pulse` is called now and then while the step goes on.
    """

    def __init__(
        self, ask: Callable[[Sequence[Sequence[Word]]], list[Any]], pulse: Callable[[], None] = lambda: None
    ) -> None:
        super().__init__()
        self._ask, self.pulse = ask, pulse
        self._read: defaultdict[str, dict[str, bytes | None]] = defaultdict(dict)
        self._ranges: dict[tuple[str, str], tuple[list[str], bool]] = {}
        self._lows: dict[str, tuple[list[Scored], bool]] = {}
        self._pending: defaultdict[tuple[str, str], dict[str, bool]] = defaultdict(dict)

    # Hashes

    def learn(self, key: str, fields: Iterable[str], values: Iterable[bytes | None]) -> None:
        """Remember what fields of a hash hold."""
        self._read[key].update(zip(fields, values, strict=True))

    def get(self, key: str, fields: Sequence[str]) -> list[Any]:
        """Return what fields of a hash hold, None for one that is not there."""
        written, read = self.hashes[key], self._read[key]
        missing = [field for field in fields if field not in written and field not in read]
        if missing:
            pages = [missing[start : start + 4 * WORDS] for start in range(0, len(missing), 4 * WORDS)]
            for page, values in zip(pages, self._ask([["HMGET", key, *page] for page in pages]), strict=True):
                read.update(zip(page, values, strict=True))
        return [written[field] if field in written else read[field] for field in fields]

    def knows(self, key: str, field: str) -> bool:
        """Tell whether what a field of a hash holds need not be read any more."""
        return field in self.hashes[key] or field in self._read[key]

    def counted_in(self, key: str, field: str) -> int:
        """Return what a field of a hash that counts holds."""
        [found] = self.get(key, [field])
        return int(found or 0) + self.counts.get((key, field), 0)

    def forget_count(self, key: str, field: str) -> None:
        """Delete a field of a hash that counts."""
        self.counts.pop((key, field), None)
        self.put(key, field, None)

    # Sorted sets of texts, whose first word groups them

    def add(self, key: str, member: str, score: float = 0) -> None:
        """Put a member into a sorted set."""
        self.sorted[key][member] = score
        if key in GROUPED:
            self._pending[key, member.partition(" ")[0]][member] = True

    def remove(self, key: str, member: str) -> None:
        """Take a member out of a sorted set."""
        self.sorted[key][member] = None
        if key in GROUPED:
            self._pending[key, member.partition(" ")[0]][member] = False

    def learn_group(self, key: str, word: str, members: Sequence[bytes], complete: bool) -> None:
        """Remember the first members that begin with a word, and whether these are all."""
        self._ranges[key, word] = ([member.decode() for member in members], complete)

    def read_groups(self, groups: Iterable[tuple[str, str]], n: int) -> None:
        """Read the first `n` members of these groups, as far as they are not known, at once."""
        missing = [group for group in groups if group not in self._ranges]
        asked: list[list[Word]] = [
            ["ZRANGEBYLEX", key, f"[{word} ", f"({word}!", "LIMIT", 0, n] for key, word in missing
        ]
        for (key, word), members in zip(missing, self._ask(asked), strict=True):
            self.learn_group(key, word, members, len(members) < n)

    def group(self, key: str, word: str, after: str | None, n: int) -> list[str]:
        """Return the first `n` members that begin with a word, in order, beyond one of them."""
        pending = self._pending.get((key, word), {})
        known, complete = self._ranges.get((key, word), ([], False))
        found = known if after is None else known[bisect_right(known, after) :]
        kept = [member for member in found if member not in pending] if pending else found
        if not complete and len(kept) < n:
            low = f"[{word} " if after is None else f"({after}"
            need = n + len(pending)
            [members] = self._ask([["ZRANGEBYLEX", key, low, f"({word}!", "LIMIT", 0, need]])
            found = [member.decode() for member in members]
            if after is None:
                self._ranges[key, word] = (found, len(found) < need)
            kept = [member for member in found if member not in pending]
        if pending:
            more = [member for member, there in pending.items() if there and (after is None or member > after)]
            kept = sorted([*kept, *more])
        return kept[:n]

    # Sorted sets by score

    def learn_lowest(self, key: str, pairs: Sequence[bytes], complete: bool) -> None:
        """Remember the first members by score, as the server lists them, and whether these are all."""
        self._lows[key] = (_scored(pairs), complete)

    def lowest(self, key: str, n: int) -> list[Scored]:
        """Return the first `n` members by (score, member)."""
        pending = self.sorted.get(key, {})
        found, complete = self._lows.get(key, ([], False))
        kept = [pair for pair in found if pair[1] not in pending] if pending else found
        if not complete and len(kept) < n:
            need = n + len(pending)
            [pairs] = self._ask([["ZRANGE", key, 0, need - 1, "WITHSCORES"]])
            found = _scored(pairs)
            self._lows[key] = (found, len(found) < need)
            kept = [pair for pair in found if pair[1] not in pending]
        if pending:
            kept = sorted([*kept, *[(score, member) for member, score in pending.items() if score is not None]])
        return kept[:n]

    def score(self, key: str, member: str) -> float | None:
        """Return the score of a member, None if it is not there."""
        if member in self.sorted.get(key, {}):
            return self.sorted[key][member]
        [found] = self._ask([["ZSCORE", key, member]])
        return None if found is None else float(found)

    def drop(self, keys: Sequence[str]) -> None:
        """Forget all that was read and written, and delete these keys."""
        for known in (self.hashes, self.sorted, self.counts, self._read, self._ranges, self._lows, self._pending):
            known.clear()
        self.dropped, self.frees = list(keys), True

    def ask(self, commands: Sequence[Sequence[Word]]) -> list[Any]:
        """Send reading commands, together; of what this step has written they know nothing."""
        return self._ask(commands)


def _scored(pairs: Sequence[bytes]) -> list[Scored]:
    return [(float(score), member.decode()) for member, score in zip(pairs[::2], pairs[1::2], strict=True)]
