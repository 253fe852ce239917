"""Brings into the site what pages load: KaTeX, from where npm has put it, and a trained network. Nothing comes from another host."""

from __future__ import annotations

import base64
import json
import shutil
from pathlib import Path
from typing import Any

from mkdocs.exceptions import PluginError

from tinygrad_mnist.data import load_mnist_test

DOCS = Path(__file__).parent.parent
KATEX = DOCS / "node_modules" / "katex" / "dist"


def on_pre_build(**_: Any) -> None:
    """Refuse to build a site whose formulas nobody could read."""
    if not KATEX.exists():
        raise PluginError("KaTeX is not there. Get it with: npm install --prefix docs")


def on_post_build(config: Any, **_: Any) -> None:
    """Copy what the pages load."""
    target = Path(config.site_dir) / "assets" / "katex"
    shutil.copytree(
        KATEX / "fonts",
        target / "fonts",
        ignore=lambda _, names: [n for n in names if not n.endswith(".woff2")],
    )
    for name in ("katex.min.css", "katex.min.js", "contrib/auto-render.min.js"):
        shutil.copy(KATEX / name, target)
    shutil.copy(
        DOCS.parent / "artifacts" / "default" / "model.safetensors",
        target.parent / "default.safetensors",
    )
    images, _ = load_mnist_test(None)
    (target.parent / "examples.json").write_text(
        json.dumps([base64.b64encode(image.tobytes()).decode() for image in images[:20]])
    )
