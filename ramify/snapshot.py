"""A stored tree as plain data: the project dictionary with what became of each node written into it."""

from typing import Any

from ramify.codec import decode
from ramify.ended import say
from ramify.model import JobId, Result, Row, State, Which
from ramify.stores.gather import pages, read_children
from ramify.stores.protocol import Store
from ramify.stores.read import each_row, read_results


def snapshot(store: Store, top: Row) -> dict[str, Any]:
    """Return the job and all under it. Done groups have their results as well; nothing recurses."""
    rows = {row.id: row for row in each_row(store, Which(tree=top.tree))} | {top.id: top}
    groups = sorted(id for id, row in rows.items() if row.size)
    children: dict[JobId, list[JobId]] = {}
    for page in pages(groups):
        children |= read_children(store, page)
    ended = [id for id, row in rows.items() if row.lane.task is not None or row.state is not State.DONE]
    results = {result.job: result for result in read_results(store, ended)}
    nodes: dict[JobId, dict[str, Any]] = {}
    stack = [top.id]
    while stack:
        id = stack[-1]
        missing = [child for child in children.get(id, ()) if child not in nodes and child in rows]
        if missing:
            stack += missing
            continue
        stack.pop()
        under = [nodes[child] for child in children.get(id, ()) if child in nodes]
        nodes[id] = _describe(rows[id], results.get(id, Result(id)), under)
    return nodes[top.id]


def _describe(row: Row, result: Result, under: list[dict[str, Any]]) -> dict[str, Any]:
    node: dict[str, Any] = {"id": row.id, "status": row.state.value}
    if row.label is not None:
        node["label"] = row.label
    if row.lane.task is not None:
        node["func"] = row.lane.task
    if under or row.lane.task is None:
        node["jobs"] = under
    if row.state is State.DONE:
        node["result"] = _value(result) if row.lane.task is not None else [child.get("result") for child in under]
    elif result.failure is not None:
        node["error"] = say(result.failure)
    return node


def _value(result: Result) -> object:
    if result.value is None:
        return None
    value = decode(result.value.json)
    return tuple(value) if result.value.spread and isinstance(value, list) else value
