"""Brings into the site what pages load, the letters of formulas and a trained network."""

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
    """Refuse to start without what typesets the formulas."""
    if not KATEX.exists():
        raise PluginError("KaTeX is not there. Get it with: npm ci --prefix docs")


def on_post_build(config: Any, **_: Any) -> None:
    """Copy what the pages load."""
    target = Path(config.site_dir) / "assets" / "katex"
    shutil.copytree(KATEX / "fonts", target / "fonts", ignore=old_formats)
    shutil.copy(KATEX / "katex.min.css", target)
    network = DOCS.parent / "artifacts" / "default" / "model.safetensors"
    shutil.copy(network, target.parent / "default.safetensors")
    images, _ = load_mnist_test(None)
    examples = [base64.b64encode(image.tobytes()).decode() for image in images[:20]]
    (target.parent / "examples.json").write_text(json.dumps(examples))


def old_formats(_: str, names: list[str]) -> list[str]:
    """The font files that no present browser needs."""
    return [name for name in names if not name.endswith(".woff2")]
