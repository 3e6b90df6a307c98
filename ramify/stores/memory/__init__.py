"""The executable specification of a store, in dictionaries; also what users' own tests run on."""

from ramify.stores.memory.store import Memory

__all__ = ["Memory"]
