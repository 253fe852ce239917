"""Brings KaTeX into the site, from where npm has put it: no page asks another host for anything."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from mkdocs.exceptions import PluginError

KATEX = Path(__file__).parent.parent / "node_modules" / "katex" / "dist"


def on_pre_build(**_: Any) -> None:
    """Refuse to build a site whose formulas nobody could read."""
    if not KATEX.exists():
        raise PluginError("KaTeX is not there. Get it with: npm install --prefix docs")


def on_post_build(config: Any, **_: Any) -> None:
    """Copy what the pages load."""
    target = Path(config.site_dir) / "assets" / "katex"
    shutil.copytree(KATEX / "fonts", target / "fonts", ignore=lambda _, names: [n for n in names if not n.endswith(".woff2")])
    for name in ("katex.min.css", "katex.min.js", "contrib/auto-render.min.js"):
        shutil.copy(KATEX / name, target)
