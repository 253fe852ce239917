"""What the search knows besides the words of the pages: which matter most, and other words for them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from mkdocs.exceptions import PluginError

BOOSTS = {"derivations": 4, "tutorials": 2, "howto": 2, "reference": 0.5}
"""By folder: whoever looks for a word wants to learn it first."""

ALIASES = {
    "derivations/index.html": "backprop, back-propagation, backpropagation algorithm",
    "derivations/chain-rule.html": "backprop, backpropagation, chain-rule, Jacobian",
    "derivations/linear.html": "dense layer, fully connected layer, affine map",
    "derivations/activations.html": "non-linearity, logistic function, rectifier",
    "derivations/softmax.html": "log loss, negative log-likelihood, NLL",
    "derivations/squared-error.html": "MSE, quadratic loss",
    "derivations/network.html": "backprop, backpropagation, multilayer perceptron, MLP",
    "derivations/tape.html": "autograd, autodiff, automatic differentiation, reverse mode, graph",
    "derivations/broadcasting.html": "unbroadcast, sum to shape",
    "derivations/second-derivatives.html": "Hessian, curvature, double backward",
    "derivations/optimizers.html": "gradient descent, SGD, Adam, learning rate",
    "derivations/initialisation.html": "initialization, Xavier, Glorot, Kaiming, He",
    "derivations/regularisation.html": "regularization, overfitting, weight decay, dropout",
    "derivations/calibration.html": "confidence, temperature, reliability diagram, heat map",
    "derivations/stability.html": "overflow, underflow, NaN, log-sum-exp",
    "install.html": "install, download, wheel, pip, source code, licence, license, cite",
}


def on_post_build(config: Any, **_: Any) -> None:
    """Add to the index, which the search plugin has just written.

    Raises
    ------
    PluginError
        If there is no such page any more.
    """
    path = Path(config.site_dir, "search", "search_index.json")
    index = json.loads(path.read_text(encoding="utf-8"))
    entries = {entry["location"]: entry for entry in index["docs"]}
    for page, words in ALIASES.items():
        if page not in entries:
            raise PluginError(f"docs/hooks/search.py has other words for {page}, which is gone.")
        entries[page]["text"] += f"<p>Also: {words}.</p>"
    for location, entry in entries.items():
        entry["boost"] = BOOSTS.get(location.split("/")[0], 1)
    path.write_text(json.dumps(index, separators=(",", ":")), encoding="utf-8")
