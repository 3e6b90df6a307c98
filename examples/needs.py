"""Tasks say what they need. Whoever asks for a report need not know that numbers must be fetched first, and only once.

Prints:

    fetching monday
    report of monday, long
    report of monday, short
    fetching tuesday
    report of tuesday, short
    kind must be one of 'short','long', not 'tall'
"""

from typing import Literal

from ramify import BadArguments, Ramify, needs, same, task


@task
def fetch(day: str) -> None:
    print(f"fetching {day}")


# Any fetch of the same day will do that was done within six hours; one that runs is waited for.
@task(needs=needs(fetch, within="6h", day=same))
def report(day: str, kind: Literal["short", "long"] = "short") -> None:
    print(f"report of {day}, {kind}")


def main() -> None:
    with Ramify("memory:", tasks=["__main__"]) as app:
        app.enqueue(report, "monday", "long")
        app.enqueue(report, "monday")
        app.run_until_empty()
        app.enqueue(report, "tuesday")
        app.run_until_empty()
        try:
            app.enqueue(report, "monday", kind="tall")  # type: ignore[arg-type]
        except BadArguments as error:
            print(str(error).partition(": ")[2])


if __name__ == "__main__":
    main()
