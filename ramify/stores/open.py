"""From an address to a store."""

from typing import Any, Final, Protocol
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from ramify.errors import BadStore
from ramify.stores.address import mask
from ramify.stores.directory import Directory
from ramify.stores.memory import Memory
from ramify.stores.protocol import Store
from ramify.stores.sqlite import Sqlite
from ramify.system import NAME as SYSTEM

REDIS: Final = (
    *("redis", "rediss", "unix", "redis+sentinel"),
    *("valkey", "valkeys", "valkey+sentinel"),
)
"""The schemes of the Redis store, which is imported only where it is used."""

ADDRESSES: Final = (
    "sqlite:///path/to/file.db, dir:///path/to/directory, postgresql://user@host/database, redis://host:6379/0 "
    "or memory:"
)


def open_store(url: str, schema: str | None = None) -> Store:
    """Open the store at `url`: `memory:`, `sqlite:///path`, `dir:///path`, `redis://host:port/0?prefix=name` and its
    kin, or `postgresql://user@host/database?schema=name`.

    `durability=fast` trades the last commits before a power cut for speed. Raise `BadStore` for an address that is
    none, or for something else that lies there.
    """
    parts = urlsplit(url)
    options = dict(parse_qsl(parts.query))
    kind = parts.scheme.partition("+")[0]  # SQLAlchemy's addresses name the driver, too
    if kind in ("postgresql", "postgres"):
        options |= {} if schema is None else {"schema": schema}
        return _open_postgres(urlunsplit(parts._replace(scheme="postgresql", query="")), options)
    if schema is not None:
        raise BadStore(f"schema={schema!r} goes with an address of PostgreSQL, not with {parts.scheme}:")
    if kind == "memory":
        return Memory()
    if kind == "sqlite":
        return _open_sqlite(url, parts.netloc, parts.path, options)
    if kind == "dir":
        return _open_directory(url, parts.netloc, parts.path, options)
    if parts.scheme in REDIS:
        return _open_redis(url)
    raise BadStore(f"{mask(url)!r} is not the address of a store; use {ADDRESSES}")


def is_elsewhere(url: str) -> bool:
    """Tell whether a server keeps what is stored there, which may be down for a while."""
    scheme = urlsplit(url).scheme
    return scheme in REDIS or scheme.partition("+")[0] in ("postgresql", "postgres")


class Engine(Protocol):
    """What is taken of an engine of SQLAlchemy: its address."""

    @property
    def url(self) -> Any:
        """The address."""
        ...


def address_of(given: str | Engine | None) -> str | None:
    """Return an address as text; of an engine of SQLAlchemy, the one it connects to."""
    if given is None or isinstance(given, str):
        return given
    return str(given.url.render_as_string(hide_password=False))


def _open_redis(url: str) -> Store:
    try:
        from ramify.stores.redis import Redis
    except ModuleNotFoundError as error:
        raise BadStore("Redis needs a driver: install ramify[redis]") from error
    return Redis(url)


def _open_sqlite(url: str, host: str, path: str, options: dict[str, str]) -> Sqlite:
    if host or not path.strip("/"):
        raise BadStore(f"{url!r} names no file; write sqlite:///jobs.db, or sqlite:////var/jobs.db from the root")
    # As elsewhere: three slashes begin a relative path, four an absolute one.
    return Sqlite(path[1:], durability=_take_durability(url, options, alone=True))


def _open_directory(url: str, host: str, path: str, options: dict[str, str]) -> Directory:
    if host or not path.strip("/"):
        raise BadStore(f"{url!r} names no directory; write dir:///mnt/queue, or dir:queue from the working directory")
    if SYSTEM == "win32":
        raise BadStore(
            "a shared directory needs POSIX calls that Windows has not; use sqlite:///, postgresql: or redis:"
        )
    return Directory(path, durability=_take_durability(url, options, alone=True))


def _open_postgres(address: str, options: dict[str, str]) -> Store:
    try:
        from ramify.stores.postgres import Postgres
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] not in ("psycopg", "psycopg_pool"):
            raise
        raise BadStore("PostgreSQL needs a driver: install ramify[postgres]") from error
    durability, schema = _take_durability(address, options), options.pop("schema", "ramify")
    if socket := options.pop("unix_sock", None):  # as SQLAlchemy's addresses for pg8000 name it
        options["host"], _, name = socket.rpartition("/")
        options["port"] = name.rpartition(".")[2]
    pooler = options.pop("pooler", "none")
    if pooler not in ("none", "transaction"):
        raise BadStore(f"pooler={pooler}: it is 'transaction' where connections change hands, as behind PgBouncer")
    # What is not ours is the driver's, as sslmode.
    rest = f"?{urlencode(options)}" if options else ""
    return Postgres(address + rest, schema=schema, durability=durability, pooler=pooler == "transaction")


def _take_durability(url: str, options: dict[str, str], alone: bool = False) -> str:
    """Return the durability that is asked for; if it is all that may be, raise `BadStore` for anything else."""
    durability = options.pop("durability", "full")
    if durability not in ("full", "fast"):
        raise BadStore(f"durability={durability} in {mask(url)!r}: it is 'full' or 'fast'")
    if alone and options:
        raise BadStore(f"{url!r} has unknown options: {', '.join(sorted(options))}; there is 'durability'")
    return durability
