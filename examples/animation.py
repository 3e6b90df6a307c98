"""A film from a render farm: programs render frames, two workers share a directory, the last job joins the frames.

The workers are started here. By hand that is, in as many terminals and on as many machines as share the directory,

    ramify worker ramify.programs --url dir:///mnt/farm/queue

and `ramify tree ID`, or a look into the directory, shows how far it is. In a terminal this program shows it too.

Prints:
    jobs/1: film, done
    jobs/1/8: frame 8, done
    progress only grew, to 100 %
    film.png: 8 frames of 96 x 64
"""

import subprocess
import sys
import time
from itertools import pairwise
from pathlib import Path

from ramify import Job, Ramify, group, shell

FRAMES, WIDTH, HEIGHT = 8, 96, 64
FILM = Path(__file__).parent / "film"


def look(film: Job[int]) -> list[int]:
    """Return how far the film was, again and again, until it is done."""
    seen = [0]
    while film.state not in ("done", "failed"):
        seen.append(film.progress or 0)
        if sys.stderr.isatty():
            print(f"\033[H\033[J{film.draw()}", file=sys.stderr)
        time.sleep(0.1)
    return [*seen, film.progress or 0]


if __name__ == "__main__":
    names = [f"frame-{number}.ppm" for number in range(1, FRAMES + 1)]
    frames = []
    for number, name in enumerate(names, 1):
        command = [sys.executable, str(FILM / "render.py"), *map(str, (number, FRAMES, WIDTH, HEIGHT)), name]
        render = shell(command, progress=r"Line (\d+)/(\d+)", directory=Path.cwd())
        frames.append(render.options(label=f"frame {number}"))
    join = shell([sys.executable, str(FILM / "join.py"), "film.png", *names], directory=Path.cwd())
    with Ramify("dir:queue") as app:
        film = app.enqueue(group(*frames, body=join, label="film"))
        worker = ["ramify.cli", "worker", "ramify.programs", "--url", app.url, "-n", "1", "--burst"]
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        workers = [subprocess.Popen([sys.executable, "-m", *worker], **quiet) for _ in range(2)]
        seen = look(film)
        assert [each.wait() for each in workers] == [0, 0]

        for job in ("jobs/1", f"jobs/1/{FRAMES}"):
            print(f"{job}:", ", ".join(Path("queue", job, name).read_text().strip() for name in ("label", "state")))
        print(f"progress only {'grew' if all(a <= b for a, b in pairwise(seen)) else 'jumped'}, to {seen[-1]} %")
        print(film.log()[-1].text)
