"""A project as plain data: what `ramify run` reads from JSON and TOML, and other programs may write.

Prints:

    [[2, 4], 4, 6]
    done     project
    done       group
    done         double
    done         double
    done       double
    done       double
"""

from typing import Any

from ramify import Ramify


def double(x: int) -> int:
    return 2 * x


PROJECT = {
    "jobs": [
        # The jobs after a blocking one wait for it, with all that is in it.
        {"blocking": True, "jobs": [{"func": double, "args": 1}, {"func": double, "args": 2}]},
        {"func": double, "args": 2},
        {"func": double, "args": 3},
    ]
}


def show(node: dict[str, Any], depth: int = 0) -> None:
    name = node.get("func", "group" if depth else "project").rpartition(":")[2]
    print(f"{node['status']:9}{'  ' * depth}{name}")
    for child in node.get("jobs", []):
        show(child, depth + 1)


def main() -> None:
    with Ramify("memory:", tasks=["__main__"]) as app:
        project = app.enqueue(PROJECT)
        app.run_until_empty()
        print(project.result())
        # The same project again, with what became of each job written into it.
        show(project.tree())


if __name__ == "__main__":
    main()
