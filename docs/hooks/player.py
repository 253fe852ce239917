"""Brings into the site the player of graphs, as it is in the package."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from tinygrad_mnist.autodiff.player import PAGE


def on_post_build(config: Any, **_: Any) -> None:
    """Copy it to where `assets/interactive.js` looks."""
    shutil.copytree(PAGE, Path(config.site_dir) / "assets" / "player", dirs_exist_ok=True)
