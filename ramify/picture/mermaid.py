"""A folded tree as the text of a Mermaid graph, for a page or an issue: an arrow goes from what runs first.

A full arrow leads from a child to the job above it, a dotted one to a job that runs after another.
"""

from collections.abc import Container, Iterator, Mapping
from typing import Final

from ramify.model import JobId, Kind, Row, State, When
from ramify.picture.fold import Branch, is_join, read_tree
from ramify.stores.protocol import Store
from ramify.stores.read import read_rows

MOST: Final = 200
"""So many jobs, or lines of jobs alike, become a node; the others are counted."""

LONG: Final = 60
"""So many letters of a name are shown."""

AFTERS: Final = 50
"""So many of the jobs that one waits for are looked at."""

FILLS: Final = {
    State.HELD: "#e7d6f5",
    State.WAITING: "#eceff1",
    State.READY: "#cdeef5",
    State.RUNNING: "#ffe9a8",
    State.DONE: "#cdeccd",
    State.FAILED: "#f8c9c9",
    State.CANCELLED: "#e7d6f5",
    State.SKIPPED: "#eceff1",
}


def draw_mermaid(store: Store, top: Row, depth: int) -> str:
    """Return the job and `depth` levels under it as a Mermaid graph of at most `MOST` nodes or so."""
    root = read_tree(store, top, depth)
    lines = ["graph LR"]
    keys: dict[JobId, str] = {}
    states: dict[State, list[str]] = {}
    for number, (branch, above) in enumerate(_walk(root)):
        known = keys.get(branch.row.id) if branch.row is not None else None
        key = known or f"j{number}"
        if known is None:
            lines.append(f'{key}["{_label(branch)}"]')
            states.setdefault(branch.state, []).append(key)
        if branch.row is not None:
            keys[branch.row.id] = key
        if above is not None and above.row is not None:
            lines.append(f"{key} --> {keys[above.row.id]}")
        if branch.more and known is None:
            lines += [f'{key}m["… {branch.more:,} more"]', f"{key}m --> {key}"]
    lines += _draw_afters(store, keys)
    for state in sorted(states):
        lines.append(f"classDef {state} fill:{FILLS[state]},stroke:#607d8b,color:#1c1c1c")
        lines.append(f"class {','.join(states[state])} {state}")
    return "\n  ".join(lines) + "\n"


def _walk(root: Branch) -> Iterator[tuple[Branch, Branch | None]]:
    """Yield branches with what is above each, a level at a time; where there are too many, what is cut is counted."""
    level: list[tuple[Branch, Branch | None]] = [(root, None)]
    room = MOST
    while level:
        room -= len(level)
        below: list[tuple[Branch, Branch | None]] = []
        for branch, _ in level:
            shown = branch.children[: max(0, room - len(below))]
            below += [(child, branch) for child in shown]
            branch.more += sum(child.n for child in branch.children[len(shown) :])
        yield from level
        level = below


def _label(branch: Branch) -> str:
    name = branch.name if len(branch.name) <= LONG else branch.name[: LONG - 1] + "…"
    return escape(name + (f" × {branch.n:,}" if branch.n > 1 else "") + f" · {branch.state}")


def escape(text: str) -> str:
    """Return the text as Mermaid shows it: what means something there, or in HTML, is written by its number."""
    return "".join(f"#{ord(letter)};" if letter in '"#&<>`;\\[]{}()|' else letter for letter in text)


def _draw_afters(store: Store, keys: Mapping[JobId, str]) -> Iterator[str]:
    """Yield the dotted arrows: who waits for whom, but not where the job above waits for the same."""
    rows = read_rows(store, list(keys))
    afters = {id: _read_befores(store, id, keys) for id in keys}
    for id, befores in afters.items():
        above = afters.get(rows[id].parent or "", {})
        for before, when in befores.items():
            # What came as an argument hangs under its job already.
            if before not in above and rows[before].parent != id:
                words = "" if when is When.DONE else f"|{when}|"
                yield f"{keys[before]} -.->{words} {keys[id]}"


def _read_befores(store: Store, id: JobId, keys: Container[JobId]) -> dict[JobId, When]:
    """Return which of the jobs this one runs after, also through the joins that stand between them."""
    befores: dict[JobId, When] = {}
    stack, seen = [id], {id}
    while stack:
        edges = [edge for edge in store.edges([stack.pop()], size=AFTERS) if edge.kind is Kind.AFTER]
        befores |= {edge.before: edge.when for edge in edges if edge.before in keys}
        others = read_rows(
            store, [edge.before for edge in edges if edge.before not in keys and edge.before not in seen]
        )
        stack += [other for other, row in others.items() if is_join(row)]
        seen |= others.keys()
    return befores
