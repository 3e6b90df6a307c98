"""Held work: put a tree together in steps, look at it, then let it go all at once, or never.

Prints:

    nothing ran: held held held
    bake the bread
    bake the cake
    open the shop
    done done done
"""

from ramify import Ramify, group, job


def bake(what: str) -> None:
    print(f"bake the {what}")


def open_shop() -> None:
    print("open the shop")


def main() -> None:
    with Ramify("memory:", tasks=["__main__"]) as app:
        morning = app.enqueue(group(job(bake, "bread")).options(hold=True))
        # While it is held, more can be added; afterwards this raises `AlreadyReleased`.
        morning.add(job(bake, "cake"))
        # A job of its own that waits for the morning, and is let go with it.
        opening = app.enqueue(job(open_shop).options(after=morning, hold=morning))

        app.run_until_empty()
        jobs = [*morning.children, opening]
        print("nothing ran:", *(each.state for each in jobs))

        morning.release()
        app.run_until_empty()
        print(*(each.state for each in jobs))


if __name__ == "__main__":
    main()
