"""`needs` and `same`: what a task says of other tasks whose jobs must have been done of late.

What a need means is `graph/need.py`; a worker resolves it when the job is about to run.
"""

from datetime import timedelta
from typing import Any, Final, TypeAlias

from msgspec import Struct

from ramify.codec import Blank, decode, encode
from ramify.declared import MONTH, Given, Need
from ramify.errors import BadNode
from ramify.span import read_span
from ramify.task import Function, name_of, read_name


class Same(Struct, frozen=True):
    """The depending job's own argument of that name, changed by `+ - * /` and a constant."""

    steps: tuple[tuple[str, Any], ...] = ()

    def __add__(self, operand: object) -> "Same":
        return self._then("+", operand)

    def __sub__(self, operand: object) -> "Same":
        return self._then("-", operand)

    def __mul__(self, operand: object) -> "Same":
        return self._then("*", operand)

    def __truediv__(self, operand: object) -> "Same":
        return self._then("/", operand)

    def _then(self, sign: str, operand: object) -> "Same":
        if not isinstance(operand, int | float | str):
            raise BadNode(f"`same {sign}` takes a number or a text, not {operand!r:.80}")
        return Same((*self.steps, (sign, operand)))


same: Final = Same()
"""As argument of `needs`: the argument of that name of the job that has the need; `same + 1`, `- * /` change it."""

Asked: TypeAlias = Function | str


def needs(task: Asked, /, within: float | str | timedelta | None = None, **arguments: Any) -> Need:
    """Say that a job of `task` with these arguments must have been done `within` so many seconds ("6h"; 30 days).

    Arguments that are not named may be any. One that is unfinished is waited for; if there is none, one is added.
    """
    name = read_name(task) if isinstance(task, str) else name_of(task)
    seconds = MONTH if within is None else read_span("within", within, least=0)
    return Need(name, seconds, tuple(_read(name, key, value) for key, value in sorted(arguments.items())))


def _read(task: str, name: str, value: object) -> Given:
    if isinstance(value, Same):
        return Given(name, same=value.steps)
    if isinstance(value, Blank):
        raise BadNode(f"needs({task}): {name} is a constant or `same`, not a job")
    return Given(name, decode(encode(value, f"needs({task}): {name}")))
