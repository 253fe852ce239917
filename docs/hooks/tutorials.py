"""Tutorials for the site: each script becomes a page with its outputs, and a notebook to take away.

The page is made from a run with the exercises solved. The notebook has them unsolved.
"""

from __future__ import annotations

import hashlib
import html
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import nbformat
import tryit
from cycler import cycler
from figures import COLORS, STYLE, inline
from jupyter_client import KernelManager
from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

from exercises import exercise, python
from tinygrad_mnist.exercises import Exercise, parts
from tinygrad_mnist.tutorials import notebook, scripts, text

if TYPE_CHECKING:
    from mkdocs.structure.files import Files

ROOT = Path(__file__).parent.parent.parent
CACHE = ROOT / ".cache" / "tutorials"
HEAD = "At the head."
"""How the words for a picture begin that is also shown at the head: what comes out in the end."""
FONT_SIZE = 11  # legible on a phone: the figures are 6 inches wide
PURPLE = "#a56bd1"
SETTINGS = {key: str(value) for key, value in STYLE.items()} | {
    "axes.prop_cycle": str(cycler(color=(*COLORS, PURPLE))),
    "font.size": FONT_SIZE,
    "image.interpolation": "none",
    "svg.hashsalt": "tutorials",
}
INLINE = {
    "figure_formats": ["svg"],
    "rc": SETTINGS,
    "print_figure_kwargs": {"bbox_inches": "tight", "facecolor": "none"},
}
"""How figures are drawn on the site: the notebook itself leaves that to matplotlib."""


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
    outputs = (cell.outputs for cell in ran)
    first, *rest = parts(script)
    title, _, opening = first.source.partition("\n")
    download = (
        f"[:material-download: Notebook]({script.stem}.ipynb){{ .md-button .download download }}"
    )
    blocks, heads, here = [title, download, opening], [], tryit.Page(script.stem)
    for part in rest:
        if isinstance(part, Exercise):
            next(outputs)  # of the solution, which shows nothing
            blocks.append(exercise(part, shown(next(outputs)), here=here))
        elif part.markdown:
            blocks.append(part.source)
        else:
            try:
                drawn_here = shown(next(outputs), part.alt.removeprefix(HEAD).strip())
            except ValueError as error:
                raise PluginError(f"{script.name}, line {part.line}: {error}") from error
            blocks.append(python(part.source) + drawn_here)
            blocks.append(here.cell(f"{script.stem}:{part.line}", part.source))
            if part.alt.startswith(HEAD):
                heads += re.findall("<svg.*?</svg>", drawn_here)
    if len(heads) != 1:
        raise PluginError(f'{script.name} has {len(heads)} pictures whose words begin "{HEAD}"')
    blocks.insert(2, f'<div class="output at-the-head">{heads[0]}</div>')
    return "\n\n".join(blocks) + "\n"


def executed(script: Path) -> Any:
    """The solved notebook with its outputs.

    It is that of an earlier run, as long as neither the script nor the package has changed.
    """
    sources = [script, *sorted((ROOT / "tinygrad_mnist").rglob("*.py"))]
    content = [*map(Path.read_bytes, sources), repr(INLINE).encode()]
    digest = hashlib.sha256(b"".join(content)).hexdigest()
    kept = CACHE / f"{script.stem}-{digest[:16]}.ipynb"
    if kept.exists():
        return nbformat.read(kept, as_version=4)
    cells = nbformat.reads(text(notebook(script, solutions=True)), as_version=4)
    kernel = KernelManager(transport="ipc")
    client = NotebookClient(
        cells,
        km=kernel,
        timeout=300,
        resources={"metadata": {"path": str(ROOT)}},
        extra_arguments=[f"--InlineBackend.{key}={value}" for key, value in INLINE.items()],
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


def shown(outputs: list[Any], alt: str = "") -> str:
    """All that a cell printed or returned.

    Raises
    ------
    ValueError
        If there is a picture and no words for it, or the other way round.
    """
    pictures = sum(output.output_type != "stream" and drawn(output.data) for output in outputs)
    if pictures != bool(alt):
        raise ValueError(
            f"the cell shows {pictures} pictures, and its alternative text is {alt!r}. Say in "
            'lines that begin with "#| ", at the head of the cell, what is seen.'
        )
    return "\n\n".join(output(found, alt) for found in outputs)


def drawn(data: Any) -> bool:
    """Whether it is a picture that needs words: the drawing of a graph has its own."""
    return "image/svg+xml" in data and 'role="img"' not in data["image/svg+xml"]


def output(found: Any, alt: str) -> str:
    """What a cell printed or returned: a drawing, HTML, or text."""
    if found.output_type == "stream":
        return preformatted(found.text)
    data = found.data
    if "image/svg+xml" in data and drawn(data):
        return one_line(inline(data["image/svg+xml"], alt))
    for kind in ("image/svg+xml", "text/html"):
        if kind in data:
            return one_line(walked(data[kind]) or data[kind])
    return preformatted(data["text/plain"])


def walked(frame: str) -> str:
    """The player in a frame: on the site it is a part of the page."""
    found = re.search(
        r"<div class=\"walk\">.*</tape-player></div>", html.unescape(frame), re.DOTALL
    )
    return found[0] if found else ""


def one_line(drawing: str) -> str:
    """HTML that Markdown takes as it is."""
    return '<div class="output">' + re.sub(r"\s*\n\s*", " ", drawing) + "</div>"


def preformatted(text: str) -> str:
    """Text as it was printed."""
    return f'<pre class="output"><code>{html.escape(text.rstrip())}</code></pre>'.replace(
        "\n", "&#10;"
    )
