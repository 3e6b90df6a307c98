"""From an address to a store."""

from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from ramify.errors import BadStore
from ramify.stores.memory import Memory
from ramify.stores.protocol import Store
from ramify.stores.sqlite import Sqlite


def open_store(url: str) -> Store:
    """Open the store at `url`: `memory:`, `sqlite:///path`, `postgresql://user@host/database?schema=name`.

    `durability=fast` trades the last commits before a power cut for speed. Raise `BadStore` for an address that is
    none, or for something else that lies there.
    """
    parts = urlsplit(url)
    options = dict(parse_qsl(parts.query))
    if parts.scheme == "memory":
        return Memory()
    if parts.scheme == "sqlite":
        return _open_sqlite(url, parts.netloc, parts.path, options)
    if parts.scheme in ("postgresql", "postgres"):
        return _open_postgres(urlunsplit(parts._replace(query="")), options)
    raise BadStore(f"{url!r} is not the address of a store; use sqlite:///path/to/file.db, postgresql://… or memory:")


def _open_sqlite(url: str, host: str, path: str, options: dict[str, str]) -> Sqlite:
    if host or not path.strip("/"):
        raise BadStore(f"{url!r} names no file; write sqlite:///jobs.db, or sqlite:////var/jobs.db from the root")
    durability = _take_durability(options)
    if options:
        raise BadStore(f"{url!r} has unknown options: {', '.join(sorted(options))}; there is 'durability'")
    # As elsewhere: three slashes begin a relative path, four an absolute one.
    return Sqlite(path[1:], durability=durability)


def _open_postgres(address: str, options: dict[str, str]) -> Store:
    try:
        from ramify.stores.postgres import Postgres
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] not in ("psycopg", "psycopg_pool"):
            raise
        raise BadStore("PostgreSQL needs a driver: install ramify[postgres]") from error
    durability, schema = _take_durability(options), options.pop("schema", "ramify")
    pooler = options.pop("pooler", "none")
    if pooler not in ("none", "transaction"):
        raise BadStore(f"pooler={pooler}: it is 'transaction' where connections change hands, as behind PgBouncer")
    # What is not ours is the driver's, as sslmode.
    rest = f"?{urlencode(options)}" if options else ""
    return Postgres(address + rest, schema=schema, durability=durability, pooler=pooler == "transaction")


def _take_durability(options: dict[str, str]) -> str:
    durability = options.pop("durability", "full")
    if durability not in ("full", "fast"):
        raise BadStore(f"durability={durability}: it is 'full' or 'fast'")
    return durability
