"""Put right what was wrong, and go on: `retry` runs again what failed and what was skipped, never what is done.

Prints:

    download
    unpack
    JobFailed: unpack: the disk is full
    unpack
    install
    [1, 2, 3]
"""

import tempfile
from pathlib import Path

from ramify import JobFailed, Ramify, job, series

ROOM = Path(tempfile.mkdtemp()) / "room"


def download() -> int:
    print("download")
    return 1


def unpack() -> int:
    print("unpack")
    if not ROOM.exists():
        raise OSError("the disk is full")
    return 2


def install() -> int:
    print("install")
    return 3


def main() -> None:
    with Ramify("memory:", tasks=["__main__"]) as app:
        setup = app.enqueue(series(job(download), job(unpack), job(install)))
        app.run_until_empty()
        try:
            setup.result()
        except JobFailed as error:
            print(f"JobFailed: unpack: {error.error.message}")

        ROOM.touch()
        setup.retry()
        app.run_until_empty()
        print(setup.result())


if __name__ == "__main__":
    main()
