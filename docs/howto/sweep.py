"""The sweep of the page "Search for good settings"."""

import tempfile
from functools import cache
from pathlib import Path

from figures import svg

from tinygrad_mnist.scale import figures
from tinygrad_mnist.scale.results import ranked, summary, table
from tinygrad_mnist.scale.space import space_of
from tinygrad_mnist.scale.sweep import sweep
from tinygrad_mnist.training import Recipe

RECIPE = Recipe("small", hidden=(32,), epochs=6, examples=2000)
VARY = ["lr=0.01..3:log", "hidden=[],[16],[64]"]


@cache
def swept():
    """The results of twenty trials."""
    with tempfile.TemporaryDirectory() as folder:
        return sweep(RECIPE, VARY, Path(folder), trials=20)


def best():
    """What the command prints at the end: the best trials and the summary."""
    return "\n".join([*table(swept())[:7], "", f"`{summary(swept())}`"])


def parallel():
    """The figure of all trials."""
    finished = ranked(swept()["trials"])
    others = [trial for trial in swept()["trials"] if trial not in finished]
    text = "Each trial as a line from its learning rate over its hidden layer to its error."
    caption = "Every line is a training. Dotted ones were ended early."
    return svg(figures.parallel(finished, others, space_of(VARY, RECIPE)), text, caption=caption)


def importance():
    """The figure of how much each setting explains."""
    text = "A bar for each setting, as long as the part of the differences that it explains."
    caption = "By fANOVA: the part of the variance in a forest of regression trees."
    return svg(figures.importance(swept()["importance"]), text, caption=caption)
