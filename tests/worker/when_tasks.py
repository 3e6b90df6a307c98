"""Tasks that run at certain times, or not at all."""

from datetime import timedelta

from ramify import task


@task(cron="*/10 * * * *")
def last(n: int = 1) -> int:
    return n


@task(cron="*/10 * * * *", missed="skip", label="never late")
def skip() -> None: ...


@task(cron="*/10 * * * *", missed="all", queue="slow")
def every() -> None: ...


@task(start_before=timedelta(minutes=5))
def soon() -> str:
    return "in time"


@task(limit=3)
def limited() -> None: ...
