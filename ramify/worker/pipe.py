"""The two ends of the line between a supervisor and one child, where sockets keep messages apart.

Calls go as one message per job through a socket whose receiving end the supervisor keeps too: what the child has not
begun is taken back by reading it from there, without the child's help and without a race. Each report is written at
once into a pipe, so a crash loses none; the child rings (a byte back through the socket) only when it has nothing left
to do or every few milliseconds, so the supervisor is not woken for each. What runs, and since when, and what is to be
cancelled, stands in shared memory.
"""

import os
import select
import socket
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from time import monotonic
from typing import Final

from ramify.system import AT_ONCE, grow_pipe, set_blocking, socket_pair
from ramify.worker.board import Board
from ramify.worker.call import Call, Message
from ramify.worker.line import Line, frame, read_call, write_call

MAX_MESSAGE: Final = 100_000
RING_EVERY: Final = 0.004
_BUFFER: Final = 4 << 20
_PIPE: Final = 1 << 20


class SupervisorEnd(Line):
    """What the supervisor holds of the line."""

    def __init__(self, directory: Path, name: str) -> None:
        super().__init__(directory, name)
        self._sending, self.inbox = socket_pair()
        self._sending.setblocking(False)
        self._sending.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _BUFFER)
        self._reading, self.outbox = os.pipe()
        set_blocking(self._reading, False)
        grow_pipe(self._reading, _PIPE)

    def source(self) -> int:
        """Return what can be read when the child has something to say."""
        return self._sending.fileno()

    def keeps(self) -> list[int]:
        """Return the descriptors that the child must inherit."""
        return [self.inbox.fileno(), self.outbox, *(end for pipe in self.output for end in pipe)]

    def started(self) -> None:
        """Let go of the child's ends of the pipes, now that the child has them."""
        os.close(self.outbox)
        self.outbox = -1
        self.let_go()

    def send(self, call: Call) -> bool:
        """Send a job to the child; return False if there is no room."""
        try:
            self._sending.send(write_call(call, MAX_MESSAGE, self.directory))
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
            calls.append(read_call(message))

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
                return
            yield from self.split(text)

    def hear_out(self) -> None:
        """Wait until all that the child, which is dead, has said can be read."""

    def close(self) -> None:
        """Close everything; call it when the child is dead."""
        self._sending.close()
        self.inbox.close()
        os.close(self._reading)
        super().close()


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
        return read_call(message) if message else None

    def send(self, message: Message) -> None:
        """Send a report or an advance."""
        frame(message, self._buffer)
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
