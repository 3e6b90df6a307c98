"""A job that fails is tried again, after a pause that grows; then it is done as if nothing had been.

Prints:

    try 1: the line is busy
    try 2: the line is busy
    try 3: hello
    done: hello
    failed: wrong number
"""

from ramify import Fail, JobFailed, Ramify, Retry, current, task


# Worth another try is only what may go better next time: here, errors of the connection.
@task(retry=Retry(times=5, backoff=0.02, factor=2, on=("ConnectionError",)))
def call(number: str) -> str:
    if number == "0":
        raise Fail("wrong number")
    if current().attempt < 3:
        print(f"try {current().attempt}: the line is busy")
        raise ConnectionError("the line is busy")
    print(f"try {current().attempt}: hello")
    return "hello"


def main() -> None:
    with Ramify("memory:", tasks=["__main__"]) as app:
        good = app.enqueue(call, "555-2368")
        bad = app.enqueue(call, "0")
        app.run_until_empty()
        print(f"{good.state}: {good.result()}")
        try:
            bad.result()
        except JobFailed:
            print(f"{bad.state}: {bad.error.message if bad.error else ''}")


if __name__ == "__main__":
    main()
