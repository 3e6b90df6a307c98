"""A folded tree as plain text, for a program that prints it."""

from typing import Final

from ramify.model import Row
from ramify.picture.draw import draw_tree
from ramify.picture.fold import read_tree
from ramify.stores.protocol import Store

WIDE: Final = 1 << 16
"""No line is cut."""


def draw_text(store: Store, top: Row, depth: int) -> str:
    """Return the job and `depth` levels under it."""
    return "\n".join(line.plain.rstrip() for line in draw_tree(store, read_tree(store, top, depth), WIDE))
