"""Puts work into the queue and waits until all of it is done; `ramify worker consumer` runs it, in another terminal.

Prints:

    queued 4 jobs
    "to be or not to be" has 6 words
    "that is the question" has 4 words
    all is done
"""

from consumer import count_words, tell

from ramify import Ramify, State, job

TEXTS = ["to be or not to be", "that is the question"]


def main() -> None:
    # The store that the worker reads too: here `ramify.db` in this directory, or that of $RAMIFY_URL.
    with Ramify() as app:
        counts = [app.enqueue(count_words, text) for text in TEXTS]
        told = [app.enqueue(job(tell, count)) for count in counts]
        print(f"queued {len(counts + told)} jobs")

        # An id is all it takes to ask again later, from any program: app.job(id).state, `ramify result ID`.
        ids = [count.id for count in counts]

        # Each of them as it ends. Whether it has is a matter of its state: the result may well be None.
        for ended in app.as_completed(counts + told, timeout=60):
            assert ended.state is State.DONE, ended.error

        for text, id in zip(TEXTS, ids, strict=True):
            print(f'"{text}" has {app.job(id).result()} words')
        print("all is done")


if __name__ == "__main__":
    main()
