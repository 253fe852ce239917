"""Brings into the site what pages load: the letters of formulas, and digits to learn from."""

from __future__ import annotations

import gzip
import shutil
from pathlib import Path
from typing import Any

import numpy as np
from mkdocs.exceptions import PluginError

from tinygrad_mnist.data import load_mnist

DOCS = Path(__file__).parent.parent
TRAINING, HELD_OUT = 4000, 1000
"""Training images of MNIST that the page gets: the first to learn from, the last to test on."""
KATEX = DOCS / "node_modules" / "katex" / "dist"


def on_pre_build(**_: Any) -> None:
    """Refuse to start without what typesets the formulas."""
    if not KATEX.exists():
        raise PluginError("KaTeX is not there. Get it with: npm ci --prefix docs")


def on_post_build(config: Any, **_: Any) -> None:
    """Copy what the pages load."""
    target = Path(config.site_dir) / "assets" / "katex"
    shutil.copytree(KATEX / "fonts", target / "fonts", ignore=old_formats)
    shutil.copy(KATEX / "katex.min.css", target)
    (target.parent / "learn-digits.bin").write_bytes(digits_to_learn())


def digits_to_learn() -> bytes:
    """Real digits for the page in which a network learns: labels, then images, packed by gzip."""
    images, labels = load_mnist(None)
    rows = np.r_[:TRAINING, -HELD_OUT:0]
    return gzip.compress(labels[rows].astype(np.uint8).tobytes() + images[rows].tobytes(), mtime=0)


def old_formats(_: str, names: list[str]) -> list[str]:
    """The font files that no present browser needs."""
    return [name for name in names if not name.endswith(".woff2")]
