"""Results as the types that their functions promise: JSON becomes what the return annotation says.

A wrong annotation is no reason to keep a result from its reader, so what does not fit stays plain.
"""

import sys
from typing import Any

from ramify.codec import annotations, decode, restore
from ramify.errors import BadArguments
from ramify.model import Value
from ramify.node import AnyNode
from ramify.task import Function


def restore_result(stored: Value, node: AnyNode | None, task: str | None) -> Any:
    """Return a result as the function promises it; of a group, each as its own function promises it.

    Without a node the function is looked for among the modules that are loaded; nothing is imported.
    """
    value = decode(stored.json)
    value = _as_promised(value, _find(task), False) if node is None else _restore_nodes(value, node)
    return tuple(value) if stored.spread and isinstance(value, list) else value


def _restore_nodes(value: object, node: AnyNode) -> object:
    """Restore the results of a group's nodes in place; jobs that were added later have no node and stay plain."""
    whole = [value]
    todo: list[tuple[list[Any], int, AnyNode]] = [(whole, 0, node)]
    while todo:
        place, index, node = todo.pop()
        if node.task is not None:
            place[index] = _as_promised(place[index], node.function or _find(node.task), node.how.policy.project)
        elif isinstance(place[index], list):
            todo += [(place[index], number, child) for number, child in enumerate(node.children)]
    return whole[0]


def _as_promised(value: object, function: Function | None, project: bool) -> object:
    # A function that adds jobs returns its result inside a dictionary, so its annotation speaks of something else.
    if function is None or project:
        return value
    try:
        return restore(value, annotations(function).get("return", Any))
    except BadArguments:
        return value


def _find(task: str | None) -> Function | None:
    module, _, name = (task or "").partition(":")
    function = getattr(sys.modules.get(module), name, None)
    return function if callable(function) else None
