"""The film of the example is a film: a picture with as many frames as were rendered, each of them different."""

import os
import struct
import subprocess
import sys
import zlib
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def chunks(picture: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield the parts of a PNG, checked."""
    assert picture[:8] == b"\x89PNG\r\n\x1a\n"
    at = 8
    while at < len(picture):
        size, name = struct.unpack_from(">I4s", picture, at)
        data = picture[at + 8 : at + 8 + size]
        assert zlib.crc32(name + data) == struct.unpack_from(">I", picture, at + 8 + size)[0]
        yield name, data
        at += 12 + size


@pytest.mark.slow
def test_the_film_has_all_frames(tmp_path: Path) -> None:
    """Programs on two workers rendered them, and the root joined them after all."""
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    subprocess.run(
        [sys.executable, ROOT / "examples/animation.py"], cwd=tmp_path, env=environment, check=True, timeout=50
    )

    parts = list(chunks((tmp_path / "film.png").read_bytes()))
    width, height, depth, kind = struct.unpack_from(">IIBB", dict(parts)[b"IHDR"])
    assert (width, height, depth, kind) == (96, 64, 8, 2)
    assert struct.unpack(">II", dict(parts)[b"acTL"]) == (8, 0)
    numbers = [struct.unpack_from(">I", data)[0] for name, data in parts if name in (b"fcTL", b"fdAT")]
    assert numbers == list(range(len(numbers)))
    frames = [
        zlib.decompress(data if name == b"IDAT" else data[4:]) for name, data in parts if name in (b"IDAT", b"fdAT")
    ]
    assert {len(frame) for frame in frames} == {height * (1 + 3 * width)}
    assert len(set(frames)) == len(frames) == 8
    rendered = [(tmp_path / f"queue/jobs/1/{number}/output").read_text() for number in range(1, 9)]
    assert all(text.splitlines()[-1] == "  Line 64/64" for text in rendered)
    assert (tmp_path / "queue/jobs/1/output").read_text() == "  film.png: 8 frames of 96 x 64\n"
