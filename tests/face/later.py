"""A module whose annotations are texts, one of them unknown at run time."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from nowhere import Undefined  # type: ignore[import-not-found]


def pick(letter: ["A", "B"] = "A", n: int = 1, *, other: Undefined = None) -> list[object]:  # type: ignore[valid-type]
    """Return what came.

    :param n: how many
        there are
    :param other: whatever
    """
    return [letter, n, other]
