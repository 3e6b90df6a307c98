"""The numbers that lanes have in a store."""

from collections.abc import Callable, Mapping, Sequence

from ramify.model import (
    Lane,
)


class Lanes(dict[int, Lane]):
    """The lanes by their numbers: few and never changed, so each program remembers them.

    `name` gives numbers to lanes without one, and returns all lanes.
    """

    def __init__(self, name: Callable[[Sequence[Lane]], Mapping[int, Lane]]) -> None:
        super().__init__()
        self.numbers: dict[Lane, int] = {}
        self._name = name

    def learn(self, lanes: Mapping[int, Lane]) -> None:
        """Remember lanes."""
        self.update(lanes)
        self.numbers.update({lane: number for number, lane in lanes.items()})

    def number(self, lane: Lane) -> int:
        """Return the number of a lane, which is given one if it has none."""
        if lane not in self.numbers:
            self.learn(self._name([lane]))
        return self.numbers[lane]

    def forget(self) -> None:
        """Forget all; the store is another one."""
        self.clear()
        self.numbers.clear()

    def __missing__(self, number: int) -> Lane:
        self.learn(self._name([]))
        return self.get(number) or Lane()
