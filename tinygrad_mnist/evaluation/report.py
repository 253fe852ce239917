"""A run as a single HTML page that needs no other file and adapts to screen and theme."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from html import escape
from typing import TYPE_CHECKING, Any

from tinygrad_mnist.evaluation.names import drawable, kind_of, listed, shown
from tinygrad_mnist.evaluation.subject import MNIST
from tinygrad_mnist.words import counted

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from tinygrad_mnist.evaluation.subject import Subject

FIGURES = {
    "curves": "Training",
    "confusion": "Confusion matrix",
    "reliability": "Reliability",
    "mistakes": "Most confident mistakes",
    "saliency": "Saliency",
    "first_layer": "First-layer weights",
    "kernels": "First-layer kernels",
}
"""Name of a figure -> its title."""

CAPTIONS = {
    "curves": "After each epoch. Training values are means over the epoch, while the weights "
    "changed and with dropout if any.",
    "confusion": "How many of each {kind} were read as each. Colours are logarithmic, so that rare "
    "confusions show.",
    "reliability": "On the dashed line, predictions are right as often as they are sure. Below: "
    "how many there are; few say little.",
    "mistakes": "The test images that were read wrongly with the highest confidence.",
    "saliency": "The first test image of each {which}; below it, how strongly each pixel "
    "moves that {kind}'s logit: most where it is yellow.",
    "first_layer": "What units of the first layer respond to. Purple: a bright pixel adds. "
    "Orange: it subtracts.",
    "kernels": "What the first layer looks for at every place of an image. Purple: a bright pixel "
    "adds. Orange: it subtracts.",
}
"""Name of a figure -> what it shows."""

MOST_ROWS = 100
"""If there are more classes, only those with the lowest F1 are shown."""
MOST_SALIENT = 25

STYLE = """
:root { color-scheme: light dark; --ink: #1b1f24; --soft: #57606a; --paper: #fff; --card: #f5f7f9;
  --line: #d5dade; --accent: #0072b2 }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e6e8ea; --soft: #a3acb5; --paper: #14171a; --card: #1e2327; --line: #3a4249;
    --accent: #56b4e9 }
}
* { box-sizing: border-box }
body { margin: 0 auto; max-width: 72rem; padding: 1.5rem 1rem 4rem;
  font: 1rem/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper) }
h1 { margin: 0; font-size: 1.5rem; overflow-wrap: anywhere }
h2 { margin: 0 0 .5rem; font-size: 1.15rem }
p { margin: .25rem 0 }
.soft, figcaption { color: var(--soft) }
.headline { font-size: 1.15rem; margin: 1rem 0 }
.headline b { display: block; font-size: 3rem; line-height: 1.1; color: var(--accent) }
dl { display: grid; grid-template-columns: repeat(4, 1fr); gap: .75rem; margin: 1rem 0 2rem }
@media (max-width: 40rem) { dl { grid-template-columns: 1fr 1fr } }
dl div { background: var(--card); border-radius: .5rem; padding: .6rem .8rem }
dt { font-size: .85rem; color: var(--soft) }
dd { margin: 0; font-size: 1.25rem; font-variant-numeric: tabular-nums }
main { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 24rem), 1fr));
  gap: 2.5rem 2rem; grid-auto-flow: dense }
section { min-width: 0 }
section.wide { grid-column: 1 / -1 }
figure { margin: 0 }
figcaption { font-size: .9rem; margin-top: .4rem }
img { display: block; width: 100%; height: auto; background: #fff; border-radius: .5rem;
  border: 1px solid var(--line); padding: .4rem }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums }
th, td { text-align: left; padding: .25rem .5rem .25rem 0; border-bottom: 1px solid var(--line) }
th { font-weight: 600 }
.numbers th, .numbers td { text-align: right }
.numbers :is(th, td):first-child { text-align: left }
.numbers tr.rule td { border-top: 2px solid var(--line) }
code, pre { font-family: ui-monospace, monospace; font-size: .9em }
pre { overflow-x: auto; margin: 0 }
summary { cursor: pointer }
details pre { margin-top: .5rem; padding: .6rem .8rem; background: var(--card);
  border-radius: .5rem; max-height: 40rem }
"""


def html_report(
    recipe: Mapping[str, Any],
    metrics: Mapping[str, Any],
    environment: Mapping[str, Any],
    figures: Mapping[str, bytes],
    subject: Subject = MNIST,
    listing: str = "",
) -> str:
    """The text of ``report.html``.

    Parameters
    ----------
    recipe : mapping
        Every value of the recipe that applies to the network.
    metrics : mapping
        The content of ``metrics.json``, with the test set opened.
    environment : mapping
        Software and machine.
    figures : mapping of str to bytes
        PNG files by name, as `figures.draw` returns them.
    subject : Subject
        The network, the shape of its images, and its classes; by default those of MNIST.
    listing : str
        The forward and backward pass of the network as a program, which the page shows folded.
    """
    settings = ((key, recipe[key]) for key in recipe if key not in ("name", "description"))
    kind = kind_of(subject.classes)
    return f"""<!DOCTYPE html>
<html lang="en">
{_head(recipe, metrics)}
<body>
{_header(recipe, metrics)}
<main>
{"".join(_figure(name, png, subject) for name, png in figures.items())}
<section><h2>Each {kind}</h2>{_per_class(metrics["test"], kind)}
<p class="soft">In %. Precision: of the images read as this {kind}, those that are. \
Recall: of the images of this {kind}, those read as it.</p>
</section>
{_network(recipe, subject)}<section><h2>Recipe</h2>{_table(settings)}
<p class="soft">To train it again: <code>tinygrad-mnist train config.toml</code></p></section>
<section><h2>Environment</h2>{_table(environment.items())}</section>
{_program(listing)}</main>
</body>
</html>
"""


def _right(test: Mapping[str, Any]) -> tuple[str, str]:
    """The percentage of images read correctly, and the number of images."""
    images = counted(test["correct"] + test["incorrect"], "test image")
    return f"{100 * test['accuracy']:.2f} %", images


def _head(recipe: Mapping[str, Any], metrics: Mapping[str, Any]) -> str:
    title = f"{recipe['name']}: {' of '.join(_right(metrics['test']))}"
    return f"""<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" \
content="default-src 'none'; img-src data:; style-src 'unsafe-inline'">
<title>{escape(title)}</title>
<style>{STYLE}</style>
</head>"""


def _header(recipe: Mapping[str, Any], metrics: Mapping[str, Any]) -> str:
    accuracy, images = _right(metrics["test"])
    return f"""<header>
<h1>{escape(recipe["name"])}</h1>
<p class="soft">{escape(recipe["description"])}</p>
<p class="headline"><b>{accuracy}</b> of {images} right</p>
{_files(metrics.get("files", {}))}
{_tiles(metrics)}
</header>"""


def _files(files: Mapping[str, str]) -> str:
    """The files that replace MNIST's, as options."""
    return "".join(
        f'<p class="soft">--{escape(name.replace("_", "-"))} {escape(path)}</p>'
        for name, path in files.items()
    )


def _tiles(metrics: Mapping[str, Any]) -> str:
    """The numbers at the top."""
    test = metrics["test"]
    tiles = {
        "mistakes": f"{test['incorrect']:,}",
        "cross-entropy": f"{test['cross_entropy']:z.4f}",
        "calibration error": f"{100 * test['ece']:.2f} %",
        "macro F1": f"{test['macro']['f1']:.4f}",
        "validation accuracy": f"{100 * metrics['validation']['accuracy']:.2f} %",
        "parameters": f"{metrics['parameters']:,}",
        "epochs": f"{metrics['epochs']}",
        "training time": f"{metrics['training_seconds']:.1f} s",
    }
    pairs = (f"<div><dt>{name}</dt><dd>{value}</dd></div>" for name, value in tiles.items())
    return f"<dl>{''.join(pairs)}</dl>"


def _figure(name: str, png: bytes, subject: Subject) -> str:
    count = len(subject.classes)
    kind = kind_of(subject.classes)
    which = f"of the first {MOST_SALIENT} classes" if count > MOST_SALIENT else kind
    told = CAPTIONS[name].format(kind=kind, which=which)
    if name == "confusion":
        told += _unseen(subject.classes)
    title, caption = escape(FIGURES[name]), escape(told)
    wide = " class=wide" if name == "confusion" and count > MOST_SALIENT else ""
    image = f'<img alt="{title}" src="data:image/png;base64,{base64.b64encode(png).decode()}">'
    return f"""<section{wide}><h2>{title}</h2>
<figure>{image}<figcaption>{caption}</figcaption></figure></section>
"""


def _unseen(classes: Sequence[str]) -> str:
    """A sentence with the names of classes that the figures show as numbers."""
    texts, _ = drawable(classes, 40)
    pairs = zip(texts, map(shown, classes), strict=True)
    unseen = [f"{text} {name}" for text, name in pairs if text != name]
    return f" Names that no font here could draw: {listed(unseen)}." if unseen else ""


def _network(recipe: Mapping[str, Any], subject: Subject) -> str:
    """A section on a network of your own: its printed form, and the hashes of its files."""
    rows = [
        row
        for key, sha in subject.own.items()
        for row in ((key, recipe[key]), (f"SHA-256 of the {key}", sha))
        if row[1]
    ]
    tree = f"<pre>{escape(subject.short_tree)}</pre>" if "model" in subject.own else ""
    return f"<section><h2>Network</h2>{tree}{_table(rows)}</section>\n" if rows else ""


def _program(listing: str) -> str:
    """A section with the listing, folded."""
    if not listing:
        return ""
    return f"""<section class=wide><h2>Program</h2>
<p class="soft">What the network computes in evaluation mode for one batch, and how its gradients \
come back: every line was recorded by the tape.</p>
<details><summary>Forward and backward pass, line by line</summary>
<pre>{escape(listing)}</pre></details></section>
"""


def _table(rows: Iterable[tuple[str, Any]]) -> str:
    lines = (
        f"<tr><th scope='row'>{escape(name)}</th><td>{escape(_text(value))}</td></tr>"
        for name, value in rows
    )
    return f"<table>{''.join(lines)}</table>"


def _text(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{key} = {shown(str(item))}" for key, item in value.items()) or "none"
    if isinstance(value, (list, tuple)):
        return ", ".join(map(str, value)) or "none"
    return {True: "yes", False: "no"}[value] if isinstance(value, bool) else str(value)


def _per_class(test: Mapping[str, Any], kind: str) -> str:
    """Percentages of every class, then their averages."""

    def line(name: Any, measures: Mapping[str, float], images: str, rule: str = "") -> str:
        percent = (f"{100 * measures[key]:.2f}" for key in ("precision", "recall", "f1"))
        cells = "".join(f"<td>{escape(str(cell))}</td>" for cell in (name, *percent, images))
        return f"<tr{rule}>{cells}</tr>"

    columns = kind, "precision", "recall", "F1", "images"
    head = "".join(f"<th scope='col'>{name}</th>" for name in columns)
    every, note = test["per_class"], ""
    if len(every) > MOST_ROWS:
        note = f"<p class='soft'>Of {len(every):,} classes, the {MOST_ROWS} of lowest F1:</p>"
        every = sorted(every, key=lambda row: row["f1"])[:MOST_ROWS]
    body = [line(shown(str(row["class"])), row, f"{row['support']:,}") for row in every]
    body.append(line("macro", test["macro"], "", " class=rule"))
    body.append(line("weighted", test["weighted"], ""))
    rows = "".join(body)
    table = f"<table class='numbers'><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>"
    return note + table
