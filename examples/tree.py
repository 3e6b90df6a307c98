"""Work as a tree: groups, series, and one job that uses the result of another.

Prints:

    a function            2
    a group               [2, 4]
    groups in a series    [[2, 4], 6]
    a reference           [2, 4, 6]
    a join                12
"""

from ramify import Ramify, group, job, series


def double(x: int) -> int:
    return 2 * x


def total(numbers: list[int]) -> int:
    return sum(numbers)


def main() -> None:
    with Ramify("memory:", tasks=["__main__"]) as app:
        alone = app.enqueue(double, 1)
        both = app.enqueue(group(job(double, 1), job(double, 2)))
        ordered = app.enqueue(series(group(job(double, 1), job(double, 2)), job(double, 3)))

        # One node in two places is one job: here it is the first of the group and the argument of the second.
        first = job(double, 1)
        linked = app.enqueue(group(first, job(double, first), job(double, 3)))

        # The result of a group is the list of its results, so this is how many become one.
        joined = app.enqueue(job(total, group(job(double, 1), job(double, 2), job(double, 3))))

        app.run_until_empty()

        print("a function           ", alone.result())
        print("a group              ", both.result())
        print("groups in a series   ", ordered.result())
        print("a reference          ", linked.result())
        print("a join               ", joined.result())


if __name__ == "__main__":
    main()
