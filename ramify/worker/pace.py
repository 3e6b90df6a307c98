"""How long jobs take, learnt from those that have run: it decides how many are handed out ahead."""

from typing import Final

SLOWEST_CHANGE: Final = 0.2
LEAST: Final = 1e-5


class Pace:
    """Moving averages of seconds a job, by task and over all. `unknown` is assumed of what has not run yet."""

    def __init__(self, unknown: float) -> None:
        self.mean = unknown
        self._unknown = unknown
        self._by_task: dict[str | None, tuple[float, float]] = {}
        self._change = 1.0

    def expect(self, task: str | None) -> float:
        """Return how long a job of this task should take."""
        known = self._by_task.get(task)
        return self._unknown if known is None else known[0]

    def learn(self, task: str | None, seconds: float) -> None:
        """Take into account how long jobs took of late, on average; the first few count most."""
        seconds = max(seconds, LEAST)
        mean, change = self._by_task.get(task, (0.0, 1.0))
        self._by_task[task] = (mean + change * (seconds - mean), max(SLOWEST_CHANGE, change / 2))
        self.mean += self._change * (seconds - self.mean)
        self._change = max(SLOWEST_CHANGE, self._change / 2)
