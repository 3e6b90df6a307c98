"""A limit on a task holds over all processes that work on a store; one that is suspended does not start at all.

Prints:

    at most 2 of 8 ran at once: True
    suspended: None
    let go: done
"""

import tempfile
import time
from pathlib import Path

from ramify import Ramify, job, task
from ramify.model import Rule


@task(limit=2)
def print_page(folder: str) -> int:
    """Be seen for a moment; return how many are."""
    seen = Path(folder, str(time.monotonic_ns()))
    seen.touch()
    time.sleep(0.02)
    n = len(list(Path(folder).iterdir()))
    seen.unlink()
    return n


def main() -> None:
    with tempfile.TemporaryDirectory() as folder, Ramify("sqlite:///jobs.db", tasks=["__main__"]) as app:
        jobs = [app.enqueue(print_page, folder) for _ in range(8)]
        app.worker(children=4, burst=True).run()
        print(f"at most 2 of 8 ran at once: {max(each.result() for each in jobs) <= 2}")

        app.store.limit("suspended:queue:default", Rule(0))  # what `ramify suspend` does
        late = app.enqueue(job(print_page, folder))
        print(f"suspended: {app.claim()}")

        app.store.limit("suspended:queue:default", None)  # `ramify resume`: the limit of the task still holds
        app.run_until_empty()
        print(f"let go: {late.state}")


if __name__ == "__main__":
    main()
