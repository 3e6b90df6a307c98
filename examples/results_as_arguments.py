"""A node as an argument means: run after it, and hand over its result.

Prints:

    12 words, 5 of them different
    the: 4
"""

from collections import Counter

from ramify import Ramify, group, job

TEXT = ["the cat saw the dog", "the dog saw the cat and saw"]


def count(line: str) -> dict[str, int]:
    return Counter(line.split())


def merge(counts: list[dict[str, int]]) -> dict[str, int]:
    return sum((Counter(one) for one in counts), Counter())


def find_most(words: dict[str, int]) -> str:
    return max(words, key=lambda word: words[word])


def report(words: dict[str, int], most: str) -> str:
    return f"{sum(words.values())} words, {len(words)} of them different\n{most}: {words[most]}"


def main() -> None:
    with Ramify("memory:", tasks=["__main__"]) as app:
        words = job(merge, group(*(job(count, line) for line in TEXT)))
        # Nobody says in which order: it follows from who needs whose result. `words` is named twice and runs once.
        text = app.enqueue(job(report, words, job(find_most, words)))
        app.run_until_empty()
        print(text.result())


if __name__ == "__main__":
    main()
