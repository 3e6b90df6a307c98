"""Joins frames (PPM) to an animated picture (APNG), with what Python brings along: `python join.py FILE FRAME…`."""

import struct
import sys
import zlib
from pathlib import Path


def chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def read(path: str) -> tuple[int, int, bytes]:
    """Return width and height of a frame, and its pixels as PNG packs them: a zero before each line."""
    head, _, pixels = Path(path).read_bytes().partition(b"\n")
    width, height = (int(word) for word in head.split()[1:3])
    return width, height, b"".join(b"\0" + pixels[y * width * 3 : (y + 1) * width * 3] for y in range(height))


def main(file: str, *paths: str) -> None:
    parts: list[bytes] = []
    number = 0
    for place, path in enumerate(paths):
        width, height, pixels = read(path)
        if place == 0:
            parts.append(chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)))
            parts.append(chunk(b"acTL", struct.pack(">II", len(paths), 0)))
        parts.append(chunk(b"fcTL", struct.pack(">IIIIIHHBB", number, width, height, 0, 0, 1, 10, 0, 0)))
        data = zlib.compress(pixels)
        parts.append(chunk(b"IDAT", data) if place == 0 else chunk(b"fdAT", struct.pack(">I", number + 1) + data))
        number += 1 if place == 0 else 2
    Path(file).write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(parts) + chunk(b"IEND", b""))
    print(f"{file}: {len(paths)} frames of {width} x {height}")


if __name__ == "__main__":
    main(*sys.argv[1:])
