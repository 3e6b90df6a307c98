"""`async def` tasks of one process run at the same time, on one event loop.

Prints:

    50 answers in less than the 5 seconds that they take in turn
"""

import asyncio
import time

from ramify import Ramify, group, job


async def ask(number: int) -> str:
    await asyncio.sleep(0.1)
    return f"answer {number}"


def main() -> None:
    with Ramify("memory:", tasks=["__main__"]) as app:
        questions = app.enqueue(group(*(job(ask, number) for number in range(50))))
        began = time.monotonic()
        app.worker(children=1, burst=True).run()
        took = time.monotonic() - began
        answers = questions.result()
        print(f"{len(answers)} answers in {'less' if took < 5 else 'more'} than the 5 seconds that they take in turn")


if __name__ == "__main__":
    main()
