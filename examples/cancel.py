"""Cancel a tree: what is done stays done, what runs is told (a worker kills it if it goes on), what waits never runs.

Prints:

    step 1 runs
    step 2 runs
    step 2 is told to stop
    step 1 is done
    step 2 is cancelled
    step 3 is cancelled
    JobCancelled
"""

import time

from ramify import JobCancelled, Ramify, current, job, series

app = Ramify("memory:", tasks=["__main__"])


def step(number: int) -> None:
    print(f"step {number} runs")
    if number == 2:
        # Usually somebody else does this: another program, or `ramify cancel`.
        next(app.jobs(roots=True)).cancel()
        while not current().cancelled:
            time.sleep(0.01)
        print(f"step {number} is told to stop")
        raise InterruptedError("stopped half-way")  # without this it would be done: it has returned


def main() -> None:
    with app:
        tree = app.enqueue(series(*(job(step, number) for number in (1, 2, 3))))
        app.run_until_empty()
        for number, child in enumerate(tree.children, 1):
            print(f"step {number} is {child.state}")
        try:
            tree.result()
        except JobCancelled as error:
            print(type(error).__name__)


if __name__ == "__main__":
    main()
