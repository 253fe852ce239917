"""Photographs of digits on paper, made up: what is drawn on them is known, and so is the damage.

The strokes are those of MNIST's images, thinned to the middle of the stroke and drawn anew with a
pen of one width. The paper is a plane in front of a camera, with lines, a table behind it, light
that falls unevenly on both, and a sensor that adds noise. All lengths are in units of the width of
the picture, so that photographs of any size look alike.
"""

import io
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from PIL import Image
from scipy import ndimage

KINDS = {
    "clean": (),
    "shadow": ("shadow",),
    "table": ("table",),
    "lines": ("lines",),
    "noise": ("noise",),
    "tilt": ("tilt",),
    "all": ("shadow", "table", "lines", "noise", "tilt"),
}
"""Of photographs -> what is between the ink and the file."""
INKS = np.array([[28, 28, 32], [30, 45, 130], [85, 85, 90], [165, 35, 40], [20, 80, 60]])
"""Black, blue, pencil, red, green, on white paper in white light."""
TABLES = np.array([[105, 70, 45], [60, 45, 38], [70, 75, 80], [150, 115, 80], [40, 60, 95]])
LINES = np.array([[150, 180, 215], [170, 170, 175], [190, 165, 200], [140, 190, 185]])
TABLE = (0.02, 0.11)
"""How much of the width is table on a side that has one."""
BEYOND = 0.22
"""How far a sheet that is turned reaches beyond the picture on each side, in widths."""


@dataclass(frozen=True)
class Photograph:
    """A picture (rows, columns, 3), the ink of each digit on the paper, and the camera."""

    pixels: np.ndarray
    coverage: np.ndarray
    seen: Callable

    def jpeg(self, quality=85):
        file = io.BytesIO()
        Image.fromarray(self.pixels).save(file, "JPEG", quality=quality)
        return file.getvalue()

    def boxes(self):
        """Left, top, width and height of each digit, in pixels."""
        for ink in self.coverage:
            rows, columns = ndimage.find_objects(
                self.seen(ink[..., None])[..., 0].round().astype(int)
            )[0]
            yield columns.start, rows.start, columns.stop - columns.start, rows.stop - rows.start


def take(digits, kind, rng, width=300, height=400):
    """Photograph digits (n, 28, 28), written side by side on a sheet of paper."""
    damage = KINDS[kind]
    beyond = round(BEYOND * width) if "tilt" in damage else 0
    sheet = _Sheet(width, height, beyond)
    seen = _camera(width, height, beyond, rng)
    colour = _paper(sheet, rng)
    if "lines" in damage:
        colour = _ruled(colour, sheet, rng)
    coverage = _written(digits, sheet, rng)
    ink = INKS[rng.integers(len(INKS))] * rng.uniform(0.8, 1.2)
    colour += np.max(coverage, axis=0)[..., None] * (ink.astype(np.float32) - colour)
    scene = seen(colour)
    if "table" in damage:
        scene = _on_a_table(scene, seen, sheet, rng)
    scene *= _light(width, height, rng, damage)[..., None]
    pixels = _sensor(scene, rng, "noise" in damage)
    return Photograph(pixels, coverage, seen)


class _Sheet:
    """The plane of the paper: where its pixels are, in widths of the picture from its middle."""

    def __init__(self, width, height, beyond):
        self.unit, self.aspect = width, height / width
        rows, columns = height + 2 * beyond, width + 2 * beyond
        self.y = ((np.arange(rows) + 0.5 - rows / 2) / width).astype(np.float32)[:, None]
        self.x = ((np.arange(columns) + 0.5 - columns / 2) / width).astype(np.float32)
        self.shape = rows, columns


def _paper(sheet, rng):
    colour = rng.uniform(232, 250) - np.array([0, 2, rng.uniform(4, 16)])
    halves = tuple(n // 2 + 1 for n in sheet.shape)
    fibre = 1.2 * rng.standard_normal(halves, np.float32)
    fibre = fibre.repeat(2, axis=0).repeat(2, axis=1)[: sheet.shape[0], : sheet.shape[1]]
    return (colour + fibre[..., None]).astype(np.float32)


def _ruled(colour, sheet, rng):
    """Lines across, or squares, perhaps with a margin; all a little transparent."""
    pitch, thickness = rng.uniform(0.05, 0.11), rng.uniform(0.0025, 0.006)
    tone, phase = LINES[rng.integers(len(LINES))], rng.uniform(0, 1, 2)
    strength = rng.uniform(0.5, 1.0)
    squares = rng.random() < 0.5

    def at(position, shift):
        away = np.abs((position / pitch + shift) % 1 - 0.5) * pitch
        return strength * np.clip((thickness / 2 - away) * sheet.unit + 0.5, 0, 1)

    lines = at(sheet.y, phase[0])
    lines = np.maximum(lines, at(sheet.x, phase[1])) if squares else lines + 0 * sheet.x
    colour = colour + lines[..., None] * (tone - colour)
    if not squares and rng.random() < 0.4:
        away = np.abs(sheet.x - rng.uniform(-0.48, -0.38))
        margin = 0.8 * np.clip((thickness / 2 - away) * sheet.unit + 0.5, 0, 1)
        colour = colour + (margin + 0 * sheet.y)[..., None] * (np.array([215, 110, 110]) - colour)
    return colour.astype(np.float32)


def _written(digits, sheet, rng):
    """How much ink of each digit covers each pixel of the plane: (n, rows, columns)."""
    n = len(digits)
    size = rng.uniform(0.3, 0.62) if n == 1 else 0.62 / n  # of the 20 pixels of a digit
    pen = rng.uniform(0.03, 0.12) * size
    free = max(0.0, 0.9 - size * 28 / 20) / 2
    coverage = np.zeros((n, *sheet.shape), np.float32)
    for i, digit in enumerate(digits):
        middle = rng.uniform(-free, free) if n == 1 else 0.8 * ((i + 0.5) / n - 0.5)
        row = rng.uniform(-0.2, 0.2) if n == 1 else rng.uniform(-0.03, 0.03)
        _draw(coverage[i], digit, sheet, (row, middle), size * 28 / 20, pen)
    return coverage


def _draw(coverage, digit, sheet, middle, side, pen):
    """Draw a digit with a round pen into a square around a place of the plane."""
    pixels = round(side * sheet.unit)
    top, left = (
        round(n / 2 + c * sheet.unit - pixels / 2)
        for n, c in zip(coverage.shape, middle, strict=True)
    )
    away = ndimage.distance_transform_edt(~thinned(digit)) / 4 * (pixels / 28)
    away = ndimage.zoom(away, pixels / len(away), order=1, mode="nearest", grid_mode=True)
    away = ndimage.gaussian_filter(away, 0.02 * pixels)
    away -= 0.012 * pixels
    inside = np.clip(pen / 2 * sheet.unit - away + 0.5, 0, 1)
    coverage[top : top + inside.shape[0], left : left + inside.shape[1]] = inside


def thinned(digit):
    """The middle of the strokes of a digit, one pixel wide: (28, 28) -> bool, (112, 112).

    T. Y. Zhang and C. Y. Suen, "A fast parallel algorithm for thinning digital patterns",
    Communications of the ACM 27 (1984).
    """
    large = ndimage.gaussian_filter(ndimage.zoom(digit.astype(float), 4, order=1), 2.0)
    ink = np.pad(large > 0.4 * large.max(), 1)
    changed = True
    while changed:
        changed = False
        for first in (True, False):
            p = [np.roll(ink, shift, (0, 1)) for shift in AROUND]
            neighbours = sum(q.astype(int) for q in p)
            turns = sum((~p[i] & p[(i + 1) % 8]).astype(int) for i in range(8))
            north, east, south, west = p[::2]
            ends = (north & east & south, east & south & west)
            if not first:
                ends = (north & east & west, north & south & west)
            gone = ink & (neighbours >= 2) & (neighbours <= 6) & (turns == 1)
            gone &= ~ends[0] & ~ends[1]
            ink &= ~gone
            changed |= bool(gone.any())
    return ink[1:-1, 1:-1]


AROUND = [(1, 0), (1, -1), (0, -1), (-1, -1), (-1, 0), (-1, 1), (0, 1), (1, 1)]
"""Shifts that bring the neighbours of a pixel to it, from north clockwise."""


def _camera(width, height, beyond, rng):
    """What maps the plane (rows, columns, channels) to the picture: a turn and a perspective."""
    if not beyond:
        return lambda plane: plane
    angle, keystone = np.deg2rad(rng.uniform(-9, 9)), rng.uniform(-0.12, 0.12, 2)
    c, s = np.cos(angle), np.sin(angle)
    y, x = np.mgrid[:height, :width].astype(np.float32) + 0.5
    y, x = (y - height / 2) / width, (x - width / 2) / width
    depth = 1 + keystone[0] * y + keystone[1] * x
    row = (s * x + c * y) / depth * width + height / 2 + beyond - 0.5
    column = (c * x - s * y) / depth * width + width / 2 + beyond - 0.5

    def seen(plane):
        layers = [
            ndimage.map_coordinates(plane[..., k], [row, column], order=1, mode="nearest")
            for k in range(plane.shape[2])
        ]
        return np.stack(layers, axis=-1)

    return seen


def _on_a_table(scene, seen, sheet, rng):
    """The paper ends at one or two sides, a little inside of the picture; beyond is a table."""
    inside = np.ones(sheet.shape, np.float32)
    for side in rng.choice(4, rng.integers(1, 3), replace=False):
        along = (sheet.y, sheet.x)[side % 2] * (1 if side < 2 else -1)
        half = 0.5 * (sheet.aspect if side % 2 == 0 else 1)
        slope = rng.uniform(-0.04, 0.04) * (sheet.x, sheet.y)[side % 2]
        edge = half - rng.uniform(*TABLE) + slope
        inside = inside * np.clip((edge - along) * sheet.unit + 0.5, 0, 1)
    height, width = scene.shape[:2]
    grain = rng.normal(0, 1, (height // 4 + 1, max(2, width // 60)))
    grain = ndimage.zoom(grain, (height / grain.shape[0], width / grain.shape[1]), order=1)
    table = TABLES[rng.integers(len(TABLES))] + 5 * grain[..., None]
    mask = seen(inside[..., None])
    dark = 1 - 0.25 * (ndimage.gaussian_filter(mask, (0.01 * width, 0.01 * width, 0)))
    return mask * scene + (1 - mask) * table * dark


def _light(width, height, rng, damage):
    y, x = np.mgrid[:height, :width].astype(np.float32)
    y, x = (y - height / 2) / width, (x - width / 2) / width
    light = np.full((height, width), rng.uniform(0.85, 1.0), np.float32)
    if "shadow" in damage:
        angle, offset = rng.uniform(0, 2 * np.pi), rng.uniform(-0.25, 0.3)
        across, along = np.cos(angle) * x + np.sin(angle) * y, np.cos(angle) * y - np.sin(angle) * x
        across += 0.05 * np.sin(rng.uniform(4, 12) * along) - offset
        soft = rng.uniform(0.01, 0.12)
        light *= 1 - rng.uniform(0.25, 0.55) / (1 + np.exp(-across / soft * 4))
        light *= 1 + rng.uniform(-0.2, 0.2) * x + rng.uniform(-0.2, 0.2) * y
    if "noise" in damage:
        cx, cy = rng.uniform(-0.4, 0.4, 2)
        light *= 1 - rng.uniform(0.2, 0.6) * ((x - cx) ** 2 + (y - cy) ** 2)
    return light


def _sensor(scene, rng, noisy):
    blur = scene.shape[1] * rng.uniform(0.0008, 0.0025 if noisy else 0.0015)
    scene = ndimage.gaussian_filter(scene.astype(np.float32), (blur, blur, 0))
    noise = rng.standard_normal(scene.shape, np.float32) * (rng.uniform(4, 10) if noisy else 1.5)
    pixels = (scene + noise).clip(0, 255).astype(np.uint8)
    if not noisy:
        return pixels
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", quality=int(rng.integers(35, 65)))
    return np.asarray(Image.open(file))
