"""Tutorials for the site: each script in tutorials/ is run as a notebook, and becomes a page and an .ipynb to take away."""

from __future__ import annotations

import hashlib
import html
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jupytext
import nbformat
from jupyter_client import KernelManager
from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

from tinygrad_mnist.tutorials import notebook, scripts

if TYPE_CHECKING:
    from mkdocs.structure.files import Files

ROOT = Path(__file__).parent.parent.parent
CACHE = ROOT / ".cache" / "tutorials"


def on_files(files: Files, config: Any, **_: Any) -> Files:
    """Add a page and a notebook for each script."""
    for script in scripts():
        files.append(File.generated(config, f"tutorials/{script.stem}.md", content=page(script)))
        files.append(
            File.generated(
                config,
                f"tutorials/{script.stem}.ipynb",
                content=nbformat.writes(notebook(script)) + "\n",
            )
        )
    return files


def page(script: Path) -> str:
    """A tutorial as Markdown, with all outputs."""
    first, *rest = [
        cell.source if cell.cell_type == "markdown" else code(cell)
        for cell in executed(script).cells
    ]
    title, _, opening = first.partition("\n")
    download = (
        f"[:material-download: Notebook]({script.stem}.ipynb){{ .md-button .download download }}"
    )
    return "\n\n".join([title, download, opening, *rest]) + "\n"


def executed(script: Path) -> Any:
    """The cells with their outputs; those of an earlier run, as long as neither the script nor the package has changed."""
    sources = [script, *sorted((ROOT / "tinygrad_mnist").rglob("*.py"))]
    kept = (
        CACHE
        / f"{script.stem}-{hashlib.sha256(b''.join(map(Path.read_bytes, sources))).hexdigest()[:16]}.ipynb"
    )
    if kept.exists():
        return nbformat.read(kept, as_version=4)
    cells = jupytext.read(script)
    kernel = KernelManager(transport="ipc")
    client = NotebookClient(
        cells, km=kernel, timeout=300, resources={"metadata": {"path": str(ROOT)}}
    )
    try:
        client.execute(env=os.environ | {"MPLBACKEND": "module://matplotlib_inline.backend_inline"})
    except CellExecutionError as error:
        raise PluginError(f"{script.name}: {error}") from error
    finally:
        if kernel.has_kernel:
            kernel.shutdown_kernel(now=True)
    CACHE.mkdir(parents=True, exist_ok=True)
    nbformat.write(cells, kept)
    return cells


def tags(cell: Any) -> list[str]:
    """What a cell is marked as: exercise (where the reader writes), solution, or check."""
    return cell.metadata.get("tags", [])


def code(cell: Any) -> str:
    """A cell of code with its outputs; solutions folded away, checks too."""
    text = "\n\n".join([f"```python\n{cell.source}\n```", *map(output, cell.get("outputs", []))])
    for tag, title in (("solution", 'success "Solution"'), ("check", 'question "Check your own"')):
        if tag in tags(cell):
            return f"??? {title}\n\n" + "\n".join(
                f"    {line}" if line else "" for line in text.splitlines()
            )
    return text


def output(found: Any) -> str:
    """What a cell printed or returned: a drawing, a picture, HTML, or text."""
    if found.output_type == "stream":
        return preformatted(found.text)
    data = found.data
    if "image/png" in data:
        return f'<p class="output"><img alt="What the code above draws" src="data:image/png;base64,{data["image/png"].strip()}"></p>'
    for kind in ("image/svg+xml", "text/html"):
        if kind in data:
            return '<div class="output">' + re.sub(r"\s*\n\s*", " ", data[kind]) + "</div>"
    return preformatted(data["text/plain"])


def preformatted(text: str) -> str:
    """Text as it was printed."""
    return f'<pre class="output"><code>{html.escape(text.rstrip())}</code></pre>'.replace(
        "\n", "&#10;"
    )
