"""What both kinds of line between a supervisor and one child have in common: frames, a board, what the child prints.

Where sockets keep messages apart, the line is that of `pipe.py`, elsewhere that of `stream.py`.
"""

import os
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import msgspec

from ramify import system
from ramify.lines import Lines
from ramify.worker.board import Board
from ramify.worker.call import Call, Message, decode_call, decode_message, encode_call, message_encoder
from ramify.worker.output import make_pipes, read_lines

MAX_REPORT: Final = 1 << 28
"""No report is longer, so a length beyond it was written by a job that had no business there."""

LENGTH: Final = struct.Struct("<I")
_ASIDE: Final = b"/"  # no message of msgpack that holds an array begins like this


class Line:
    """What the supervisor holds of a line, whatever kind it is of."""

    def __init__(self, directory: Path, name: str) -> None:
        self.output = make_pipes()
        self.directory, self.board_path = directory, directory / f"board-{name}"
        self.board = Board(self.board_path)
        self._rest = b""

    def words(self, keeps: list[int]) -> list[str]:
        """Return the arguments by which a fresh child finds its end, as `keeps` lists it."""
        return [",".join(map(system.give, keeps)), str(self.board_path)]

    def last_words(self) -> Lines:
        """Return what the child, which is dead, wrote and could not read any more itself."""
        return read_lines([end for end, _ in self.output])

    def let_go(self) -> None:
        """Close what is the child's, now that the child has it."""
        for _, end in self.output:
            os.close(end)

    def split(self, text: bytes) -> Iterator[Message]:
        """Return the messages that have come wholly."""
        text = self._rest + text if self._rest else text
        at, end, view = 0, len(text), memoryview(text)
        while at + 4 <= end:
            (size,) = LENGTH.unpack_from(text, at)
            if size > MAX_REPORT:
                raise msgspec.ValidationError(f"a report of {size:,} bytes is none")
            if at + 4 + size > end:
                break
            yield decode_message(view[at + 4 : at + 4 + size])
            at += 4 + size
        self._rest = text[at:]

    def close(self) -> None:
        """Close everything; call it when the child is dead."""
        for end, _ in self.output:
            os.close(end)
        self.board.close()  # first: Windows removes no file that is open
        self.board_path.unlink(missing_ok=True)


def frame(message: Message, buffer: bytearray) -> None:
    """Put a message with its length before it into a buffer."""
    message_encoder.encode_into(message, buffer, 4)
    LENGTH.pack_into(buffer, 0, len(buffer) - 4)


def write_call(call: Call, most: int, directory: Path) -> bytes:
    """Return a call as it is sent: one of more bytes lies in a file, and its path is sent."""
    text = encode_call(call)
    if len(text) > most:
        path = directory / f"call-{call.number}"
        path.write_bytes(text)
        text = _ASIDE + os.fsencode(path)
    return text


def read_call(message: bytes) -> Call:
    """Return the call that was sent."""
    if message[:1] == _ASIDE:
        path = Path(os.fsdecode(message[1:]))
        message = path.read_bytes()
        path.unlink()
    return decode_call(message)
