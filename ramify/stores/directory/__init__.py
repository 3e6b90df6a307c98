"""The directory store: a queue that is a directory, also on a shared disk, with no server, no socket and no lock."""

from ramify.stores.directory.store import Directory

__all__ = ["Directory"]
