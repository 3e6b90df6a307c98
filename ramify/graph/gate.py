"""How far the `after` of a node reaches: where every node of a sketch stands, as its gates see it.

What a node is held up by holds up its children and the nodes in its arguments with it. What it names in `after` stands
beside it: held up by what the order of siblings asks of the node, but not by the node's own `after`, of which it is
part. A node that several hold or name stands where they meet, so that none of them holds it up for the others.
"""

from ramify.graph.sketch import Flat


def find_sites(flats: list[Flat]) -> list[int]:
    """Return where each of `n` nodes stands: inside a node (its number), beside one (`n` more), or on top (`2n`)."""
    n = len(flats)
    first, others = _find_holders(flats)
    above, depth = [2 * n] * (2 * n + 1), [0] * (2 * n + 1)
    # From the top down: who holds or first names a node comes after it in the sketch.
    for number in reversed(range(n)):
        site = first[number] if flats[number].parent >= 0 else 2 * n
        for other in others.get(number, ()):
            site = _meet(site, other, above, depth)
        above[number], above[n + number] = n + number, site
        depth[number], depth[n + number] = depth[site] + 2, depth[site] + 1
    return above[n:-1]


def _find_holders(flats: list[Flat]) -> tuple[list[int], dict[int, list[int]]]:
    """Return the first site of each node, and further ones where there are some: who holds it, else who names it."""
    n = len(flats)
    first, others = [2 * n] * n, dict[int, list[int]]()

    def add(number: int, site: int) -> None:
        if first[number] == 2 * n:
            first[number] = site
        else:
            others.setdefault(number, []).append(site)

    for number, flat in enumerate(flats):
        for child in flat.children:
            add(child, number)
    placed = [site < 2 * n for site in first]
    for number, flat in enumerate(flats):
        names = [(before, number) for before, _ in flat.slots] + [(before, n + number) for before, _ in flat.after]
        for before, site in names:
            if isinstance(before, int) and not placed[before]:
                add(before, site)
    return first, others


def _meet(one: int, other: int, above: list[int], depth: list[int]) -> int:
    """Return the lowest site that both lie in."""
    while one != other:
        if depth[one] > depth[other]:
            one = above[one]
        else:
            other = above[other]
    return one
