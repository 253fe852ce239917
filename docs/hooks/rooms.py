"""The figure of rooms: which imports which, read from the sources when the site is built."""

from __future__ import annotations

import ast
from itertools import pairwise
from pathlib import Path

from figures import BLUE, ORANGE

PACKAGE = Path(__file__).parent.parent.parent / "tinygrad_mnist"
COLORS = {"autodiff": BLUE, "nn": BLUE, "optim": BLUE, "byhand": ORANGE}
"""The two derivations."""
WIDTH, STEP, BOX_WIDTH, BOX_HEIGHT, LANE = 640, 70, 84, 28, 12
"""LANE is what an arrow takes of a row that it passes."""
CAPTION = (
    "An arrow leads from a room to one that it imports. Left out are <code>words</code>, which "
    "many rooms use, and every arrow that only repeats a path of others: "
    "<code>cli</code> also imports <code>nn</code>, for instance."
)

Arrows = dict[str, set[str]]


def arrows() -> Arrows:
    """Room -> the rooms that it imports; a file beside them is a room too."""
    found: Arrows = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        here = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
        names = _imported(ast.parse(path.read_text(encoding="utf-8")))
        found.setdefault(here, set()).update(names - {here})
    return {here: names & found.keys() for here, names in found.items()}


def _imported(tree: ast.Module) -> set[str]:
    """The rooms that a file imports when it runs, not for type checkers only."""
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            node.body = []
    modules = [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    names = [f"{node.module}.{alias.name}" for node in modules for alias in node.names]
    return {name.split(".")[1] for name in names if name.startswith("tinygrad_mnist.")}


def shown(found: Arrows) -> Arrows:
    """Without rooms that everything or nothing needs, and arrows that repeat a path of others."""
    rooms = {here for here in found if here[0] != "_"} - {"words"}
    found = {here: found[here] & rooms for here in sorted(rooms)}

    def beneath(room: str) -> set[str]:
        return found[room].union(*map(beneath, found[room]))

    return {
        here: {name for name in names if not any(name in beneath(other) for other in names)}
        for here, names in found.items()
    }


def levels(found: Arrows) -> dict[str, int]:
    """How far below the top each room is: beneath all that import it, and no further."""

    def depth(room: str) -> int:
        return max((depth(here) + 1 for here, names in found.items() if room in names), default=0)

    return {room: depth(room) for room in found}


def places(found: Arrows) -> tuple[dict[str, tuple[float, float]], list[list[str]]]:
    """Where each room is, and the stations of each arrow: one on each level that it passes."""
    level = levels(found)
    rows: list[list[str]] = [[] for _ in range(max(level.values()) + 1)]
    for room in sorted(found):
        rows[level[room]].append(room)
    paths = []
    for here, names in found.items():
        for name in sorted(names):
            passed = range(level[here] + 1, level[name])
            stations = [f"{here}>{name}>{n}" for n in passed]
            for n, station in zip(passed, stations, strict=True):
                rows[n].append(station)
            paths.append([here, *stations, name])
    _untangle(rows, paths)
    return {
        station: (x, STEP * n + BOX_HEIGHT)
        for n, row in enumerate(rows)
        for station, x in _spread(row).items()
    }, paths


def _spread(row: list[str]) -> dict[str, float]:
    """The middle of each station, with the same gaps between and around them."""
    widths = [LANE if ">" in station else BOX_WIDTH for station in row]
    gap = (WIDTH - sum(widths)) / (len(row) + 1)
    starts = (gap * (k + 1) + sum(widths[:k]) for k in range(len(row)))
    return {s: x + w / 2 for s, x, w in zip(row, starts, widths, strict=True)}


def _untangle(rows: list[list[str]], paths: list[list[str]]) -> None:
    """Sort each row by the mean place of its neighbours, down and up, until nothing changes."""
    near: dict[str, list[str]] = {station: [] for row in rows for station in row}
    for path in paths:
        for above, below in pairwise(path):
            near[above].append(below)
            near[below].append(above)
    for _ in range(20):
        for row in [*rows, *reversed(rows)]:
            at = {s: x for other in rows for s, x in _spread(other).items()}
            row.sort(key=lambda s: sum(at[n] for n in near[s]) / len(near[s]) if near[s] else at[s])


def picture() -> str:
    """The figure, as HTML."""
    found = arrows()
    place, paths = places(shown(found))
    parts = [_arrow([place[station] for station in path]) for path in paths]
    parts += [_box(room, *where) for room, where in place.items() if ">" not in room]
    height = max(y for _, y in place.values()) + BOX_HEIGHT
    label = "; ".join(f"{here} imports {', '.join(sorted(n))}" for here, n in found.items() if n)
    return (
        f'<figure style="width:100%"><svg viewBox="0 0 {WIDTH} {height:.0f}" role="img" '
        f'style="width:100%;max-width:34rem;height:auto;font-size:14px" aria-label="{label}">'
        f"{''.join(parts)}</svg><figcaption>{CAPTION}</figcaption></figure>"
    )


def _arrow(points: list[tuple[float, float]]) -> str:
    """From box to box, upright wherever it passes a row."""
    half = BOX_HEIGHT / 2
    (x, y), *others = points
    d = f"M{x:.0f} {y + half:.0f}"
    for right, down in others:
        turn, end = (y + down) / 2, down - half
        d += f"C{x:.0f} {turn:.0f} {right:.0f} {turn:.0f} {right:.0f} {end:.0f}v{BOX_HEIGHT}"
        x, y = right, down
    d = d.removesuffix(f"v{BOX_HEIGHT}")
    return (
        f'<path d="{d}" fill="none" stroke="currentColor" opacity="0.6"/>'
        f'<path d="M{x - 4:.0f} {y - half - 8:.0f}h8l-4 8z" fill="currentColor"/>'
    )


def _box(room: str, x: float, y: float) -> str:
    color = COLORS.get(room, "currentColor")
    return (
        f'<rect x="{x - BOX_WIDTH / 2:.0f}" y="{y - BOX_HEIGHT / 2:.0f}" rx="5" '
        f'width="{BOX_WIDTH}" height="{BOX_HEIGHT}" fill="none" stroke="{color}"/>'
        f'<text x="{x:.0f}" y="{y + 5:.0f}" fill="{color}" text-anchor="middle">{room}</text>'
    )
