"""A ray caster in one page: three balls on a chessboard under a sun that goes round. It stands for any renderer.

`python render.py FRAME FRAMES WIDTH HEIGHT FILE` writes one frame as PPM and says, line by line, how far it is.
"""

import math
import sys

BALLS = [
    ((0.0, 1.0, 0.0), 1.0, (230, 70, 60)),
    ((1.9, 0.6, 0.6), 0.6, (70, 150, 230)),
    ((-1.6, 0.5, -0.9), 0.5, (90, 200, 90)),
]
Vector = tuple[float, float, float]


def add(a: Vector, b: Vector, times: float = 1.0) -> Vector:
    return a[0] + b[0] * times, a[1] + b[1] * times, a[2] + b[2] * times


def dot(a: Vector, b: Vector) -> float:
    return a[0] * b[0] + a[1] * b[1] + a[2] * b[2]


def unit(a: Vector) -> Vector:
    return add((0, 0, 0), a, 1 / math.sqrt(dot(a, a)))


def hit(eye: Vector, ray: Vector) -> tuple[float, Vector, tuple[int, int, int]] | None:
    """Return how far the nearest thing is, which way its surface looks there, and its colour."""
    found = None
    if ray[1] < -1e-6:
        far = -eye[1] / ray[1]
        x, _, z = add(eye, ray, far)
        found = (far, (0.0, 1.0, 0.0), (225, 220, 205) if (math.floor(x) + math.floor(z)) % 2 else (120, 115, 110))
    for centre, radius, colour in BALLS:
        to = add(eye, centre, -1)
        half, rest = dot(to, ray), dot(to, to) - radius**2
        if (square := half**2 - rest) > 0 and 1e-3 < (far := -half - math.sqrt(square)) < (found[0] if found else 1e9):
            found = (far, unit(add(add(eye, ray, far), centre, -1)), colour)
    return found


def colour(eye: Vector, ray: Vector, sun: Vector, depth: int = 2) -> Vector:
    """Return the light that comes along a ray."""
    found = hit(eye, ray)
    if found is None:
        return 120 + 90 * ray[1], 165 + 60 * ray[1], 235.0
    far, normal, own = found
    place = add(add(eye, ray, far), normal, 1e-3)
    light = 0.25 + (0.75 * max(0.0, dot(normal, sun)) if hit(place, sun) is None else 0.0)
    lit = (own[0] * light, own[1] * light, own[2] * light)
    if normal == (0.0, 1.0, 0.0):
        haze = min(1.0, far / 30)  # or the squares far away would flicker
        return add(add((0, 0, 0), lit, 1 - haze), (120, 165, 235), haze)
    if not depth:
        return lit
    mirrored = colour(place, add(ray, normal, -2 * dot(ray, normal)), sun, depth - 1)
    return add(add((0, 0, 0), lit, 0.75), mirrored, 0.25)


def main(frame: int, frames: int, width: int, height: int, file: str) -> None:
    turn = 2 * math.pi * frame / frames
    sun = unit((math.cos(turn), 1.2, math.sin(turn)))
    pixels = bytearray()
    for line in range(height):
        for column in range(width):
            ray = unit(((2 * column - width) / height, (height - 2 * line) / height - 0.35, 2.2))
            pixels += bytes(min(255, int(part)) for part in colour((0.0, 1.8, -5.5), ray, sun))
        print(f"Line {line + 1}/{height}", flush=True)
    with open(file, "wb") as out:
        out.write(f"P6 {width} {height} 255\n".encode() + pixels)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:5]), sys.argv[5])
