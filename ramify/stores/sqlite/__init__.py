"""The embedded store: one SQLite file beside the program, for any number of processes of one host."""

from ramify.stores.sqlite.store import Sqlite

__all__ = ["Sqlite"]
