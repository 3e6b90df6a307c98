"""Job ids: time-ordered 128-bit numbers (UUIDv7, RFC 9562) written as 26 characters.

The alphabet is Crockford's base 32 in lower case, so ids sort as text exactly as they sort as numbers, can be read
aloud, and fit in a file name. The 12 bits after the version hold the fraction of the millisecond (RFC 9562, method 3).
"""

import os
import threading
import time
import uuid
from typing import Final

ALPHABET: Final = "0123456789abcdefghjkmnpqrstvwxyz"
LENGTH: Final = 26
_PAIRS: Final = [first + second for first in ALPHABET for second in ALPHABET]
_SHIFTS: Final = range(100, -1, -10)
_VALUES: Final = {letter: value for value, letter in enumerate(ALPHABET)}
_COUNTER_BITS: Final = 62
_lock = threading.Lock()
_latest = 0


def make_ids(n: int) -> list[str]:
    """Return `n` new ids in ascending order, greater than all that this process made before."""
    global _latest  # noqa: PLW0603 - the newest id of this process, which has no better place
    with _lock:
        first = max(_number_now(), _latest + 1)
        _latest = first + n - 1
    return _spell_range(first, n)


def make_id() -> str:
    """Return one new id."""
    return make_ids(1)[0]


def is_id(text: str) -> bool:
    """Tell whether `text` has the form of an id (not whether such a job exists)."""
    return len(text) == LENGTH and begins_id(text)


def begins_id(text: str) -> bool:
    """Tell whether an id may begin with `text`, or be it."""
    return 0 < len(text) <= LENGTH and text[0] <= "7" and all(letter in _VALUES for letter in text)


def made_at(id: str) -> float:
    """Return when the id was made, in seconds since 1970 by the clock of its maker."""
    return (_number(id) >> 80) / 1000


def to_uuid(id: str) -> uuid.UUID:
    """Return the same id in the form other systems know."""
    return uuid.UUID(int=_number(id))


def make_session_id() -> str:
    """Return 128 random bits as 32 hexadecimal digits; never reused, so a fence may rely on it."""
    return os.urandom(16).hex()


def _number_now() -> int:
    nanoseconds = time.time_ns()
    milliseconds, rest = divmod(nanoseconds, 1_000_000)
    fraction = rest * 4096 // 1_000_000
    # The top bit of the counter stays 0, so that a batch of 2**61 cannot spill into the variant.
    counter = int.from_bytes(os.urandom(8), "big") >> 3
    return milliseconds << 80 | 7 << 76 | fraction << 64 | 2 << _COUNTER_BITS | counter


def _spell_range(first: int, n: int) -> list[str]:
    ids: list[str] = []
    number, left = first, n
    while left:
        # Ids made together differ in their last four letters only; the rest is spelt once.
        head, tail = number >> 20, number & 0xFFFFF
        here = min(left, 0x100000 - tail)
        prefix = _spell(head)
        ids += [prefix + _PAIRS[low >> 10] + _PAIRS[low & 1023] for low in range(tail, tail + here)]
        number, left = number + here, left - here
    return ids


def _spell(head: int) -> str:
    """Spell the 108 bits before the last four letters, as 22 letters."""
    return "".join([_PAIRS[head >> shift & 1023] for shift in _SHIFTS])


def _number(id: str) -> int:
    number = 0
    for letter in id:
        number = number << 5 | _VALUES[letter]
    return number
