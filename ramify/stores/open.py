"""From an address to a store."""

from typing import Final
from urllib.parse import parse_qsl, urlsplit

from ramify.errors import BadStore
from ramify.stores.address import mask
from ramify.stores.memory import Memory
from ramify.stores.protocol import Store
from ramify.stores.sqlite import Sqlite

PLANNED: Final = {
    "redis": "Redis",
    "rediss": "Redis",
    "valkey": "Redis",
    "postgresql": "PostgreSQL",
    "postgres": "PostgreSQL",
    "dir": "directory",
}
"""Kinds of stores that are being built."""


def open_store(url: str) -> Store:
    """Open the store at `url`: `memory:`, `sqlite:///path` (`?durability=fast` trades the last commits for speed).

    Raise `BadStore` for an address that is none, or for something else that lies there.
    """
    parts = urlsplit(url)
    options = dict(parse_qsl(parts.query))
    if parts.scheme == "memory":
        return Memory()
    if parts.scheme == "sqlite":
        return _open_sqlite(url, parts.netloc, parts.path, options)
    if kind := PLANNED.get(parts.scheme):
        raise BadStore(f"{mask(url)}: this ramify has no {kind} store yet; use sqlite:///path/to/file.db or memory:")
    raise BadStore(f"{mask(url)!r} is not the address of a store; use sqlite:///path/to/file.db or memory:")


def _open_sqlite(url: str, host: str, path: str, options: dict[str, str]) -> Sqlite:
    if host or not path.strip("/"):
        raise BadStore(f"{url!r} names no file; write sqlite:///jobs.db, or sqlite:////var/jobs.db from the root")
    durability = options.pop("durability", "full")
    if durability not in ("full", "fast"):
        raise BadStore(f"durability={durability} in {url!r}: it is 'full' or 'fast'")
    if options:
        raise BadStore(f"{url!r} has unknown options: {', '.join(sorted(options))}; there is 'durability'")
    # As elsewhere: three slashes begin a relative path, four an absolute one.
    return Sqlite(path[1:], durability=durability)
