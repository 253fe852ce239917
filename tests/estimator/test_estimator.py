"""The classifier for scikit-learn: its own checks, and what this one says of itself."""

import pickle
import subprocess
import sys

import numpy as np
import pytest
from sklearn import neural_network
from sklearn.base import clone
from sklearn.datasets import load_iris
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

from tinygrad_mnist import nn
from tinygrad_mnist.owncode import OwnCodeError
from tinygrad_mnist.sklearn import MLPClassifier

pytestmark = [
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.SkipTestWarning"),
]


@pytest.fixture(scope="module")
def iris():
    X, y = load_iris(return_X_y=True)
    return StandardScaler().fit_transform(X), y


class Wide(nn.Module):
    """A network of one's own, with dropout, so that it has two modes."""

    def __init__(self, inputs, classes, *, rng):
        self.first, self.last = nn.Linear(inputs, 64, rng=rng), nn.Linear(64, classes, rng=rng)
        self.drop = nn.Dropout(0.2, rng=rng)

    def forward(self, x):
        return self.last(self.drop(nn.functional.relu(self.first(x))))


@parametrize_with_checks([MLPClassifier()])
def test_it_is_an_estimator_as_scikit_learn_asks(estimator, check):
    check(estimator)


# ---------------------------------------------------------------- the same names, the same meaning

ALIKE = [
    {},
    {"alpha": 5.0},
    {"activation": "logistic", "hidden_layer_sizes": (6, 5)},
    {"activation": "tanh", "learning_rate_init": 0.01},
    {"solver": "sgd", "learning_rate_init": 0.2, "alpha": 2.0},
    {"solver": "sgd", "learning_rate_init": 0.2, "nesterovs_momentum": False, "momentum": 0.5},
]


@pytest.mark.parametrize("settings", ALIKE, ids=str)
def test_from_the_same_weights_it_takes_the_steps_of_scikit_learn(iris, settings, monkeypatch):
    X, y = iris[0].astype(np.float32), iris[1]
    ours = MLPClassifier(**settings, random_state=0)
    ours._begin(ours._recipe(), X, y, np.unique(y))
    layers = [m for m in ours.module_.modules() if isinstance(m, nn.Linear)]
    first = iter([(m.weight.data.copy(), m.bias.data.copy()) for m in layers])
    theirs = neural_network.MLPClassifier(**settings, random_state=0)
    monkeypatch.setattr(type(theirs), "_init_coef", lambda *_: next(first))
    ours.n_features_in_ = X.shape[1]
    for _ in range(20):
        theirs.partial_fit(X, y, classes=np.unique(y))
        ours.partial_fit(X, y)
    for layer, weight, bias in zip(layers, theirs.coefs_, theirs.intercepts_, strict=True):
        np.testing.assert_allclose(layer.weight.data, weight, atol=3e-4)
        np.testing.assert_allclose(layer.bias.data, bias, atol=3e-4)


def test_the_names_are_those_of_scikit_learn_but_for_one():
    ours, theirs = MLPClassifier().get_params(), neural_network.MLPClassifier().get_params()
    assert ours.keys() - theirs.keys() == {"module"}
    assert {name: theirs[name] for name in ours if name != "module"} == {
        name: value for name, value in ours.items() if name != "module"
    }


def test_the_penalty_is_divided_by_the_batch(iris):
    model = MLPClassifier(alpha=3.0, batch_size=50, max_iter=1).fit(*iris)
    weights, biases = model._optimizer.param_groups
    assert (weights["weight_decay"], biases["weight_decay"]) == (3.0 / 50, 0.0)


# ---------------------------------------------------------------- how long it trains


def test_it_stops_when_nothing_gets_better_and_says_so_if_not(iris):
    waited = MLPClassifier(tol=100.0, n_iter_no_change=3, random_state=0).fit(*iris)
    assert waited.n_iter_ == len(waited.loss_curve_) == 5  # the first is better than nothing
    with pytest.warns(ConvergenceWarning, match="After max_iter=2 epochs"):
        MLPClassifier(max_iter=2).fit(*iris)


def test_early_stopping_keeps_the_best_weights(iris):
    settings = {"early_stopping": True, "validation_fraction": 0.3, "n_iter_no_change": 5}
    model = MLPClassifier(**settings, learning_rate_init=0.05, random_state=0).fit(*iris)
    assert len(model.validation_scores_) == model.n_iter_ < 200
    again = MLPClassifier(**settings, learning_rate_init=0.05, random_state=0)
    best = int(np.argmax(model.validation_scores_)) + 1
    again.set_params(max_iter=best).fit(*iris)
    assert np.array_equal(again.predict_proba(iris[0]), model.predict_proba(iris[0]))


def test_the_same_random_state_gives_the_same_bits(iris):
    one, two, other = (MLPClassifier(max_iter=3, random_state=n).fit(*iris) for n in (1, 1, 2))
    assert one.loss_curve_ == two.loss_curve_ != other.loss_curve_


def test_warm_start_goes_on_where_fit_ended(iris):
    model = MLPClassifier(max_iter=3, warm_start=True, random_state=0).fit(*iris)
    network = model.module_
    assert model.fit(*iris).module_ is network
    assert model.n_iter_ == len(model.loss_curve_) == 6
    with pytest.raises(ValueError, match="warm_start goes on with the classes"):
        model.fit(iris[0], iris[1] + 1)


def test_verbose_prints_an_epoch_a_line(iris, capsys):
    model = MLPClassifier(max_iter=2, verbose=True).fit(*iris)
    lines = capsys.readouterr().out.splitlines()
    assert lines[1] == f"Iteration 2, loss = {model.loss_curve_[1]:.8f}"


# ---------------------------------------------------------------- in scikit-learn's company


def test_it_is_searched_in_a_pipeline(iris):
    steps = make_pipeline(StandardScaler(), MLPClassifier(max_iter=60, random_state=0))
    grid = {
        "mlpclassifier__learning_rate_init": np.array([1e-6, 0.02]),
        "mlpclassifier__max_iter": np.arange(59, 60),
    }
    search = GridSearchCV(steps, grid, cv=3).fit(*iris)
    assert search.best_params_["mlpclassifier__learning_rate_init"] == 0.02
    assert search.best_score_ > 0.9


def test_a_network_of_ones_own_is_cloned_pickled_and_searched(iris):
    model = clone(MLPClassifier(module=Wide, learning_rate_init=0.01, random_state=0))
    assert model.fit(*iris).score(*iris) > 0.9
    assert isinstance(model.module_, Wide)
    again = pickle.loads(pickle.dumps(model))
    assert np.array_equal(again.predict_proba(iris[0]), model.predict_proba(iris[0]))


def test_what_is_pickled_goes_on_as_if_nothing_had_happened(iris):
    model = MLPClassifier(random_state=0).partial_fit(*iris, classes=[0, 1, 2])
    again = pickle.loads(pickle.dumps(model))
    for one in (model, again):
        one.partial_fit(*iris)
    assert np.array_equal(again.predict_proba(iris[0]), model.predict_proba(iris[0]))


def test_labels_may_be_words_and_features_any_numbers(iris):
    words = np.array(["setosa", "versicolor", "virginica"])[iris[1]]
    model = MLPClassifier(learning_rate_init=0.01, random_state=0).fit(iris[0] * 3 - 5, words)
    assert list(model.classes_) == sorted(set(words))
    assert model.score(iris[0] * 3 - 5, words) > 0.9
    assert np.allclose(np.exp(model.predict_log_proba(iris[0])), model.predict_proba(iris[0]))


# ---------------------------------------------------------------- refused in words

WRONG = [
    ({"solver": "lbfgs"}, "solver cannot be 'lbfgs'. Choose from adam, sgd"),
    ({"activation": "identity"}, "activation cannot be 'identity'. Choose from sigmoid"),
    ({"hidden_layer_sizes": (0,)}, "hidden_layer_sizes lists the widths"),
    ({"hidden_layer_sizes": 2.5}, "hidden_layer_sizes must be a list of whole numbers"),
    ({"alpha": -1}, "alpha must lie between 0.0"),
    ({"batch_size": 0}, "batch_size must lie between 1"),
    ({"batch_size": "all"}, "batch_size must be a whole number"),
    ({"learning_rate_init": -1}, "learning_rate_init must lie between 0.0"),
    ({"max_iter": 0}, "max_iter must lie between 1"),
    ({"momentum": 2, "solver": "sgd"}, "momentum must lie between 0.0 and 1.0"),
    ({"validation_fraction": 1.0}, "validation_fraction must lie between"),
    ({"n_iter_no_change": -1}, "n_iter_no_change must lie between"),
    ({"tol": "small"}, "tol must be a number"),
]


@pytest.mark.parametrize(("settings", "words"), WRONG, ids=lambda value: str(value)[:40])
def test_a_parameter_that_makes_no_sense_is_named(iris, settings, words):
    with pytest.raises(ValueError, match="^" + words.replace("(", r"\(").replace(".", r"\.")):
        MLPClassifier(**settings).fit(*iris)


def test_weights_of_examples_are_refused_in_words(iris):
    for method in (MLPClassifier().fit, MLPClassifier().partial_fit):
        with pytest.raises(TypeError, match="each counts alike"):
            method(*iris, sample_weight=np.ones(150))
        with pytest.raises(TypeError, match="no argument 'weights'"):
            method(*iris, weights=1)


def test_a_network_that_is_none_is_refused_in_words(iris):
    with pytest.raises(TypeError, match="module makes a network for the data, but this is one"):
        MLPClassifier(module=nn.Linear(4, 3)).fit(*iris)
    with pytest.raises(OwnCodeError, match="A model is called as"):
        MLPClassifier(module=lambda: None).fit(*iris)
    with pytest.raises(OwnCodeError, match=r"\(2, 3\)"):
        MLPClassifier(module=lambda n, k, rng: nn.Linear(n, k + 1, rng=rng)).fit(*iris)


def test_partial_fit_says_what_it_needs(iris):
    X, y = iris
    with pytest.raises(ValueError, match="needs classes"):
        MLPClassifier().partial_fit(X, y)
    with pytest.raises(ValueError, match="A label is none of the classes"):
        MLPClassifier().partial_fit(X, y, classes=[0, 1])
    with pytest.raises(ValueError, match="early_stopping must be False"):
        MLPClassifier(early_stopping=True).partial_fit(X, y, classes=[0, 1, 2])
    model = MLPClassifier().partial_fit(X[:9], y[:9], classes=[2, 0, 1])
    assert list(model.partial_fit(X, y).classes_) == [0, 1, 2]
    with pytest.raises(ValueError, match="classes must stay"):
        model.partial_fit(X, y, classes=[0, 1, 2, 3])


def test_one_class_is_none_to_tell_apart(iris):
    with pytest.raises(ValueError, match="There is 1 class, 7"):
        MLPClassifier().fit(iris[0], np.full(150, 7))


def test_the_package_itself_does_not_import_it():
    look = (
        "import sys, tinygrad_mnist.training, tinygrad_mnist.runs; print('sklearn' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", look], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
