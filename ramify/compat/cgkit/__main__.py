"""`python -m ramify.compat.cgkit [DIRECTORY]`: run the jobs of a queue until none is left."""

from typing import Annotated

import typer

from ramify.compat.cgkit.queue import JobQueue


def main(
    location: Annotated[str, typer.Argument(envvar="CGKIT_JOB_QUEUE", metavar="DIRECTORY", help="The queue.")],
) -> None:
    """Run the jobs of a queue in this process until none is left."""
    queue = JobQueue(location)
    while queue.runNextAvailableJob():
        pass


if __name__ == "__main__":
    typer.run(main)
