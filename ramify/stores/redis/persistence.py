"""What the server keeps of what it was told: read when a connection is made, and said plainly."""

import contextlib
from typing import Any, Final

from msgspec import Struct
from redis.exceptions import ResponseError

from ramify.errors import BadStore, StoreDown
from ramify.stores.redis.link import Link

OLDEST: Final = (6, 2)


class Persistence(Struct, frozen=True):
    """A server, as far as it concerns what may get lost. `level` says in words what that is."""

    version: str
    run: str
    """Another one after each start: so a server that was started anew is not equal to the one before."""
    level: str
    waits: bool
    """Whether the server can be asked to wait until its disk has a write."""


def read_persistence(link: Link, durability: str) -> Persistence:
    """Return what the server keeps. Raise `BadStore` if it is too old, forgets keys, or keeps less than it should."""
    info = _read_info(link.call("INFO"))
    version = info.get("valkey_version") or info.get("redis_version", "0")
    number = tuple(int(part) for part in info.get("redis_version", "0.0").split(".")[:2] if part.isdigit())
    if number < OLDEST:
        raise BadStore(f"{link.shown} is Redis {version}; ramify needs 6.2 or newer, or Valkey")
    policy = info.get("maxmemory_policy", "noeviction")
    if policy != "noeviction" and info.get("maxmemory", "0") != "0":
        raise BadStore(
            f"{link.shown} throws keys away when memory is short (maxmemory-policy {policy}), and jobs with them; "
            "set it to noeviction"
        )
    if info.get("loading") == "1":  # and until it has read its journal, it says that it writes none
        raise StoreDown(f"{link.shown} is loading what it keeps; it answers soon")
    aof = info.get("aof_enabled") == "1"
    fsync = _read_fsync(link) if aof else ""
    waits = aof and number >= (7, 2)
    if durability == "full" and not waits and fsync != "always":
        raise BadStore(
            f"{link.shown} cannot keep durability=full: {_say(aof, fsync, info)}; "
            "set appendonly yes and appendfsync always, use Redis 7.2 or newer with an AOF, or leave the option out"
        )
    level = "full: every step is on the server's disk before it counts" if durability == "full" else None
    return Persistence(version, info.get("run_id", ""), level or _say(aof, fsync, info), waits and fsync != "always")


def _say(aof: bool, fsync: str, info: dict[str, str]) -> str:
    if aof:
        return {
            "always": "full: every step is on the server's disk before it counts",
            "everysec": "a crash of the server's machine may lose the last second (AOF, everysec)",
            "no": "a crash of the server's machine may lose the last half minute (AOF, no fsync)",
        }.get(fsync, "the server has an AOF, but does not tell how often it is written to the disk")
    if info.get("rdb_last_save_time"):
        return "a crash or restart of the server loses what came after its last snapshot (no AOF)"
    return "a restart of the server may lose everything (no AOF)"


def _read_fsync(link: Link) -> str:
    # Who hosts Redis for others often forbids this command.
    with contextlib.suppress(BadStore, ResponseError):
        found: Any = link.call("CONFIG", "GET", "appendfsync")
        if isinstance(found, list) and len(found) == 2:
            return str(found[1].decode())
    return ""


def _read_info(text: bytes) -> dict[str, str]:
    lines = [line.partition(":") for line in text.decode("utf-8", "replace").splitlines()]
    return {name: value for name, colon, value in lines if colon}
