"""How far the `after` of a node reaches: where every node of a sketch stands, as its gates see it.

What a node is held up by holds up its children and the nodes in its arguments with it. What it names in `after` stands
beside it: held up by what the order of siblings asks of the node, but not by the node's own `after`, of which it is
part. A node that several hold or name stands where they meet, so that none of them holds it up for the others.
"""

from ramify.graph.sketch import Flat


def find_sites(flats: list[Flat]) -> list[int]:
    """Return where each of `n` nodes stands: inside a node (its number), beside one (`n` more), or on top (`2n`)."""
    n = len(flats)
    held: list[list[int]] = [[] for _ in flats]
    named: list[list[int]] = [[] for _ in flats]
    for number, flat in enumerate(flats):
        for child in flat.children:
            held[child].append(number)
        for before, _ in flat.slots:
            if isinstance(before, int):
                named[before].append(number)
        for before, _ in flat.after:
            if isinstance(before, int):
                named[before].append(n + number)
    above, depth = [2 * n] * (2 * n + 1), [0] * (2 * n + 1)
    # From the top down: who holds or first names a node comes after it in the sketch.
    for number in reversed(range(n)):
        if flats[number].parent >= 0:
            first, *others = held[number] or named[number]
            for other in others:
                first = _meet(first, other, above, depth)
            above[n + number] = first
        above[number] = n + number
        depth[n + number] = depth[above[n + number]] + 1
        depth[number] = depth[n + number] + 1
    return above[n : 2 * n]


def _meet(one: int, other: int, above: list[int], depth: list[int]) -> int:
    """Return the lowest site that both lie in."""
    while one != other:
        if depth[one] > depth[other]:
            one = above[one]
        else:
            other = above[other]
    return one
