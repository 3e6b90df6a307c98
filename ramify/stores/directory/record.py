"""One record of the journal as text: what one step wrote, in JSON, and whom it follows.

A record counts if it is whole and follows the last one that counts; of others nothing is taken. That is how a step
that a power cut tore, and all that was built on it, never happened, for every reader alike.
"""

import hashlib
from collections.abc import Sequence
from typing import Final

import msgspec
from msgspec import Struct

FORMAT: Final = 1
"""It is raised when older programs could not read what is written."""

Change = tuple[str, msgspec.Raw]
"""A verb of `Tables` that writes, and its arguments as JSON."""


class Head(Struct, frozen=True, forbid_unknown_fields=False):
    """The first line. `soft` is a step that a power cut may take back; `digest` is that of the other lines."""

    number: int
    token: str
    follows: str
    time: float
    digest: str
    soft: bool = False
    format: int = FORMAT


class Record(Struct, frozen=True):
    """A head and its changes."""

    head: Head
    changes: list[Change]


_head = msgspec.json.Decoder(Head)
_change = msgspec.json.Decoder(tuple[str, msgspec.Raw])


def write(number: int, token: str, follows: str, time: float, changes: Sequence[Change], soft: bool) -> bytes:
    """Return a record as text: the head, then a line for each change."""
    body = b"".join([msgspec.json.encode(change) + b"\n" for change in changes])
    head = Head(number, token, follows, time, digest_of(body), soft)
    return msgspec.json.encode(head) + b"\n" + body


def read(text: bytes) -> Record | None:
    """Return a record that is whole, else None."""
    first, end, body = text.partition(b"\n")
    try:
        head = _head.decode(first)
        if not end or head.digest != digest_of(body):
            return None
        return Record(head, [_change.decode(line) for line in body.splitlines()])
    except (ValueError, RecursionError):  # no JSON, no text, or none of ours
        return None


def digest_of(body: bytes) -> str:
    """Return what tells a whole text from a torn one."""
    return hashlib.blake2b(body, digest_size=16).hexdigest()
