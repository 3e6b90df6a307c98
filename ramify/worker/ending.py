"""Which jobs end in a transaction of their own, and where: those of tasks with `tx=True`, in the jobs' database."""

from ramify.stores.protocol import Store
from ramify.stores.transactional import Transactional
from ramify.task import terms_of
from ramify.tasks import Tasks


def find_ending(store: Store, tasks: Tasks) -> dict[str, str]:
    """Return the address at which the jobs of each such task end; none of a store without transactions."""
    if not isinstance(store, Transactional):
        return {}
    return {name: store.url for name in tasks.names() if terms_of(tasks.find(name)).tx}
