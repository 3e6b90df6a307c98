"""Jobs that add jobs: nobody needs to know the whole tree before it runs.

Prints:

    split 1..8
    split 1..4
    split 5..8
    split 1..2
    split 3..4
    split 5..6
    split 7..8
    leaves: [1, 2, 3, 4, 5, 6, 7, 8]
    project: [4, 8, 10]
"""

from ramify import Ramify, current, job


def split(low: int, high: int) -> None:
    """Halve a range until there is one number left. The job is done when what it spawned is."""
    print(f"split {low}..{high}")
    middle = (low + high) // 2
    for half_low, half_high in ((low, middle), (middle + 1, high)):
        current().spawn(job(leaf, half_low) if half_low == half_high else job(split, half_low, half_high))


def leaf(number: int) -> int:
    return number


def double(x: int) -> int:
    return 2 * x


def add_jobs(n: int) -> dict[str, object]:
    """In a project, a job may return the jobs to add: they go to the end of the array it is in."""
    return {"result": 2 * n, "addJobs": [{"func": double, "args": 2 * n + i} for i in range(n)]}


def main() -> None:
    with Ramify("memory:", tasks=["__main__"]) as app:
        app.enqueue(split, 1, 8)
        project = app.enqueue({"jobs": [{"func": add_jobs, "args": 2}]})
        app.run_until_empty()
        leaves = [leaf.result() for leaf in app.jobs(tasks=["__main__:leaf"])]
        print("leaves:", sorted(leaves))
        print("project:", project.result())


if __name__ == "__main__":
    main()
