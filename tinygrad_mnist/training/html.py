"""What a notebook shows of a recipe and of a result: a table, and the curve of the loss."""

from __future__ import annotations

from dataclasses import fields
from html import escape
from math import isfinite
from typing import TYPE_CHECKING, Any

from tinygrad_mnist.training.recipe import default_of
from tinygrad_mnist.words import counted

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tinygrad_mnist.training.history import Result
    from tinygrad_mnist.training.recipe import Recipe

WIDTH, HEIGHT, LEFT, MARGIN = 420, 180, 56, 20
COLORS = {"training": "#3b6fb6", "validation": "#d1722c"}
LONGEST = 80
"""Characters of a value."""


def of_recipe(recipe: Recipe) -> str:
    """What a recipe says, where that differs from the defaults."""
    rows = [
        (key.name, getattr(recipe, key.name), default_of(key.name))
        for key in fields(recipe)
        if key.name not in ("name", "description")
    ]
    lines = [
        f"<tr>{_cells(key, value, default)}</tr>"
        for key, value, default in rows
        if value != default
    ]
    table = (
        f"<table><tr>{_cells('key', 'value', 'by default', tag='th')}</tr>{''.join(lines)}</table>"
    )
    about = f": {recipe.description}" if recipe.description else ""
    return (
        f"<p><b>{escape(recipe.name)}</b>{escape(about)}</p>"
        f"{table if lines else '<p>Everything is as by default.</p>'}"
    )


def of_result(result: Result) -> str:
    """What a training came to in a sentence, and its loss, epoch by epoch."""
    history = result.history
    said = f"{counted(len(history), 'epoch')}"
    if result.kept_epoch:
        kept = history[result.kept_epoch - 1]
        said += f", the weights are those of epoch {result.kept_epoch}: "
        said += f"loss {kept.loss:z.4f}, {100 * kept.accuracy:.2f} % right in training"
        if isfinite(kept.validation_loss):
            said += f"; loss {kept.validation_loss:z.4f}, "
            said += f"{100 * kept.validation_accuracy:.2f} % right in validation"
    if result.interrupted:
        said += f"; interrupted {result.interrupted}"
    curves = {
        "training": [epoch.loss for epoch in history],
        "validation": [epoch.validation_loss for epoch in history],
    }
    return f"<p>{escape(said)}.</p>{_curves(curves) if len(history) > 1 else ''}"


def _cells(*values: Any, tag: str = "td") -> str:
    return "".join(f"<{tag}>{escape(str(value)[:LONGEST])}</{tag}>" for value in values)


def _curves(curves: Mapping[str, Sequence[float]]) -> str:
    """The losses of each epoch, from 0 to the highest, with a colour and a name for each curve."""
    curves = {name: losses for name, losses in curves.items() if all(map(isfinite, losses))}
    top = max((max(losses) for losses in curves.values()), default=0.0) or 1.0
    epochs = max((len(losses) for losses in curves.values()), default=0)
    bottom, right = HEIGHT - MARGIN, WIDTH - MARGIN
    parts = [
        f'<path d="M{LEFT} {MARGIN}V{bottom}H{right}" fill="none" stroke="currentColor"/>',
        _text(LEFT - 4, MARGIN + 4, f"{top:.3g}", "end"),
        _text(LEFT - 4, bottom, "0", "end"),
        _text(right, HEIGHT - 4, f"epoch {epochs}", "end"),
    ]
    for number, (name, losses) in enumerate(curves.items()):
        step = (right - LEFT) / (len(losses) - 1)
        spots = (
            f"{LEFT + i * step:.1f},{bottom - loss / top * (bottom - MARGIN):.1f}"
            for i, loss in enumerate(losses)
        )
        color = COLORS[name]
        line = (
            f'<polyline points="{" ".join(spots)}" fill="none" stroke="{color}" stroke-width="2"/>'
        )
        parts += [line, _text(right, MARGIN + 14 * number, f"{name} loss", "end", color)]
    return (
        f'<svg width="{WIDTH}" height="{HEIGHT}" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" '
        f'aria-label="loss of each epoch" font-size="11">{"".join(parts)}</svg>'
    )


def _text(x: float, y: float, text: str, anchor: str, color: str = "currentColor") -> str:
    return f'<text x="{x}" y="{y}" text-anchor="{anchor}" fill="{color}">{text}</text>'
