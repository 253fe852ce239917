"""The equations of the network on one sheet, as PDF to print and as SVG, made when the site is."""

from __future__ import annotations

import io
import re
from typing import TYPE_CHECKING, Any

import matplotlib as mpl
import pages
import reader
from equations.write import lines as sides
from matplotlib.figure import Figure
from mkdocs.structure.files import File

if TYPE_CHECKING:
    from equations.check import Equation
    from mkdocs.structure.files import Files

PAGE = pages.ROOT / "docs" / "derivations" / "network.py"
PLAIN = pages.ROOT / "tinygrad_mnist" / "byhand" / "two_layer.py"
DEEP = PLAIN.with_name("mlp.py")
PARTS = {
    "Forward": "Z1 Z2 A1 A2 A2_",
    "One number": "cross_entropy squared_error loss",
    "Backward": "dZ2 dA2_ dZ2_ dW2 dW1 db2 db1 dA1 dZ1",
    "The step": "v theta",
    "What the network looks at": "dZ_chosen S",
}
"""The parts of the sheet, and the equations in each: together all of the page, in its order."""
BEGINS = {"A2": "softmax: ", "A2_": "sigmoid: "}
"""What the page says before a left side, in words."""
STYLE = {"mathtext.fontset": "cm", "svg.fonttype": "path", "svg.hashsalt": "sheet", "font.size": 10}
SHORTER = {
    r"\lvert": "|",
    r"\rvert": "|",
    r"\text{softmax: }": "",
    r"\text{sigmoid: }": "",
}
"""What Matplotlib writes in another way than KaTeX."""
WIDTH, HEIGHT, MARGIN = 8.27, 11.69, 0.6
PART, LINE, TALL = 0.42, 0.33, 0.52
"""In inches: a sheet of A4; what a title, a line and one with a sum take."""


def on_files(files: Files, config: Any, **_: Any) -> Files:
    """Add the sheet to the site."""
    for kind in ("pdf", "svg"):
        path = f"derivations/network-sheet.{kind}"
        files.append(File.generated(config, path, content=sheet(kind)))
    return files


def sheet(kind: str) -> bytes:
    """The sheet as a file of a kind that Matplotlib writes."""
    page = pages.load(PAGE).page
    with mpl.rc_context(STYLE):
        figure = Figure((WIDTH, HEIGHT))
        draw(figure, page)
        file = io.BytesIO()
        metadata = {"Title": "Backpropagation on one sheet"}
        metadata |= {"CreationDate": None} if kind == "pdf" else {"Date": None}
        figure.savefig(file, format=kind, metadata=metadata)
    return file.getvalue()


def draw(figure: Figure, page: Any) -> None:
    """All equations of the page, part by part, each with its number and its code."""

    def put(x: float, y: float, words: str, **style: Any) -> None:
        figure.text(x / WIDTH, 1 - y / HEIGHT, words, va="center", **style)

    right, y = WIDTH - MARGIN, MARGIN
    put(MARGIN, y, "Backpropagation on one sheet", fontsize=16, weight="bold")
    put(right, y, "tinygrad_mnist, derivation 6", ha="right", color="0.35")
    for title, names in PARTS.items():
        y += PART
        put(MARGIN, y, title, fontsize=11, weight="bold")
        for name in names.split():
            equation = page.equations[name]
            typeset = formula(equation)
            space = TALL if r"\sum" in typeset else LINE
            y += space / 2 + LINE / 2
            put(MARGIN, y, f"({equation.number})", color="0.35")
            put(MARGIN + 0.65, y, typeset, fontsize=11)
            put(right, y, code(equation), ha="right", fontsize=7, family="monospace")
            y += space / 2 - LINE / 2
    put(MARGIN, HEIGHT - 0.4, FOOT, fontsize=8, color="0.35")


FOOT = (
    r"$B$ examples, one per row. $dX$: the derivative of the loss with respect to $X$. "
    r"$\odot$: entry by entry. Every equation is checked."
)


def formula(equation: Equation) -> str:
    """An equation as Matplotlib typesets it."""
    ((left, right),) = sides(equation)
    text = reader.MATRIX.sub(r"{\2}", f"{left} = {right}")
    for theirs, ours in SHORTER.items():
        text = text.replace(theirs, ours)
    return f"{BEGINS.get(equation.name, '')}${text.strip()}$"


def code(equation: Equation) -> str:
    """The line that computes an equation, in plain names where there is one."""
    number = equation.number.partition(".")[2]
    for file in (PLAIN, DEEP):
        found = re.findall(rf"^ +(.*)  # \({number}\)$", file.read_text("utf-8"), re.MULTILINE)
        named = [line for line in found if line.startswith(f"{equation.name} = ")]
        if found and not (file == PLAIN and equation.name.endswith("_")):  # the other loss
            return str((named or found)[0])
    raise LookupError(f"no line computes ({equation.number}).")
