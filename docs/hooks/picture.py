"""The picture of the first screen: one digit through the trained network, forward and back.

Every number in it is computed by `byhand` from the weights in artifacts/default when the site is
built. It needs no JavaScript, and takes the colours of the page around it.
"""

from __future__ import annotations

import base64
import io
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from figures import BLUE, ORANGE
from PIL import Image

from tinygrad_mnist import byhand
from tinygrad_mnist.data import load_mnist_test

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[Any]

RUN = Path(__file__).parent.parent.parent / "artifacts" / "default"
DIGIT = 740
"""The number of a test image that the network reads correctly, and not without doubt."""
SIDE, GAP, TOP, ROW = 76, 18, 34, 188
"""In pixels of a phone: a picture, the space between two, and where its row and the next begin."""
STEP = 10.4
"""From one bar to the next, with room for its digit."""
WIDTH = 4 * SIDE + 3 * GAP
PIXEL = 4
"""Of an image, so that no browser smooths it."""
TILES = 4
"""Hidden units whose weights are shown, along each side."""
BLUE_ORANGE = [tuple(bytes.fromhex(color[1:])) for color in (BLUE, ORANGE)]


def terms() -> tuple[dict[str, Array], int]:
    """Every term and gradient of the digit, by name, and its label."""
    network = byhand.MLP.load(RUN / "weights.npz", "relu")
    images, labels = load_mnist_test("unit")
    one = slice(DIGIT, DIGIT + 1)
    t = network.forward(images[one])
    return t | network.backward(t, labels[one]), int(labels[DIGIT])


def there_and_back() -> str:
    """The figure, as HTML."""
    t, label = terms()
    p = t["A2"][0]
    best, second = p.argsort()[:-3:-1]
    forward = [
        ("X", "784 pixels", ink(t["A0"].reshape(28, 28))),
        ("Z₁", "= X W₁ + b₁", signed(square(t["Z1"]))),
        ("A₁", "= ReLU(Z₁)", signed(square(t["A1"]))),
        ("A₂", "= softmax(Z₂)", bars(p, 14)),
    ]
    back = [
        ("dW₁", "= Xᵀ dZ₁", signed(tiles(t["dW1"]))),
        ("dZ₁", "= dA₁ ⊙ ReLU′", signed(square(t["dZ1"]))),
        ("dA₁", "= dZ₂ W₂ᵀ", signed(square(t["dA1"]))),
        ("dZ₂", "= A₂ − Y", bars(t["dZ2"][0], 45)),
    ]
    parts = [row(forward, 0, 1, "currentColor"), row(back, ROW, -1, "var(--md-accent-fg-color)")]
    parts.append(turn(f"Y: it is a {label}"))
    text = (
        f"Forward, to the right: an image of a {label} becomes 256 hidden sums, ReLU keeps the "
        f"positive ones, and the network answers {best} with {p[best]:.0%} and {second} with "
        f"{p[second]:.0%}. Back, to the left: the gradient says less {second} and more {label}, "
        "reaches the hidden units, stops at those that ReLU has switched off, and ends at the "
        "weights, where each hidden unit sees the digit again."
    )
    height = ROW + TOP + 10 * STEP + 20
    return (
        f'<figure class="there-and-back"><svg viewBox="0 0 {WIDTH} {height:.0f}" '
        f'role="img" aria-label="{text}">{ARROWS}{"".join(parts)}</svg>'
        f"<figcaption>{CAPTION.format(label=label, sure=100 * p[best])}</figcaption></figure>"
    )


CAPTION = (
    "One test image in the trained network, drawn from its real numbers. <b>Forward</b> it becomes "
    "an answer, {sure:.0f} % sure that this is a {label}. <b>Back</b>, to every number its share "
    "of the error: blue where growing it would make the loss grow, orange where it would make it "
    "smaller. The last picture shows the weights of sixteen hidden units."
)

ARROWS = "".join(
    f'<marker id="back-{name}" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="6" '
    f'markerHeight="6" orient="auto"><path d="M0 0L8 4L0 8z" fill="{color}"/></marker>'
    for name, color in (("c", "currentColor"), ("v", "var(--md-accent-fg-color)"))
)


def row(columns: list[tuple[str, str, str]], y: float, way: int, color: str) -> str:
    """Four pictures with their names above and their formulas beneath, and arrows between them."""
    parts = []
    for n, (name, formula, drawing) in enumerate(columns):
        x = n * (SIDE + GAP)
        parts.append(text(x, y + TOP - 8, name, size=14, weight="bold"))
        parts.append(f'<g transform="translate({x} {y + TOP})">{drawing}</g>')
        parts.append(text(x, y + TOP + (10 * STEP if n == 3 else SIDE) + 15, formula, size=10.5))
        if n:
            start, end = (x - GAP + 3, x - 3)[::way]
            parts.append(arrow(f"M{start} {y + TOP + SIDE / 2}H{end}", color))
    word = "forward" if way > 0 else "back"
    parts.append(text(2 * SIDE + 1.5 * GAP, y + 12, word, size=12, anchor="middle", fill=color))
    return f"<g>{''.join(parts)}</g>"


def turn(word: str) -> str:
    """The arrow from the answer to the gradient, and the target that it is compared with."""
    x, y, color = 3 * (SIDE + GAP) + SIDE / 2, ROW + TOP - 44, "var(--md-accent-fg-color)"
    target = text(x - 8, y + 14, word, size=10.5, anchor="end", fill=color)
    return arrow(f"M{x} {y}v26", color) + target


def text(
    x: float,
    y: float,
    words: str,
    *,
    size: float,
    weight: str = "normal",
    anchor: str = "start",
    fill: str = "currentColor",
) -> str:
    """Words."""
    return (
        f'<text x="{x}" y="{y}" font-size="{size}" font-weight="{weight}" text-anchor="{anchor}" '
        f'fill="{fill}">{words}</text>'
    )


def arrow(path: str, color: str) -> str:
    """A line with a tip, in the colour of the text or of what is going back."""
    return (
        f'<path d="{path}" fill="none" stroke="{color}" stroke-width="1.4" '
        f'marker-end="url(#back-{color[0]})"/>'
    )


# ---------------------------------------------------------------- arrays as pictures


def square(row: Array) -> Array:
    """A row of hidden units as a square of them."""
    side = int(np.sqrt(row.size))
    return row.reshape(side, side)


def tiles(dW: Array) -> Array:
    """The gradients of the units that have most, each as an image, side by side with gaps."""
    strongest = np.sort(np.abs(dW).sum(axis=0).argsort()[::-1][: TILES**2])
    images = dW.T[strongest].reshape(TILES, TILES, 28, 28)
    gaps = np.pad(images, ((0, 0), (0, 0), (1, 1), (1, 1)))
    return gaps.transpose(0, 2, 1, 3).reshape(TILES * 30, TILES * 30)


def signed(values: Array) -> str:
    """Blue where positive, orange where negative, and the paper where 0."""
    strength = np.abs(values) / np.abs(values).max()
    color = np.where(values[..., None] > 0, *BLUE_ORANGE)
    return framed(image(np.dstack([color, 255 * np.sqrt(strength)])))


def ink(values: Array) -> str:
    """An image in the colour of the text: it is a mask for that."""
    grey = image(np.dstack([np.repeat(255 * values[..., None], 3, 2), np.full_like(values, 255)]))
    return framed(
        f'<mask id="there-ink">{grey}</mask>'
        f'<rect width="{SIDE}" height="{SIDE}" fill="currentColor" mask="url(#there-ink)"/>'
    )


def image(rgba: Array) -> str:
    """An SVG image from numbers of 0 to 255, (height, width, 4)."""
    large = rgba.astype(np.uint8).repeat(PIXEL, axis=0).repeat(PIXEL, axis=1)
    file = io.BytesIO()
    Image.fromarray(large).save(file, "png", optimize=True)
    content = base64.b64encode(file.getvalue()).decode()
    return f'<image width="{SIDE}" height="{SIDE}" xlink:href="data:image/png;base64,{content}"/>'


def framed(drawing: str) -> str:
    """A drawing in a thin frame."""
    frame = f'<rect width="{SIDE}" height="{SIDE}" fill="none" stroke="currentColor" '
    return drawing + frame + 'stroke-opacity="0.4"/>'


def bars(values: Array, zero: float) -> str:
    """A bar for each digit; from `zero` positive ones go right, and negative ones left."""
    parts = []
    for digit, value in enumerate(values):
        y, length = STEP * digit, (SIDE - zero) * abs(value) / np.abs(values).max()
        color, x = (BLUE, zero) if value > 0 else (ORANGE, zero - length)
        parts.append(text(0, y + 8.6, str(digit), size=10))
        parts.append(
            f'<rect x="{x:.1f}" y="{y + 1:.1f}" width="{length:.1f}" height="8" fill="{color}"/>'
        )
    parts.append(f'<path d="M{zero} 0v{10 * STEP}" stroke="currentColor" stroke-opacity="0.5"/>')
    return "".join(parts)
