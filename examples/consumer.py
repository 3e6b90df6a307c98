"""What may be queued: the producer imports these functions to name them, the worker to run them.

    ramify worker consumer

in this directory runs what `producer.py` puts into the queue, here and in `ramify.db`, until Ctrl-C.

Prints:

    4 words
"""


def count_words(text: str) -> int:
    """Return how many words a text has."""
    return len(text.split())


def tell(words: int) -> None:
    """Say how many words there are, in the worker's terminal; return nothing, which is a result like any other."""
    print(f"{words} words")


if __name__ == "__main__":
    tell(count_words("functions are just functions"))
