"""Brings into the site what the page "Find my mistake" loads: Python, the table, and networks."""

from __future__ import annotations

import json
import re
import shutil
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

from tinygrad_mnist import bridge, byhand

DOCS = Path(__file__).parent.parent
PACKAGE = DOCS.parent / "tinygrad_mnist"
MICROPYTHON = DOCS / "node_modules" / "@micropython" / "micropython-webassembly-pyscript"
SIZES = {2: (5, 4, 3), 3: (5, 6, 4, 3)}
"""Of networks with two and three layers: no two lengths of a product are equal by chance."""

BATCH = 7


def on_pre_build(**_: Any) -> None:
    """Refuse to build a site in which no code would run."""
    if not MICROPYTHON.exists():
        from mkdocs.exceptions import PluginError

        raise PluginError("MicroPython is not there. Get it with: npm ci --prefix docs")


def on_post_build(config: Any, **_: Any) -> None:
    """Copy what runs in the page, and write the networks that it asks about."""
    put_together(Path(config.site_dir) / "assets" / "python")


def put_together(target: Path) -> None:
    """Everything that the page's worker loads, in one folder."""
    shutil.copytree(DOCS / "assets" / "python", target, dirs_exist_ok=True, ignore=compiled)
    for name in ("micropython.mjs", "micropython.wasm"):
        shutil.copy(MICROPYTHON / name, target)
    same = target / "tinygrad_mnist" / "bridge"
    same.mkdir(parents=True, exist_ok=True)
    for name in ("mistakes.py", "diagnosis.py"):
        shutil.copy(PACKAGE / "bridge" / name, same)
    for choice in product(SIZES, ("sigmoid", "tanh", "relu"), ("cross_entropy", "mse"), (0.0, 0.1)):
        name = "-".join(map(str, choice))
        (target / f"{name}.json").write_text(json.dumps(problem(*drawn(*choice))))


def compiled(_: str, names: list[str]) -> list[str]:
    """What running the files here has left."""
    return [name for name in names if name == "__pycache__"]


def drawn(layers: int, activation: str, loss: str, l2: float) -> tuple[Any, Any, Any]:
    """A network, always the same, with a batch and its labels."""
    sizes, rng = SIZES[layers], np.random.default_rng(layers)
    paper = byhand.MLP(sizes, activation, loss, l2, dtype=np.float64)
    for name in paper.params:
        paper.params[name] = rng.normal(size=paper.params[name].shape)
    return paper, rng.normal(size=(BATCH, sizes[0])), np.arange(BATCH) % sizes[-1]


def problem(paper: Any, X: Any, labels: Any) -> dict[str, Any]:
    """All right terms of a network, as `Problem` in check.py takes them."""
    terms = bridge.tape_terms(paper, X, labels)
    right = bridge.right_of(paper, terms, labels)
    gradients = list(paper.backward(paper.forward(X), labels))
    scale = bridge.magnitudes(paper, terms, dict.fromkeys(gradients), labels)
    return {
        "terms": {name: np.asarray(value).tolist() for name, value in right.terms.items()},
        "targets": right.targets.astype(int).tolist(),
        "gradients": gradients,
        "scale": {name: scale[name] for name in gradients},
        "depth": paper.depth,
        "activation": paper.activation,
        "loss": paper.loss_name,
        "l2": paper.l2,
    }


# ---------------------------------------------------------------- help with mistakes


def help_with_mistakes() -> str:
    """Every mistake that a diagnosis can name: what it is called, why it is made, how to see it.

    The headings are those of the file that has the help.
    """
    known, blocks = bridge.known_mistakes(), []
    for heading, name in HELP.findall(FILE_OF_HELP.read_text(encoding="utf-8")):
        blocks.append(f"### {heading}" if heading else box(name, known[name]))
    return "\n\n".join(blocks)


FILE_OF_HELP = PACKAGE / "bridge" / "help.toml"
HELP = re.compile(r"^# -{9,} (.+)$|^\[(.+)\]$", re.MULTILINE)
"""A heading, or the name of a mistake."""


def box(name: str, told: bridge.Help) -> str:
    """A box that opens when its title is clicked, with an address of its own."""
    page = (DOCS / "derivations" / f"{told.read}.md").read_text(encoding="utf-8")
    title = page.partition("\n")[0].removeprefix("# ")
    seen = f" It has [been met before]({told.seen})." if told.seen else ""
    return (
        f'<div id="mistake-{name}" class="mistake" markdown>\n\n??? info "{told.title}"\n\n'
        f"    **Why it happens.** {told.why}\n\n    **How to see it.** {told.see}{seen}\n\n"
        f"    **The derivation:** [{title}](derivations/{told.read}.md)\n\n</div>"
    )
