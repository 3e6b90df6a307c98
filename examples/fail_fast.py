"""What becomes of a group when one of its jobs fails: by default the others finish, or they are cancelled.

Prints:

    finish: done failed done, so failed; what comes after is skipped
    fast: done failed cancelled, so failed; what comes after is skipped
    cleaning up is always done: done done
"""

from typing import Literal

from ramify import Job, Ramify, group, job

MODES: tuple[Literal["finish", "fast"], ...] = ("finish", "fast")


def work(number: int) -> int:
    if number == 2:
        raise ValueError("no second one")
    return number


def celebrate() -> None: ...


def clean_up() -> None: ...


def main() -> None:
    with Ramify("memory:", tasks=["__main__"]) as app:
        cleanups: list[Job[None]] = []
        for mode in MODES:
            whole = app.enqueue(group(*(job(work, number) for number in (1, 2, 3)), fail=mode))
            then = app.enqueue(job(celebrate).options(after=whole))
            # `when` says which end is waited for: done, failed, or ended, which is any.
            cleanups.append(app.enqueue(job(clean_up).options(after=whole, when="ended")))
            app.run_until_empty()
            states = " ".join(child.state for child in whole.children)
            print(f"{mode}: {states}, so {whole.state}; what comes after is {then.state}")
        print("cleaning up is always done:", *(cleanup.state for cleanup in cleanups))


if __name__ == "__main__":
    main()
