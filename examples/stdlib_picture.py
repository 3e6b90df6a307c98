"""The picture of `stdlib_report.py`: who imports whom, as a circle. There are no jobs in here."""

import math
from collections import Counter
from collections.abc import Iterator
from html import escape

MODULES = 84
SIZE, RADIUS = 1000, 350


def draw(imports: dict[str, list[str]], sizes: dict[str, int]) -> str:
    """Return an SVG of the modules that are most connected. A dot is as large as its module has lines; a curve leads
    from each module, in its colour, to what it imports. Where the pointer rests, its curves stand out.
    """
    public = {name for name in sizes if not name.startswith("_") and name not in {"test", "this", "antigravity"}}
    pairs = [(name, used) for name in public for used in imports.get(name, ()) if used in public]
    connected = Counter(name for pair in pairs for name in pair)
    names = sorted(name for name, _ in connected.most_common(MODULES))
    angles = {name: 2 * math.pi * place / len(names) - math.pi / 2 for place, name in enumerate(names)}
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {SIZE} {SIZE}" font-family="Helvetica, sans-serif">',
        "<style>path { fill: none; stroke-opacity: .22 } g:hover path { stroke-opacity: 1; stroke-width: 1.8 } "
        "text { font-size: 11.5px; fill: #333 } g:hover text { font-weight: bold }</style>",
        f'<rect width="{SIZE}" height="{SIZE}" fill="#fcfbf8"/>',
    ]
    for name in names:
        used = [module for module in imports.get(name, ()) if module in angles and module != name]
        parts += ["<g>", *_module(name, used, angles, sizes[name]), "</g>"]
    parts.append(
        '<text x="24" y="36" style="font-size: 19px">Who imports whom in the standard library</text>'
        f'<text x="24" y="56">the {len(names)} most connected modules; a curve has the colour of who imports</text>'
    )
    return "\n".join([*parts, "</svg>"]) + "\n"


def _module(name: str, used: list[str], angles: dict[str, float], lines: int) -> Iterator[str]:
    angle = angles[name]
    colour = f"hsl({math.degrees(angle) % 360:.0f}, 62%, 42%)"
    x, y = _point(angle, RADIUS)
    for module in used:
        end_x, end_y = _point(angles[module], RADIUS)
        # Drawn towards the middle, so that curves between neighbours stay near the rim.
        apart = abs(math.sin((angle - angles[module]) / 2))
        bend_x, bend_y = _point(
            (angle + angles[module]) / 2, RADIUS * (1 - apart) * math.copysign(0.9, _inner(angle, angles[module]))
        )
        yield f'<path d="M{x:.1f} {y:.1f} Q{bend_x:.1f} {bend_y:.1f} {end_x:.1f} {end_y:.1f}" stroke="{colour}"/>'
    dot = 1.5 + math.sqrt(lines) / 16
    yield f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{dot:.1f}" fill="{colour}"/>'
    label_x, label_y = _point(angle, RADIUS + dot + 8)
    left = math.cos(angle) < 0
    turned = math.degrees(angle) + (180 if left else 0)
    yield (
        f'<text x="{label_x:.1f}" y="{label_y:.1f}" dy=".35em" text-anchor="{"end" if left else "start"}" '
        f'transform="rotate({turned:.1f} {label_x:.1f} {label_y:.1f})">{escape(name)}</text>'
    )


def _inner(one: float, other: float) -> float:
    """Return 1 if the mean of two angles points between them, -1 if it points to the far side."""
    return 1.0 if abs(one - other) <= math.pi else -1.0


def _point(angle: float, radius: float) -> tuple[float, float]:
    return SIZE / 2 + radius * math.cos(angle), SIZE / 2 + 15 + radius * math.sin(angle)
