"""The order that a sketch's edges ask for: refuse cycles, drop edges that others imply."""

from collections.abc import Callable
from typing import Final

from ramify.errors import Cycle
from ramify.graph.sketch import Before, Flat, Path
from ramify.graph.walk import name_loop
from ramify.model import When

SEARCH_PER_EDGE: Final = 50
"""How many nodes the search for redundant edges may look at, per edge: keeping one costs little, a long search more."""


def check_order(
    flats: list[Flat],
    after: list[dict[Before, When]],
    slots: list[dict[Before, list[Path]]],
    joins: list[tuple[int, dict[Before, When]]],
    path: Callable[[int], str],
) -> None:
    """Raise `Cycle` with the path if some nodes would wait for each other."""
    if not any(after) and not any(slots):
        return  # children come before their parents in any sketch
    incoming = _incoming(flats, after, slots) + [[b for b in own if isinstance(b, int)] for _, own in joins]
    if all(before < number for number, list_ in enumerate(incoming) for before in list_):
        return
    state = [0] * len(incoming)  # 0 unseen, 1 on the way, 2 fine
    for start in range(len(incoming)):
        trail = [start] if state[start] == 0 else []
        while trail:
            number = trail[-1]
            state[number] = 1
            # What was looked at is taken off, so a wide node is gone through once.
            while incoming[number] and state[incoming[number][-1]] == 2:
                incoming[number].pop()
            if not incoming[number]:
                state[number] = 2
                trail.pop()
            elif state[before := incoming[number][-1]] == 1:
                loop = [*trail[trail.index(before) :], before]
                owners = [joins[n - len(flats)][0] if n >= len(flats) else n for n in reversed(loop)]
                names = [owner for i, owner in enumerate(owners) if i == 0 or owner != owners[i - 1]]
                raise Cycle(f"these would wait for each other: {name_loop(names, path)}")
            else:
                trail.append(before)


def drop_redundant(flats: list[Flat], after: list[dict[Before, When]], slots: list[dict[Before, list[Path]]]) -> None:
    """Remove each `after … done` that a longer chain of the same kind implies, unless a result travels on it.

    If `a` must be done before `b` and `b` before `c`, then `c` need not name `a`: should `a` fail, `b` is skipped and
    so is `c`. The search goes back from the other predecessors and only through nodes high enough to lie between
    (levels as in Kahn's order); it stops after a fixed amount of work and then leaves edges as they are.
    """
    if not any(after):
        return
    candidates = [n for n, own in enumerate(after) if sum(isinstance(b, int) for b in own) > 1]
    if not candidates:
        return
    strict = [[b for b, when in own.items() if isinstance(b, int) and when is When.DONE] for own in after]
    level = _levels(strict)
    budget = SEARCH_PER_EDGE * sum(map(len, strict))
    for number in candidates:
        # What belongs under a node keeps its edge to it, for a cancel goes that way.
        droppable = {b for b in strict[number] if b not in slots[number] and flats[b].parent != number}
        if not droppable or level[number] < 0:
            continue
        lowest = min(level[b] for b in droppable)
        stack = [before for other in strict[number] for before in strict[other] if level[before] >= lowest]
        seen: set[int] = set()
        while stack and budget > 0:
            budget -= 1
            before = stack.pop()
            if before in droppable:
                del after[number][before]
                droppable.discard(before)
            if before not in seen:
                seen.add(before)
                stack += [b for b in strict[before] if level[b] >= lowest and b not in seen]


def _levels(strict: list[list[int]]) -> list[int]:
    """Return the length of the longest chain before each node; -1 for what lies on or after a cycle."""
    waits = [len(list_) for list_ in strict]
    later: list[list[int]] = [[] for _ in strict]
    for number, list_ in enumerate(strict):
        for before in list_:
            later[before].append(number)
    level = [-1] * len(strict)
    ready = [number for number, n in enumerate(waits) if n == 0]
    for number in ready:
        level[number] = max((level[before] + 1 for before in strict[number]), default=0)
        for successor in later[number]:
            waits[successor] -= 1
            if waits[successor] == 0:
                ready.append(successor)
    return level


def _incoming(
    flats: list[Flat], after: list[dict[Before, When]], slots: list[dict[Before, list[Path]]]
) -> list[list[int]]:
    return [[b for b in (*flat.children, *after[n], *slots[n]) if isinstance(b, int)] for n, flat in enumerate(flats)]
