"""A bank: a transfer and its job end in one transaction, so whatever is killed, no money comes or goes.

It needs a PostgreSQL database: `DATABASE_URL=postgresql://me@host/database python bank.py`.

Prints:

    300 transfers between 10 accounts, by workers
    every transfer was made once
    the accounts hold 10,000 together, as before
"""

import os
import random

import psycopg

from ramify import Ramify, current, group, job, task

ACCOUNTS, TRANSFERS, START = 10, 300, 1_000


@task(tx=True, retry=3)
def transfer(number: int, source: int, target: int, amount: int) -> None:
    tx = current().tx  # a connection of psycopg, in a transaction that ends when this function has returned
    both = "SELECT id, balance FROM account WHERE id IN (%s, %s) ORDER BY id FOR UPDATE"
    if dict(tx.execute(both, [source, target]).fetchall())[source] < amount:
        amount = 0
    tx.execute("UPDATE account SET balance = balance - %s WHERE id = %s", [amount, source])
    tx.execute("UPDATE account SET balance = balance + %s WHERE id = %s", [amount, target])
    tx.execute("INSERT INTO made VALUES (%s)", [number])


def open_accounts(url: str) -> None:
    with psycopg.connect(url) as own:
        own.execute("CREATE TABLE account (id int PRIMARY KEY, balance int)")
        own.execute("CREATE TABLE made (number int)")
        own.execute("INSERT INTO account SELECT id, %s FROM generate_series(1, %s) AS id", [START, ACCOUNTS])


def main() -> None:
    url = os.environ["DATABASE_URL"]
    open_accounts(url)
    with Ramify(url, tasks=["__main__"]) as app, psycopg.connect(url) as own:
        pairs = [random.sample(range(1, ACCOUNTS + 1), 2) for _ in range(TRANSFERS)]
        jobs = [job(transfer, n, *pair, random.randint(1, 500)) for n, pair in enumerate(pairs)]
        app.enqueue(group(*jobs))
        print(f"{TRANSFERS} transfers between {ACCOUNTS} accounts, by workers")
        app.worker(burst=True).run()
        made = [n for (n,) in own.execute("SELECT number FROM made ORDER BY number")]
        print(f"every transfer was made {'once' if made == list(range(TRANSFERS)) else 'wrongly'}")
        [together] = own.execute("SELECT sum(balance) FROM account").fetchone() or [0]
        print(f"the accounts hold {together:,} together, as before")


if __name__ == "__main__":
    main()
