"""Tutorials for the site: each script becomes a page with its outputs, and a notebook to take away.

The page is made from a run with the exercises solved. The notebook has them unsolved.
"""

from __future__ import annotations

import hashlib
import html
import os
import re
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING, Any

import nbformat
from jupyter_client import KernelManager
from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

from tinygrad_mnist.exercises import Exercise, parts
from tinygrad_mnist.tutorials import check, notebook, scripts, text

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
                content=text(notebook(script)),
            )
        )
    return files


def page(script: Path) -> str:
    """A tutorial as Markdown, with all outputs."""
    _, *ran = (cell for cell in executed(script).cells if cell.cell_type == "code")
    outputs = ("\n\n".join(map(output, cell.outputs)) for cell in ran)
    first, *rest = parts(script)
    title, _, opening = first.source.partition("\n")
    download = (
        f"[:material-download: Notebook]({script.stem}.ipynb){{ .md-button .download download }}"
    )
    blocks = [title, download, opening]
    for part in rest:
        if isinstance(part, Exercise):
            next(outputs)  # of the solution, which shows nothing
            blocks.append(exercise(part, next(outputs)))
        else:
            blocks.append(part.source if part.markdown else python(part.source) + next(outputs))
    return "\n\n".join(blocks) + "\n"


def exercise(asked: Exercise, checked: str) -> str:
    """A question and its stub; hints, check and solution folded away."""
    hints = [folded("tip", f"Hint {n}", hint) for n, hint in enumerate(asked.hints, 1)]
    return "\n\n".join(
        [
            asked.question,
            python(asked.stub),
            *hints,
            folded("question", "Check your own", python(check(asked)["source"]) + checked),
            folded("success", "Solution", python(asked.solution)),
        ]
    )


def folded(kind: str, title: str, content: str) -> str:
    """A box that opens when its title is clicked."""
    return f'??? {kind} "{title}"\n\n' + textwrap.indent(content, "    ")


def python(source: str) -> str:
    """Code, and room for what it shows."""
    return f"```python\n{source}\n```\n\n"


def executed(script: Path) -> Any:
    """The solved notebook with its outputs.

    It is that of an earlier run, as long as neither the script nor the package has changed.
    """
    sources = [script, *sorted((ROOT / "tinygrad_mnist").rglob("*.py"))]
    digest = hashlib.sha256(b"".join(map(Path.read_bytes, sources))).hexdigest()
    kept = CACHE / f"{script.stem}-{digest[:16]}.ipynb"
    if kept.exists():
        return nbformat.read(kept, as_version=4)
    cells = nbformat.reads(text(notebook(script, solutions=True)), as_version=4)
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


def output(found: Any) -> str:
    """What a cell printed or returned: a drawing, a picture, HTML, or text."""
    if found.output_type == "stream":
        return preformatted(found.text)
    data = found.data
    if "image/png" in data:
        source = f"data:image/png;base64,{data['image/png'].strip()}"
        return f'<p class="output"><img alt="What the code above draws" src="{source}"></p>'
    for kind in ("image/svg+xml", "text/html"):
        if kind in data:
            return '<div class="output">' + re.sub(r"\s*\n\s*", " ", data[kind]) + "</div>"
    return preformatted(data["text/plain"])


def preformatted(text: str) -> str:
    """Text as it was printed."""
    return f'<pre class="output"><code>{html.escape(text.rstrip())}</code></pre>'.replace(
        "\n", "&#10;"
    )
