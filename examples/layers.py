"""Layers: 1,000 jobs of which each waits for all of the layer before, stored all or none in one step.

A layer is a group, and the next one waits for that: 2n edges between n and n jobs, not n².

Prints:

    5 layers of 200, 1,000 jobs in one batch
    layer 1: 0 to 199
    layer 2: 200 to 399
    layer 3: 400 to 599
    layer 4: 600 to 799
    layer 5: 800 to 999
"""

from ramify import Ramify, group, job, series

LAYERS, WIDTH = 5, 200


def work(layer: int, number: int) -> int:
    return layer * WIDTH + number


def main() -> None:
    with Ramify("memory:", tasks=["__main__"]) as app:
        layers = [group(*(job(work, layer, number) for number in range(WIDTH))) for layer in range(LAYERS)]
        whole = app.enqueue(series(*layers))
        print(f"{LAYERS} layers of {WIDTH}, {app.counts('task')['__main__:work']:,} jobs in one batch")
        app.run_until_empty()
        for layer, numbers in enumerate(whole.result(), 1):
            print(f"layer {layer}: {numbers[0]} to {numbers[-1]}")


if __name__ == "__main__":
    main()
