"""The two ends of the line between a supervisor and one child.

Calls go as one message per job through a socket whose receiving end the supervisor keeps too: what the child has not
begun is taken back by reading it from there, without the child's help and without a race. Each report is written at
once into a pipe, so a crash loses none; the child rings (a byte back through the socket) only when it has nothing left
to do or every few milliseconds, so the supervisor is not woken for each. What runs, and since when, and what is to be
cancelled, stands in shared memory.
"""

import mmap
import os
import select
import socket
import struct
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from time import monotonic
from typing import Final

import msgspec

from ramify.lines import Lines
from ramify.system import AT_ONCE, HAS_PACKETS, grow_pipe, set_blocking, socket_pair
from ramify.worker.call import Call, Message, decode_call, decode_message, encode_call, message_encoder
from ramify.worker.output import make_pipes, read_lines

MAX_MESSAGE: Final = 100_000
MAX_REPORT: Final = 1 << 28
"""No report is longer, so a length beyond it was written by a job that had no business there."""

RING_EVERY: Final = 0.004
_BUFFER: Final = 4 << 20
_PIPE: Final = 1 << 20
_LENGTH: Final = struct.Struct("<I")
_RUNNING: Final = struct.Struct("<Qd")
_COUNT: Final = struct.Struct("<Q")
_CANCELS: Final = 512
_GROUPS: Final = struct.Struct("<64i")
_ASIDE: Final = b"/"  # no message of msgpack that holds an array begins like this


class Board:
    """A page of memory that both sides see. Numbers of calls begin at 1; 0 is none."""

    SIZE: Final = _RUNNING.size + _COUNT.size + _CANCELS * _COUNT.size + _GROUPS.size

    def __init__(self, path: Path) -> None:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        os.truncate(descriptor, self.SIZE)
        self._memory = mmap.mmap(descriptor, self.SIZE)
        os.close(descriptor)

    def begin(self, number: int) -> None:
        """Note (in the child) that this call runs from now on; 0 when none does."""
        _RUNNING.pack_into(self._memory, 0, number, monotonic())

    def running(self) -> tuple[int, float]:
        """Return the call that runs and when it began, by the clock `time.monotonic`."""
        # The two numbers are not written in one step, so they count only if they are read twice alike.
        while True:
            first: tuple[int, float] = _RUNNING.unpack_from(self._memory)
            if first == _RUNNING.unpack_from(self._memory):
                return first

    def cancel(self, number: int) -> None:
        """Note (in the supervisor) that this call is to stop."""
        (count,) = _COUNT.unpack_from(self._memory, _RUNNING.size)
        _COUNT.pack_into(self._memory, _RUNNING.size + _COUNT.size * (1 + count % _CANCELS), number)
        _COUNT.pack_into(self._memory, _RUNNING.size, count + 1)

    def cancels(self) -> set[int]:
        """Return the calls that are to stop, as far as they are remembered."""
        (count,) = _COUNT.unpack_from(self._memory, _RUNNING.size)
        if not count:
            return set()
        return set(struct.unpack_from(f"<{min(count, _CANCELS)}Q", self._memory, _RUNNING.size + _COUNT.size))

    def own(self, group: int) -> None:
        """Note (in the child) that a job started this process group, which must not outlive the child."""
        self._change_groups(0, group)

    def disown(self, group: int) -> None:
        """Note (in the child) that this process group has ended."""
        self._change_groups(group, 0)

    def groups(self) -> list[int]:
        """Return the process groups that jobs started and that have not ended."""
        return read_groups(self._memory)

    def _change_groups(self, old: int, new: int) -> None:
        groups = list(_GROUPS.unpack_from(self._memory, self.SIZE - _GROUPS.size))
        if old in groups:  # else there are too many at once; those end with their own job only
            groups[groups.index(old)] = new
            _GROUPS.pack_into(self._memory, self.SIZE - _GROUPS.size, *groups)

    def close(self) -> None:
        """Let go of the memory."""
        self._memory.close()


def read_groups(board: bytes | mmap.mmap) -> list[int]:
    """Return the process groups that stand on a board."""
    return [group for group in _GROUPS.unpack_from(board, Board.SIZE - _GROUPS.size) if group > 0]


class SupervisorEnd:
    """What the supervisor holds of the line."""

    def __init__(self, directory: Path, name: str) -> None:
        self._sending, self.inbox = socket_pair()
        self._sending.setblocking(False)
        self._sending.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _BUFFER)
        self._reading, self.outbox = os.pipe()
        set_blocking(self._reading, False)
        grow_pipe(self._reading, _PIPE)
        self.output = make_pipes()
        self._directory, self.board_path = directory, directory / f"board-{name}"
        self.board = Board(self.board_path)
        self._rest = b""
        self.closed = False

    def filenos(self) -> list[int]:
        """Return what can be read when the child has something to say."""
        return [self._sending.fileno()] if HAS_PACKETS else [self._reading]

    def keeps(self) -> list[int]:
        """Return the descriptors that the child must inherit."""
        return [self.inbox.fileno(), self.outbox, *(end for pipe in self.output for end in pipe)]

    def started(self) -> None:
        """Let go of the child's ends of the pipes, now that the child has them."""
        os.close(self.outbox)
        self.outbox = -1
        for _, end in self.output:
            os.close(end)

    def last_words(self) -> Lines:
        """Return what the child, which is dead, wrote and could not read any more itself."""
        return read_lines([end for end, _ in self.output])

    def send(self, call: Call) -> bool:
        """Send a job to the child; return False if there is no room."""
        text = encode_call(call)
        if len(text) > MAX_MESSAGE:
            path = self._directory / f"call-{call.number}"
            path.write_bytes(text)
            text = os.fsencode(path)
        try:
            self._sending.send(text)
        except (BlockingIOError, InterruptedError):
            return False
        except OSError:  # the child is dead, which the next turn will see
            return False
        return True

    def take_back(self) -> list[Call]:
        """Return the calls that the child had not received; it will not receive them any more."""
        calls: list[Call] = []
        while True:
            try:
                message = self.inbox.recv(MAX_MESSAGE + 1, AT_ONCE)
            except (BlockingIOError, ConnectionError):
                return calls
            if not message:
                return calls
            calls.append(_read_call(message))

    def read(self) -> Iterator[Message]:
        """Return what the child has said since the last time."""
        try:
            while self._sending.recv(4096):
                pass
        except OSError:
            pass  # no more rings
        while True:
            try:
                text = os.read(self._reading, _PIPE)
            except BlockingIOError:
                return
            if not text:
                self.closed = True
                return
            yield from self._split(text)

    def _split(self, text: bytes) -> Iterator[Message]:
        text = self._rest + text if self._rest else text
        at, end, view = 0, len(text), memoryview(text)
        while at + 4 <= end:
            (size,) = _LENGTH.unpack_from(text, at)
            if size > MAX_REPORT:
                raise msgspec.ValidationError(f"a report of {size:,} bytes is none")
            if at + 4 + size > end:
                break
            yield decode_message(view[at + 4 : at + 4 + size])
            at += 4 + size
        self._rest = text[at:]

    def close(self) -> None:
        """Close everything; call it when the child is dead."""
        self.board_path.unlink(missing_ok=True)
        self._sending.close()
        self.inbox.close()
        os.close(self._reading)
        for end, _ in self.output:
            os.close(end)
        self.board.close()


class ChildEnd:
    """What the child holds of the line."""

    def __init__(self, inbox: socket.socket, outbox: int, board: Board) -> None:
        self._inbox, self._outbox, self.board = inbox, outbox, board
        self._buffer = bytearray(4096)
        self._rung = 0.0
        self._waiting = False
        set_blocking(outbox, False)

    def receive(self) -> Call | None:
        """Return the next call, waiting for it; None when the supervisor is gone."""
        try:
            message = self._inbox.recv(MAX_MESSAGE + 1, AT_ONCE)
        except BlockingIOError:
            # From here on another thread's reports ring by themselves; the ring is for those it made before.
            self._waiting = True
            self.ring()
            try:
                message = self._inbox.recv(MAX_MESSAGE + 1)
            except ConnectionError:
                return None
            self._waiting = False
        return _read_call(message) if message else None

    def send(self, message: Message) -> None:
        """Send a report or an advance."""
        message_encoder.encode_into(message, self._buffer, 4)
        _LENGTH.pack_into(self._buffer, 0, len(self._buffer) - 4)
        self._write(self._buffer)
        if len(self._buffer) > 65536:
            self._buffer = bytearray(4096)
        now = monotonic()
        if self._waiting or now - self._rung > RING_EVERY:
            self.ring()
            self._rung = now

    def ring(self) -> None:
        """Wake the supervisor."""
        # It fails if the supervisor has enough rings to hear already.
        with suppress(OSError):
            self._inbox.send(b"!", AT_ONCE)

    def _write(self, text: bytearray) -> None:
        try:
            written = os.write(self._outbox, text)
        except BlockingIOError:
            written = 0
        view = memoryview(text)
        while written < len(text):
            self.ring()
            select.select([], [self._outbox], [])
            with suppress(BlockingIOError):
                written += os.write(self._outbox, view[written:])
        view.release()


def _read_call(message: bytes) -> Call:
    if message[:1] == _ASIDE:
        path = Path(os.fsdecode(message))
        message = path.read_bytes()
        path.unlink()
    return decode_call(message)
