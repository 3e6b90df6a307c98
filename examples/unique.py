"""What must not be there twice: an unfinished job with the same arguments stands for a new one.

Prints:

    one job: True
    another page: False
    done, so it is added again: False
    a request that was repeated: True
"""

from ramify import Ramify, job, task


@task(unique=True)
def refresh(page: str) -> None: ...


@task
def order(number: int) -> None: ...


def main() -> None:
    with Ramify("memory:", tasks=["__main__"]) as app:
        first = app.enqueue(refresh, "home")
        print(f"one job: {app.enqueue(refresh, page='home') == first}")
        print(f"another page: {app.enqueue(refresh, 'news') == first}")
        app.run_until_empty()
        print(f"done, so it is added again: {app.enqueue(refresh, 'home') == first}")

        # Who does not know whether a submit arrived repeats it with the same request.
        once = app.enqueue(job(order, 17), request="order-17")
        app.run_until_empty()
        print(f"a request that was repeated: {app.enqueue(job(order, 17), request='order-17') == once}")


if __name__ == "__main__":
    main()
