"""What the search knows besides the text of the pages: which come first, and other words."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from mkdocs.exceptions import PluginError

BOOSTS = {"derivations": 4, "tutorials": 2, "howto": 2, "reference": 0.5}
"""By folder: whoever looks for a word wants to learn it first."""

ALIASES = {
    "derivations/chain-rule.html": "backprop backpropagation jacobian",
    "derivations/linear.html": "dense affine",
    "derivations/activations.html": "nonlinearity logistic rectifier",
    "derivations/softmax.html": "nll log-likelihood",
    "derivations/squared-error.html": "mse",
    "derivations/network.html": "backprop backpropagation mlp perceptron",
    "derivations/tape.html": "autograd autodiff automatic-differentiation reverse-mode",
    "derivations/second-derivatives.html": "hessian curvature",
    "derivations/optimizers.html": "sgd adam descent learning-rate",
    "derivations/initialisation.html": "initialization xavier glorot kaiming",
    "derivations/regularisation.html": "regularization overfitting weight-decay",
    "derivations/calibration.html": "confidence temperature",
    "derivations/stability.html": "overflow underflow nan logsumexp",
    "install.html": "install download wheel pip licence license cite",
}
"""By page: words that lead to it first. They become tags, which the style sheet hides."""


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
        entries[page]["tags"] = words.split()
    for location, entry in entries.items():
        entry["boost"] = BOOSTS.get(location.split("/")[0], 1)
    path.write_text(json.dumps(index, separators=(",", ":")), encoding="utf-8")
