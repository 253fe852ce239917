"""The way from the site to the code: its wheel and its sources to take away, version and date."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mkdocs.structure.files import File
from mkdocs.utils import get_build_date

from tinygrad_mnist import __version__

if TYPE_CHECKING:
    from mkdocs.structure.files import Files

ROOT = Path(__file__).parent.parent.parent
BUILT = ROOT / ".cache" / "download"


def on_config(config: Any, **_: Any) -> Any:
    """Tell the footer what it says of the release."""
    config.extra["release"] = {"version": __version__, "date": get_build_date()}
    return config


def on_files(files: Files, config: Any, **_: Any) -> Files:
    """Build wheel and sdist, and add them to the site."""
    shutil.rmtree(BUILT, ignore_errors=True)
    build = [sys.executable, "-m", "hatchling", "build", "--directory", BUILT]
    subprocess.run(build, cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
    for path in sorted(BUILT.iterdir()):
        files.append(File.generated(config, f"download/{path.name}", abs_src_path=str(path)))
    return files
