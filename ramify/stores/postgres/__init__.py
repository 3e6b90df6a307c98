"""The store for many machines: a schema of a PostgreSQL database. Needs the extra `postgres`."""

from ramify.stores.postgres.store import Postgres

__all__ = ["Postgres"]
