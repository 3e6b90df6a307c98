"""A folded tree as lines of text in colour; what failed says why, what runs says how far it is."""

from collections.abc import Iterator

from rich.cells import cell_len
from rich.text import Text

from ramify.ended import say
from ramify.model import Result, State
from ramify.picture.fold import Branch
from ramify.picture.words import coloured, plain
from ramify.stores.protocol import Store
from ramify.stores.read import read_results

ID_WIDTH = 26
STATE_WIDTH = 9


def draw_tree(store: Store, root: Branch, width: int, ids: bool = True) -> list[Text]:
    """Return the tree as lines at most `width` wide, with the id of each job that has a line of its own."""
    told = [branch for branch in _walk(root) if branch.state in {State.FAILED, State.RUNNING}]
    results = {result.job: result for result in read_results(store, {b.row.id for b in told if b.row is not None})}
    lines: list[Text] = []
    # (branch, what stands before it, what stands before those under it)
    stack = [(root, "", "")]
    while stack:
        branch, guide, below = stack.pop()
        result = results.get(branch.row.id) if branch.row is not None else None
        lines.append(_draw(branch, guide, result, width, ids))
        if reason := _reason(branch, result):
            bar = "│  " if branch.children else "   "
            lines.append(Text(f"{below}{bar}", "bright_black").append(reason, "red"))
        last = len(branch.children) - 1
        under = [
            (child, below + ("└─ " if place == last else "├─ "), below + ("   " if place == last else "│  "))
            for place, child in enumerate(branch.children)
        ]
        stack += reversed(under)
    return lines


def _draw(branch: Branch, guide: str, result: Result | None, width: int, ids: bool) -> Text:
    line = (
        Text()
        .append(guide, "bright_black")
        .append_text(coloured(branch.state, f"{branch.state.value:<{STATE_WIDTH}} "))
    )
    name = branch.name + (f" × {branch.n:,}" if branch.n > 1 else "")
    if branch.percent or (branch.percent is not None and branch.state is State.RUNNING):
        name += f"  {branch.percent} %"
    if branch.state is State.RUNNING and result is not None and result.status:
        name += f"  {plain(result.status)}"
    if branch.shared:
        name += "  (shown elsewhere)"
    elif branch.more:
        name += f"  (… {branch.more:,}{' more' if branch.children else ''} below)"
    if not ids or branch.row is None:
        line.append(name)
        line.truncate(width, overflow="ellipsis")
        return line
    # An id that is cut is no id, so the name gives way.
    room = max(8, width - cell_len(line.plain) - ID_WIDTH - 2)
    shown = Text(name)
    shown.truncate(room, overflow="ellipsis")
    return line.append_text(shown).append(f"  {branch.row.id}", "bright_black")


def _reason(branch: Branch, result: Result | None) -> str:
    failure = result.failure if result is not None and branch.state is State.FAILED else None
    # That a child failed is seen one line below.
    return plain(say(failure).partition("\n")[0]) if failure is not None and failure.kind != "cause" else ""


def _walk(root: Branch) -> Iterator[Branch]:
    stack = [root]
    while stack:
        branch = stack.pop()
        yield branch
        stack += branch.children
