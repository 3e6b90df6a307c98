"""What the trees of the evaluator call."""

import json
import zlib

ORDER: list[str] = []
"""The names of the calls that ran, as they ran."""


def mix(name: str, *values: object) -> int:
    """Return a number that tells which values came in, and in which order."""
    ORDER.append(name)
    return zlib.crc32(json.dumps([name, *values]).encode())


def fail(name: str, *values: object) -> int:
    """Fail, whatever came in."""
    ORDER.append(name)
    raise ValueError(name)
