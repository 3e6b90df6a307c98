"""One connection to the server: commands and scripts, errors in our words, and one more try on a fresh connection.

Every script may be repeated: `open` and `commit` know their token, `add` its job. So a connection that broke is made
anew once, at once; what comes after that is the caller's to wait out (`StoreDown`).
"""

import contextlib
import re
from collections.abc import Callable, Sequence
from typing import Any, Final, NoReturn

from hiredis import Reader, pack_command
from redis.exceptions import (
    AuthenticationError,
    AuthorizationError,
    NoPermissionError,
    NoScriptError,
    OutOfMemoryError,
    RedisError,
    ResponseError,
)
from redis.exceptions import ConnectionError as Disconnected
from redis.exceptions import TimeoutError as TimedOut

from ramify.errors import BadStore, RamifyError, StoreDown, StoreFull
from ramify.stores.redis.address import TIMEOUT, Address
from ramify.stores.redis.scripts import DIGESTS, SCRIPTS
from ramify.system import time_in_kernel

TEMPORARY: Final = re.compile(
    r"LOADING|READONLY|MASTERDOWN|MASTER is down|CLUSTERDOWN|TRYAGAIN|BUSY|UNBLOCKED|NOREPLICAS|loading|replica"
)
MOVED: Final = re.compile(r"(?:MOVED )?(\d+) (\S*):(\d+)$")
FORBIDDEN: Final = (AuthenticationError, AuthorizationError, NoPermissionError)
Word = str | bytes | int | float


class Link:
    """A connection that is there when it is needed. `greet` is called on every new one; not for several threads."""

    def __init__(self, address: Address, greet: Callable[[], None]) -> None:
        self._address, self._greet = address, greet
        self._connection: Any = None
        self._node: tuple[str, int] | None = None
        self._owed = 0
        self.unheard: ResponseError | None = None
        """What was last replied, as an error, to a command that was only told."""
        self._reader: Any = None
        self._buffer = bytearray(1 << 18)

    @property
    def shown(self) -> str:
        """How messages call the server."""
        return self._address.shown

    def call(self, *words: Word) -> Any:
        """Send one command and return the reply."""
        return self._calls([words])[0]

    def calls(self, commands: Sequence[Sequence[Word]]) -> list[Any]:
        """Send commands, all before the first reply is read; return the replies."""
        return self._calls(commands) if commands else []

    def run(self, script: str, key: str, *words: Word, after: Sequence[Word] = ()) -> Any:
        """Run a script and return the reply; `after` is a command that waits until it is kept."""
        more = [after] if after else []
        try:
            replies = self._calls([("EVALSHA", DIGESTS[script], 1, key, *words), *more])
        except NoScriptError:
            replies = self._calls([("EVAL", SCRIPTS[script], 1, key, *words), *more])
        if after and not (isinstance(replies[1], list) and replies[1][0] >= 1):
            raise StoreDown(f"{self.shown} did not get it onto its disk in time")
        return replies[0]

    def tell(self, *words: Word) -> None:
        """Send a command whose reply is of no interest and is not waited for."""
        if self._connection is not None:
            with contextlib.suppress(RedisError, OSError):
                self._send([words])
                self._owed += 1
                return
            self.drop()

    def tell_script(self, script: str, key: str, *words: Word) -> None:
        """Run a script that the server has, and do not wait for its reply."""
        self.tell("EVALSHA", DIGESTS[script], 1, key, *words)

    def why_unheard(self, otherwise: str) -> Exception:
        """Return why something that was only told did not happen, as far as that was said."""
        return StoreDown(otherwise) if self.unheard is None else self.translate(self.unheard)

    def connect(self) -> None:
        """Connect, if there is no connection, and greet."""
        if self._connection is not None:
            return
        try:
            self._connection = self._address.connect(self._node)
            self._connection.connect()
            time_in_kernel(self._connection._sock)  # Python would ask first, each time, whether it has to wait
            self._reader = Reader(replyError=self._connection._parser.parse_error)
            self._greet()
        except (RedisError, OSError) as error:
            self.drop()
            self._node = None  # what a node of a cluster said may be out of date by now
            self._raise(error)
        except BaseException:
            self.drop()
            raise

    def drop(self) -> None:
        """Let go of the connection."""
        connection, self._connection, self._owed = self._connection, None, 0
        if connection is not None:
            with contextlib.suppress(RedisError, OSError):
                connection.disconnect()

    def _calls(self, commands: Sequence[Sequence[Word]]) -> list[Any]:
        fresh = self._connection is None
        for again in (not fresh, False):
            self.connect()
            try:
                return self._ask(commands)
            except NoScriptError:
                raise
            except (Disconnected, TimedOut, OSError, ResponseError) as error:
                if not isinstance(error, ResponseError) or self._must_leave(error):
                    self.drop()
                moved = self._follow(error)
                if not moved and (not again or isinstance(error, (ResponseError, TimedOut))):
                    self._raise(error)
        raise StoreDown(f"{self.shown}: the cluster sends us from one node to the other")

    def _ask(self, commands: Sequence[Sequence[Word]]) -> list[Any]:
        self._send(commands)
        read = self._read
        while self._owed:
            try:
                read()
            except ResponseError as error:
                self.unheard = error
            self._owed -= 1
        replies: list[Any] = []
        failed: ResponseError | None = None
        for _ in commands:
            try:
                replies.append(read())
            except ResponseError as error:
                failed = failed or error
        if failed is not None:
            raise failed
        return replies

    # The driver makes connections and greets servers. Sending and reading by its general way takes 30 µs a command,
    # a third of what an addition takes in all; so that is done here.

    def _send(self, commands: Sequence[Sequence[Word]]) -> None:
        packed = b"".join([pack_command(tuple(words)) for words in commands])  # type: ignore[arg-type]
        try:
            self._connection._sock.sendall(packed)
        except (TimeoutError, BlockingIOError) as error:
            raise TimedOut(f"nothing was taken for {TIMEOUT:g} s") from error

    def _read(self) -> Any:
        """Return the next reply, or raise it if it is an error."""
        reader, buffer = self._reader, self._buffer
        while (reply := reader.gets()) is False:
            try:
                n = self._connection._sock.recv_into(buffer)
            except (TimeoutError, BlockingIOError) as error:
                raise TimedOut(f"no answer within {TIMEOUT:g} s") from error
            if not n:
                raise Disconnected("the server closed the connection")
            reader.feed(buffer, 0, n)
        if isinstance(reply, RedisError):
            raise reply
        return reply

    def _must_leave(self, error: ResponseError) -> bool:
        """Tell whether this server is not, or not any more, the one that writes."""
        return bool(re.match(r"READONLY|MASTERDOWN|UNBLOCKED", str(error))) or "read only" in str(error)

    def _follow(self, error: Exception) -> bool:
        """Connect to the node of a cluster that has our keys, if that is what the error says."""
        moved = MOVED.match(str(error)) if type(error).__name__ == "MovedError" else None
        if moved is None:
            return False
        self.drop()
        self._node = (moved[2], int(moved[3]))
        return True

    def _raise(self, error: Exception) -> NoReturn:
        translated = self.translate(error)
        raise translated from (None if translated is error else error)

    def translate(self, error: Exception) -> Exception:
        """Return an error of the driver or the system as ours, with the remedy."""
        text = str(error)
        if isinstance(error, RamifyError):
            return error
        if isinstance(error, OutOfMemoryError) or "OOM" in text:
            return StoreFull(f"{self.shown} has no memory left; free some (a purge works), and the same call succeeds")
        if text.startswith("MISCONF"):
            return StoreFull(f"{self.shown} cannot save to its disk and refuses writes; make room there: {text}")
        if isinstance(error, FORBIDDEN) or re.search(r"The user executing the script|has no permissions", text):
            return BadStore(f"{self.shown} does not let us: {text}; see docs/redis.md for the rights that are needed")
        if isinstance(error, (Disconnected, TimedOut, OSError)) or TEMPORARY.search(text):
            return StoreDown(f"{self.shown}: {text}")
        if "WRONGTYPE" in text:
            return BadStore(f"{self.shown}: keys with this prefix are another program's; choose one with ?prefix=")
        return error
