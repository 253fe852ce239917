"""The trainings of the page "Use it in scikit-learn"."""

import json
import warnings

from sklearn import neural_network
from sklearn.datasets import load_digits
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from tinygrad_mnist import sklearn as ours

SETTINGS = [{}, {"activation": "tanh"}, {"solver": "sgd", "learning_rate_init": 0.05}]
CLASSIFIERS = ours.MLPClassifier, neural_network.MLPClassifier


def compared():
    """A table of both classifiers, trained with the same settings."""
    lines = ["| settings | `tinygrad_mnist.sklearn` | `sklearn.neural_network` |", "|---|---|---|"]
    for settings in SETTINGS:
        words = ", ".join(f"{name}={json.dumps(value)}" for name, value in settings.items())
        cells = [f"`{words}`" if settings else "defaults"]
        cells += [trained(kind, settings) for kind in CLASSIFIERS]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def trained(kind, settings):
    """What a classifier arrives at on digits that it has not seen, and how long it takes."""
    X_train, X_test, y_train, y_test = train_test_split(
        *load_digits(return_X_y=True), random_state=0
    )
    classifier = kind(hidden_layer_sizes=(64,), random_state=0, **settings)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        model = make_pipeline(StandardScaler(), classifier).fit(X_train, y_train)
    return f"{100 * model.score(X_test, y_test):.1f} % in {model[-1].n_iter_} epochs"
