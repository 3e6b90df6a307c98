"""The task behind `shell(…)`: a job that is only a command.

Commands are code, so a worker runs them only if it is given this module: `ramify worker ramify.programs`.
"""

from ramify.context import current


def run(command: str | list[str], progress: str | None = None, directory: str | None = None) -> int:
    """Run a command as `current().exec` does; fail unless its exit status is 0."""
    return current().exec(command, progress=progress, directory=directory)
