"""A verb on a selection of jobs, seen through to its end: a store begins it in one step, its worklist does the rest."""

from ramify.model import Failure, Verb, Which
from ramify.stores.protocol import Store


def move(store: Store, which: Which, verb: Verb, failure: Failure | None = None) -> int:
    """Do what `Store.move` begins, and all that follows from it; return how many jobs it concerned.

    If it is interrupted, whoever drains the worklist next goes on.
    """
    concerned = store.move(which, verb, failure)
    while store.drain():
        pass
    return concerned
