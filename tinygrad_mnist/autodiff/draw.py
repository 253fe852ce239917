"""The recorded graph as a picture: SVG made here, for notebooks and for the documentation.

No other program is needed. Tensors are boxes, in layers from the leaves at the bottom up to the
result, and an arrow leads from each input to what was computed from it. Sugiyama, Tagawa, Toda:
"Methods for visual understanding of hierarchical system structures" (1981): layers, then an order
within them that has few crossings, then places.
"""

from __future__ import annotations

import itertools
from heapq import heappop, heappush
from html import escape
from operator import attrgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from tinygrad_mnist.autodiff.graph import sweep
from tinygrad_mnist.autodiff.variable import Variable

if TYPE_CHECKING:
    from os import PathLike

MOST = 150
"""So many tensors are drawn, the youngest; of older ones only that they are there."""
CHARACTER, LINE, MARGIN, GAP, DESCENT = 7.3, 16, 10, 18, 34
"""Pixels: of a character, of a line of text, around text, between boxes, and between layers."""
STYLE = """
.tape { --ink: #1b1f24;
  color: var(--md-default-fg-color, var(--jp-content-font-color1, var(--ink)));
  font: 12px ui-monospace, Menlo, Consolas, monospace; max-width: 100%; height: auto }
@media (prefers-color-scheme: dark) { .tape { --ink: #e6e8ea } }
.tape text { fill: currentColor; text-anchor: middle }
.tape .title { font-weight: 700 }
.tape .grad { fill: #d55e00; fill: color-mix(in srgb, currentColor 40%, #e8650a) }
.tape rect { stroke: currentColor; fill: #0072b2; fill-opacity: 0.12 }
.tape .trained rect { fill: #009e73; fill-opacity: 0.25; stroke-width: 2 }
.tape .constant rect { fill: none; stroke-dasharray: 4 3 }
.tape path { fill: none; stroke: currentColor }
.tape polygon { fill: currentColor }
"""


class Drawing:
    """A picture of a graph. Notebooks show it; ``str`` gives the SVG."""

    def __init__(self, svg: str) -> None:
        self.svg = svg

    def __str__(self) -> str:
        return self.svg

    def _repr_svg_(self) -> str:
        return self.svg

    def save(self, path: str | PathLike[str]) -> None:
        """Write the SVG to a file."""
        Path(path).write_text(self.svg, encoding="utf-8")


class Box:
    """What is drawn in one place: lines of text; with none, a point that a long arrow passes."""

    def __init__(self, layer: int, kind: str = "", lines: tuple[str, ...] = ()) -> None:
        self.layer, self.kind, self.lines = layer, kind, lines
        self.width = 2 * MARGIN + CHARACTER * max(map(len, lines)) if lines else 0
        self.height = MARGIN + LINE * len(lines) if lines else 0
        self.x = self.y = 0.0


class Arrow(NamedTuple):
    """From an input, by way of the layers between, to one of the places where it is used."""

    path: list[Box]
    place: float  # of the arrowhead, from -0.5 to 0.5 of the last box's width


class Layout(NamedTuple):
    """A graph with a place for all that is in it."""

    tensors: list[Any]  # the youngest first
    called: dict[Any, str]
    boxes: list[Box]  # of tensors and of constants
    box_of: dict[Any, Box]  # of each tensor
    arrows: list[Arrow]
    width: float
    height: float


def draw(result: Variable, gradients: bool = False, names: dict[str, Any] | None = None) -> Drawing:
    """Draw what a tensor was computed from; see `Tensor.graph`."""
    return Drawing(svg(layout(result, gradients, names or {})))


def layout(result: Variable, gradients: bool, names: dict[str, Any]) -> Layout:
    """Place the tensors that a result was computed from, with their gradients if asked for.

    Raises
    ------
    RuntimeError
        If the graph was freed.
    ValueError
        If a tensor that is to be named is not in the graph, or gradients are asked of a result
        that is not a single number.
    """
    tensors = _youngest(result)
    called = _called(tensors, names)
    cotangents = _gradients(result, tensors) if gradients else {}
    boxes, box_of, arrows = _boxes(tensors, cotangents, called)
    width, height = _place(_layers(boxes, arrows), arrows)
    return Layout(tensors, called, boxes, box_of, arrows, width, height)


def _gradients(result: Variable, tensors: list[Any]) -> dict[Any, Any]:
    """The gradient of a single number with respect to each tensor that wants one."""
    if result._data.size != 1:
        raise ValueError(
            "Gradients are those of one number, "
            f"but this tensor has shape {result._data.shape}. Draw the loss."
        )
    wanted = [t for t in tensors if t._requires_grad]
    if not wanted:
        return {}
    return sweep({result: np.ones_like(result._data)}, retain_graph=True, targets=wanted)


def _youngest(result: Variable) -> list[Any]:
    """The tensors behind a result, the youngest first, and not too many; leaves have age 0."""
    found: dict[Any, None] = {}
    waiting = [(-result.age, 0, result)]
    seen = {result}
    while waiting and len(found) < MOST:
        t = heappop(waiting)[2]
        found[t] = None
        if t.op is not None and t.inputs is None:
            raise RuntimeError(
                f"The graph behind this tensor (at {t.op.name}) was freed by backward(). "
                "Draw it before, or keep it: backward(retain_graph=True)."
            )
        for x in t.inputs or ():
            if isinstance(x, Variable) and x not in seen:
                seen.add(x)
                heappush(waiting, (-x.age, len(seen), x))
    return list(found)


def _called(tensors: list[Any], names: dict[str, Any]) -> dict[Any, str]:
    """What each tensor is called: what it was given, its own name, its op, or both."""
    drawn = set(tensors)
    for name, t in names.items():
        if not isinstance(t, Variable):
            raise TypeError(f"{name} is a {type(t).__name__}, but graph() gives names to tensors.")
        if t not in drawn:
            raise ValueError(
                f"{name} is not in this graph: the result was not computed from it, "
                f"or it is beyond the {MOST} youngest tensors. Was a variable assigned anew?"
            )
    given = {t: name for name, t in names.items()}
    called = {}
    for t in tensors:
        name = given.get(t) or getattr(t, "name", None) or ""
        op = t.op.name if t.op is not None else ""
        called[t] = f"{name}: {op}" if name and op else name or op or "tensor"
    return called


def _boxes(
    tensors: list[Any], cotangents: dict[Any, Any], called: dict[Any, str]
) -> tuple[list[Box], dict[Any, Box], list[Arrow]]:
    """A box for each tensor and each constant, in a layer above all its inputs; and the arrows."""
    drawn, made = set(tensors), dict[Any, Box]()
    boxes: list[Box] = []
    arrows: list[Arrow] = []
    for t in sorted(tensors, key=attrgetter("age")):
        if t.op is None:
            continue
        inputs = []
        for x in t.inputs:
            if isinstance(x, Variable) and x not in made:
                made[x] = Box(
                    0, *(_text(x, cotangents, called) if x in drawn else ("constant", ("...",)))
                )
                boxes.append(made[x])
            if not isinstance(x, Variable):
                boxes.append(Box(0, "constant", (numbers(x),)))
            inputs.append(made[x] if isinstance(x, Variable) else boxes[-1])
        layer = 1 + max((box.layer for box in inputs), default=0)
        made[t] = Box(layer, *_text(t, cotangents, called))
        boxes.append(made[t])
        arrows += [
            Arrow([box, made[t]], (i + 1) / (len(inputs) + 1) - 0.5) for i, box in enumerate(inputs)
        ]
    if not boxes:
        made[tensors[0]] = Box(0, *_text(tensors[0], cotangents, called))
        boxes += made.values()
    _lift(boxes, arrows)
    return boxes, made, arrows


def _lift(boxes: list[Box], arrows: list[Arrow]) -> None:
    """Move each leaf up to right beneath its first use."""
    for box in boxes:
        uses = [arrow.path[1].layer for arrow in arrows if arrow.path[0] is box]
        if box.layer == 0 and uses:
            box.layer = min(uses) - 1


def _text(
    t: Any, cotangents: dict[Any, Any], called: dict[Any, str]
) -> tuple[str, tuple[str, ...]]:
    """What a tensor's box is like, and what is in it."""
    lines = [called[t], numbers(t._data)]
    g = cotangents.get(t, t.grad)
    if g is not None:
        lines.append(f"grad {numbers(getattr(g, '_data', g))}")
    kind = "" if t.op is not None else "trained" if t._requires_grad else "constant"
    return kind, tuple(lines)


def numbers(x: Any) -> str:
    """A few numbers, or of many the shape."""
    array = np.asarray(x)
    if array.size > 6:
        return str(array.shape)
    return " ".join(
        np.array2string(array, precision=4, separator=", ", suppress_small=False).split()
    )


def _layers(boxes: list[Box], arrows: list[Arrow]) -> list[list[Box]]:
    """The boxes of each layer in an order with few crossings.

    Long arrows get a point in each layer that they pass.
    """
    layers: list[list[Box]] = [[] for _ in range(1 + max(box.layer for box in boxes))]
    for box in boxes:
        layers[box.layer].append(box)
    for arrow in arrows:
        start, end = arrow.path
        points = [Box(layer) for layer in range(start.layer + 1, end.layer)]
        for point in points:
            layers[point.layer].append(point)
        arrow.path[1:1] = points
    steps = [step for arrow in arrows for step in zip(arrow.path, arrow.path[1:], strict=False)]
    order = {box: place for layer in layers for place, box in enumerate(layer)}
    for turn in range(6):
        for layer in layers if turn % 2 else layers[::-1]:
            near = {
                box: [
                    order[a] if turn % 2 else order[b]
                    for a, b in steps
                    if (b if turn % 2 else a) is box
                ]
                for box in layer
            }
            layer.sort(key=lambda box: sum(near[box]) / len(near[box]) if near[box] else order[box])
            order.update((box, place) for place, box in enumerate(layer))
    return layers


def _place(layers: list[list[Box]], arrows: list[Arrow]) -> tuple[float, float]:
    """Give each box its place: above its inputs as far as its neighbours allow.

    Returns width and height of it all.
    """
    inputs: dict[Box, list[Box]] = {}
    uses: dict[Box, list[Box]] = {}
    for a, b in (
        step for arrow in arrows for step in zip(arrow.path, arrow.path[1:], strict=False)
    ):
        inputs.setdefault(b, []).append(a)
        uses.setdefault(a, []).append(b)
    y = MARGIN
    for layer in layers[::-1]:
        tallest = max((box.height for box in layer), default=0)
        x = 0.0
        for box in layer:
            box.x, box.y = x + box.width / 2, y + tallest / 2
            x += box.width + GAP
        y += tallest + DESCENT
    for turn in range(8):
        for layer in layers if turn % 2 else layers[::-1]:
            near = inputs if turn % 2 else uses
            for box in layer:
                if near.get(box):
                    box.x = sum(other.x for other in near[box]) / len(near[box])
            middle = sum(box.x for box in layer) / max(len(layer), 1)
            for left, right in itertools.pairwise(layer):
                right.x = max(right.x, left.x + (left.width + right.width) / 2 + GAP)
            shift = middle - sum(box.x for box in layer) / max(len(layer), 1)
            for box in layer:
                box.x += shift
    every = [box for layer in layers for box in layer]
    edge = min(box.x - box.width / 2 for box in every) - MARGIN
    for box in every:
        box.x -= edge
    return max(box.x + box.width / 2 for box in every) + MARGIN, y - DESCENT + MARGIN


def svg(placed: Layout) -> str:
    """The picture, whose arrows and boxes are numbered in the order of the layout."""
    words = escape(_words(placed.tensors, placed.called))
    arrows = map(_arrow, range(len(placed.arrows)), placed.arrows)
    boxes = map(_box, range(len(placed.boxes)), placed.boxes)
    size = f"{placed.width:.0f}", f"{placed.height:.0f}"
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" class="tape" viewBox="0 0 {size[0]} {size[1]}" '
        f'width="{size[0]}" height="{size[1]}" role="img" aria-label="{words}">'
        f"<title>{words}</title><style>{STYLE}</style>{''.join(arrows)}{''.join(boxes)}</svg>"
    )


def _arrow(number: int, arrow: Arrow) -> str:
    start, *between, end = arrow.path
    tip = end.x + arrow.place * end.width, end.y + end.height / 2
    points = [
        (start.x, start.y - start.height / 2),
        *((p.x, p.y) for p in between),
        (tip[0], tip[1] + 7),
    ]
    curve = f"M{points[0][0]:.1f},{points[0][1]:.1f}"
    for (x1, y1), (x2, y2) in itertools.pairwise(points):
        curve += f"C{x1:.1f},{(y1 + y2) / 2:.1f} {x2:.1f},{(y1 + y2) / 2:.1f} {x2:.1f},{y2:.1f}"
    head = f"{tip[0] - 4:.1f},{tip[1] + 8:.1f} {tip[0] + 4:.1f},{tip[1] + 8:.1f}"
    return (
        f'<path data-arrow="{number}" d="{curve}"/>'
        f'<polygon data-arrow="{number}" points="{tip[0]:.1f},{tip[1]:.1f} {head}"/>'
    )


def _box(number: int, box: Box) -> str:
    left, top = box.x - box.width / 2, box.y - box.height / 2
    picture = (
        f'<g data-box="{number}" class="{box.kind}"><rect x="{left:.1f}" y="{top:.1f}" '
        f'width="{box.width:.1f}" height="{box.height:.1f}" rx="5"/>'
    )
    for n, line in enumerate(box.lines):
        title = n == 0 and len(box.lines) > 1
        kind = "grad" if line.startswith("grad ") else "title" if title else "value"
        y = top + MARGIN / 2 + LINE * (n + 0.75)
        picture += f'<text class="{kind}" x="{box.x:.1f}" y="{y:.1f}">{escape(line)}</text>'
    return f"{picture}</g>"


def _words(tensors: list[Any], called: dict[Any, str]) -> str:
    """The graph in a sentence, for those who cannot see it."""
    recorded = [t for t in sorted(tensors, key=attrgetter("age")) if t.op is not None]
    leaves = sum(t.op is None for t in tensors)
    steps = ", ".join(called[t] for t in recorded[:40]) + (
        ", and more" if len(recorded) > 40 else ""
    )
    leaf = "1 leaf" if leaves == 1 else f"{leaves} leaves"
    operation = f"operation{'s' * (len(recorded) != 1)}"
    return f"Graph of {leaf} and {len(recorded)} {operation}: {steps or 'none'}."
