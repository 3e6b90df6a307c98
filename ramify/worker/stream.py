"""The two ends of the line between a supervisor and one child, where no socket keeps messages apart: two pipes.

The child asks for each call, by saying how far the call 0 is, which there is not. What it has not asked for is with the
supervisor, which can take it back. That costs a turn of the supervisor for each call, but needs nothing that Windows
has not. A thread at the child's end reads, so that it ends at once when its supervisor is gone.
"""

import os
import threading
from collections import deque
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from queue import SimpleQueue
from typing import Final, NoReturn

from ramify.inlet import Inlet, open_inlet
from ramify.worker.board import Board
from ramify.worker.call import Advance, Call, Message
from ramify.worker.line import LENGTH, Line, frame, read_call, write_call
from ramify.worker.process import kill_groups

MAX_MESSAGE: Final = 4000
"""A pipe holds so much anywhere, so whoever writes a call need not wait."""

ASK: Final = Advance(0)


class SupervisorEnd(Line):
    """What the supervisor holds of the line."""

    def __init__(self, directory: Path, name: str) -> None:
        super().__init__(directory, name)
        self._reading, self._outbox = os.pipe()
        self._inbox, self._writing = os.pipe()
        self._inlet: Inlet
        self._asked = 0
        self._calls = deque[Call]()

    def source(self) -> Inlet:
        """Return what can be read when the child has something to say."""
        return self._inlet

    def keeps(self) -> list[int]:
        """Return the descriptors that the child must inherit."""
        return [self._inbox, self._outbox, *(end for pipe in self.output for end in pipe)]

    def started(self) -> None:
        """Let go of the child's ends of the pipes, now that the child has them."""
        os.close(self._inbox)
        os.close(self._outbox)
        self.let_go()
        self._inlet = open_inlet(self._reading)

    def send(self, call: Call) -> bool:
        """Send a job to the child, when it asks; return True, for there is always room."""
        self._calls.append(call)
        self._answer()
        return True

    def take_back(self) -> list[Call]:
        """Return the calls that the child had not received; it will not receive them any more."""
        calls = list(self._calls)
        self._calls.clear()
        return calls

    def read(self) -> Iterator[Message]:
        """Return what the child has said since the last time."""
        while text := self._inlet.read():
            for message in self.split(text):
                if message == ASK:
                    self._asked += 1
                    self._answer()
                else:
                    yield message

    def hear_out(self) -> None:
        """Wait until all that the child, which is dead, has said can be read."""
        self._inlet.end()

    def close(self) -> None:
        """Close everything; call it when the child is dead."""
        self._inlet.close()
        os.close(self._writing)
        super().close()

    def _answer(self) -> None:
        while self._asked and self._calls:
            text = write_call(self._calls[0], MAX_MESSAGE, self.directory)
            try:
                os.write(self._writing, LENGTH.pack(len(text)) + text)
            except OSError:  # the child is dead, which the next turn will see
                return
            self._calls.popleft()
            self._asked -= 1


class ChildEnd:
    """What the child holds of the line."""

    def __init__(self, inbox: int, outbox: int, board: Board) -> None:
        self._inbox, self._outbox, self.board = inbox, outbox, board
        self._lock = threading.Lock()
        self._buffer = bytearray(4096)
        self._calls = SimpleQueue[Call]()
        threading.Thread(target=self._serve, name="line", daemon=True).start()

    def receive(self) -> Call | None:
        """Return the next call, waiting for it. The process ends when the supervisor is gone."""
        self.send(ASK)
        return self._calls.get()

    def send(self, message: Message) -> None:
        """Send a report or an advance."""
        with self._lock, suppress(BrokenPipeError):  # the other thread sees it, too
            frame(message, self._buffer)
            with memoryview(self._buffer) as view:
                written = 0
                while written < len(view):
                    written += os.write(self._outbox, view[written:])
            if len(self._buffer) > 65536:
                self._buffer = bytearray(4096)

    def _serve(self) -> NoReturn:
        """Take calls until the supervisor is gone, then end with whatever is running."""
        with suppress(OSError):
            while head := self._read(LENGTH.size):
                self._calls.put(read_call(self._read(*LENGTH.unpack(head))))
        kill_groups(self.board.groups())
        os._exit(1)

    def _read(self, size: int) -> bytes:
        """Return so many bytes; none at the end."""
        text = b""
        while len(text) < size:
            more = os.read(self._inbox, size - len(text))
            if not more:
                return b""
            text += more
        return text
