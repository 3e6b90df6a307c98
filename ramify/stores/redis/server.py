"""The server as a store meets it: what the store there is, whether anything was lost, and scripts and questions."""

import secrets
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any, Final

from ramify.errors import BadStore, NewerSchema, StoreDown
from ramify.model import Lane
from ramify.stores.redis.address import read_address
from ramify.stores.redis.lanes import Lanes
from ramify.stores.redis.link import Link, Word
from ramify.stores.redis.persistence import Persistence, read_persistence
from ramify.stores.redis.records import FORMAT, lane_text, read_lane

PATIENCE: Final = 5000
"""Milliseconds after which a step of which nothing is heard is not waited for any more."""


class Restored(StoreDown):
    """The server was restored or emptied meanwhile; the same call may be repeated."""


class Server:
    """Two connections to a server, one for those who change something and one for those who look."""

    def __init__(self, url: str) -> None:
        self._address = read_address(url)
        self._prefix = "{" + self._address.prefix + "}:"
        self._meta = self._prefix + "meta"
        self._lock = threading.RLock()
        self._link = Link(self._address, self._greet)
        # Who reads must not keep a step waiting, nor the other way round: steps and looks have a connection each.
        self._looking, self._view = threading.RLock(), Link(self._address, self._greet_view)
        self._lanes = Lanes(self._name_lanes)
        self._generation, self._written, self._restored = "", 0, ""
        self._server: Persistence | None = None
        self.patience = PATIENCE
        self._heard = 0.0
        with self._lock:
            self._link.connect()

    def _greet(self) -> None:
        """Look at a server that was just connected to: whether it is fit, and remembers what it has told us."""
        # A connection that breaks here is made and greeted anew inside; what that one learned is no loss of ours.
        before, known, written = self._server, self._generation, self._written
        self._server = server = read_persistence(self._link, self._address.durability)
        began = self._meet()
        if known == self._generation and (self._written < written or (server != before and began < written)):
            self._drop_leases(known)
        elif known == self._generation:
            self._written = max(written, self._written)

    def _greet_view(self) -> None:
        """Lanes may have other numbers on a server that was just connected to."""
        with self._lock:
            self._link.connect()
            self._meet()

    def _meet(self) -> int:
        """Learn the generation and how much was written; return how much this run of the server began with."""
        reply = self._link.run("hello", self._meta, self._prefix, "", 0, FORMAT, secrets.token_hex(8))
        generation, form, written, began, restored = [(value or b"").decode() for value in reply]
        if int(form) > FORMAT:
            raise NewerSchema(f"{self._link.shown} was written by a newer ramify; upgrade this one")
        if int(form) < FORMAT:
            raise BadStore(
                f"{self._link.shown}: what has the prefix {self._address.prefix!r} was written before the first "
                "release of ramify and cannot be read; choose another one with ?prefix="
            )
        if generation != self._generation:
            self._lanes.forget()
        self._generation, self._written, self._restored = generation, int(written), restored
        return int(began or 0)

    def _drop_leases(self, generation: str) -> None:
        """Declare all sessions dead: who began again may not know what they have done."""
        self._link.run("restored", self._meta, self._prefix, generation, 0, secrets.token_hex(8))
        self._meet()

    def _run(self, script: str, *words: Word, durable: bool = False) -> Any:
        """Run a script; raise `Restored` if the store is not the one that we knew."""
        self._link.connect()
        after: list[Word] = ["WAITAOF", 1, 0, 5000] if durable and self._server and self._server.waits else []
        reply = self._link.run(script, self._meta, self._prefix, self._generation, self._written, *words, after=after)
        if reply[0] in (b"generation", b"behind"):
            if reply[0] == b"behind":
                self._drop_leases(self._generation)
            else:
                self._meet()
            raise Restored
        return reply

    def _again(self, act: Callable[[], Any]) -> Any:
        """Do something that may be done from the start again when the store was restored."""
        for _ in range(3):
            with suppress(Restored):
                return act()
        return act()

    def _ask_in_step(self, token: str, commands: Sequence[Sequence[Word]]) -> list[Any]:
        self._pulse(token)
        return self._ask(commands)

    def _pulse(self, token: str) -> None:
        """Show now and then that a step which takes long is still on its way."""
        if time.monotonic() - self._heard > self.patience / 5000:
            self._run("keep", token, self.patience)
            self._heard = time.monotonic()

    def _ask(self, commands: Sequence[Sequence[Word]]) -> list[Any]:
        return self._link.calls(self._with_prefix(commands))

    def _look(self, commands: Sequence[Sequence[Word]]) -> list[Any]:
        return self._view.calls(self._with_prefix(commands))

    def _with_prefix(self, commands: Sequence[Sequence[Word]]) -> list[list[Word]]:
        return [[name, self._prefix + str(key), *rest] for name, key, *rest in commands]

    def _name_lanes(self, lanes: Sequence[Lane]) -> Mapping[int, Lane]:
        with self._lock:
            _, flat = self._run("lane", *[lane_text(lane) for lane in lanes])
            return read_lanes(flat)

    def _count_up(self, written: int) -> None:
        self._written = max(self._written, written)


def read_lanes(flat: Sequence[bytes]) -> dict[int, Lane]:
    """Return lanes by their numbers."""
    return {int(number): read_lane(text) for text, number in pairs(flat)}


def pairs(flat: Sequence[bytes]) -> Iterator[tuple[bytes, bytes]]:
    """Yield what a server lists in one row two by two."""
    return zip(flat[::2], flat[1::2], strict=True)
