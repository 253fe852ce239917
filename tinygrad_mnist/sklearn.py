"""The networks of this package as a classifier of scikit-learn."""

from __future__ import annotations

import sys
import warnings
from dataclasses import replace
from math import inf, isinf
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import train_test_split
from sklearn.utils import check_random_state
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, validate_data

from tinygrad_mnist.data import Dataset
from tinygrad_mnist.nn import Classifier, Module
from tinygrad_mnist.training import Recipe, RecipeError, Training
from tinygrad_mnist.training.build import (
    build_loss,
    build_model,
    build_optimizer,
    with_own,
)
from tinygrad_mnist.training.trial import try_model, try_training

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Self

    from numpy.typing import ArrayLike, NDArray

SOLVERS = ("adam", "sgd")
NONE: NDArray[np.intp] = np.array([], np.intp)
"""No row is held out."""
ACTIVATIONS = {"logistic": "sigmoid"}
"""What scikit-learn calls otherwise."""
IN_RECIPES = {
    "hidden": "hidden_layer_sizes",
    "optimizer": "solver",
    "weight_decay": "alpha",
    "lr": "learning_rate_init",
    "epochs": "max_iter",
    "validation": "validation_fraction",
    "patience": "n_iter_no_change",
    "min_delta": "tol",
}
"""Key of a recipe -> parameter of the classifier."""


class MLPClassifier(ClassifierMixin, BaseEstimator):
    """A network as a classifier of scikit-learn, with the names of its own ``MLPClassifier``.

    Features are any real numbers, used as float32 and as they are: put a ``StandardScaler`` before.
    What has the same name as in scikit-learn means the same.

    Parameters
    ----------
    hidden_layer_sizes : int or sequence of int
        Width of each hidden layer; empty for a linear classifier.
    activation : {"logistic", "tanh", "relu"}
        After every hidden layer.
    solver : {"adam", "sgd"}
        The update rule.
    alpha : float
        Of the L2 penalty on the weights, divided by the examples of a batch.
    batch_size : int or "auto"
        Examples per step; "auto" is 200, or all if there are fewer.
    learning_rate_init : float
        The learning rate, which stays as it is.
    max_iter : int
        At most so many passes over the examples.
    random_state : int, RandomState or None
        Decides initial weights, the order of examples, and which are held out.
    tol : float
        A loss is better if it is lower by this at least; a validation accuracy, if it is higher.
    verbose : bool
        Whether to print a line an epoch.
    warm_start : bool
        Whether `fit` goes on with the network that is there, instead of a new one.
    momentum, nesterovs_momentum : float, bool
        Of "sgd".
    early_stopping : bool
        Whether examples are held out, and the weights with the best accuracy on them are kept.
    validation_fraction : float
        The part of the examples that is held out then.
    n_iter_no_change : int
        Stop after more than so many epochs without a better loss, or validation accuracy.
    module : callable, optional
        A network of your own in place of `hidden_layer_sizes` and `activation`: called as
        ``module(inputs, classes, rng=rng)``, it returns a `nn.Module` from (n, inputs) to
        (n, classes) logits.

    Attributes
    ----------
    module_ : nn.Module
        The trained network.
    classes_ : ndarray, (classes,)
        The labels, sorted.
    loss_curve_ : list of float
        The mean training loss of each epoch, without penalty.
    validation_scores_ : list of float
        The accuracy on the examples held out, after each epoch; with `early_stopping` only.
    n_iter_ : int
        How many epochs it was trained.
    n_features_in_, feature_names_in_ : int, ndarray
        How many features there are, and what they are called if the data frame says so.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from tinygrad_mnist.sklearn import MLPClassifier
    >>> X, y = load_iris(return_X_y=True)
    >>> model = MLPClassifier(learning_rate_init=0.01, random_state=0).fit(X, y)
    >>> model.score(X, y) > 0.9
    True
    """

    def __init__(
        self,
        hidden_layer_sizes: int | Sequence[int] = (100,),
        activation: str = "relu",
        *,
        solver: str = "adam",
        alpha: float = 0.0001,
        batch_size: int | Literal["auto"] = "auto",
        learning_rate_init: float = 0.001,
        max_iter: int = 200,
        random_state: int | np.random.RandomState | None = None,
        tol: float = 1e-4,
        verbose: bool = False,
        warm_start: bool = False,
        momentum: float = 0.9,
        nesterovs_momentum: bool = True,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        n_iter_no_change: int = 10,
        module: Callable[..., Module] | None = None,
    ) -> None:
        self.hidden_layer_sizes, self.activation = hidden_layer_sizes, activation
        self.solver, self.alpha, self.batch_size = solver, alpha, batch_size
        self.learning_rate_init, self.max_iter = learning_rate_init, max_iter
        self.random_state, self.tol, self.verbose = random_state, tol, verbose
        self.warm_start, self.momentum = warm_start, momentum
        self.nesterovs_momentum, self.early_stopping = nesterovs_momentum, early_stopping
        self.validation_fraction, self.n_iter_no_change = validation_fraction, n_iter_no_change
        self.module = module

    def fit(self, X: ArrayLike, y: ArrayLike, **others: Any) -> Self:
        """Train on examples (n, features) and their labels (n,).

        Raises
        ------
        ValueError
            If a parameter makes no sense, or there are fewer than two classes.
        TypeError
            If there are weights of examples, or anything else.
        DivergenceError
            If the loss becomes infinite or NaN.
        OwnCodeError
            If `module` is none, or does not fit the data.
        """
        _refuse(others)
        goes_on = self.warm_start and hasattr(self, "module_")
        recipe = self._recipe()
        x, y = validate_data(self, X, y, dtype=np.float32, reset=not goes_on)
        check_classification_targets(y)
        classes, labels = np.unique(y, return_inverse=True)
        if len(classes) < 2:
            raise ValueError(f"There is 1 class, {classes[0]}: at least 2 are to be told apart.")
        if not goes_on:
            self._begin(recipe, x, labels, classes)
        elif not np.array_equal(classes, self.classes_):
            raise ValueError(f"warm_start goes on with the classes {self.classes_}, not {classes}.")
        self._train(recipe, x, labels)
        return self

    def partial_fit(
        self, X: ArrayLike, y: ArrayLike, classes: ArrayLike | None = None, **others: Any
    ) -> Self:
        """Train on some examples, once on each.

        The first call is given all `classes`; each later one goes on. Raises the errors of `fit`,
        and ValueError if a label is none of the classes, or with `early_stopping`.
        """
        _refuse(others)
        if self.early_stopping:
            raise ValueError("partial_fit sees each example once: early_stopping must be False.")
        first, recipe = not hasattr(self, "module_"), self._recipe()
        x, y = validate_data(self, X, y, dtype=np.float32, reset=first)
        check_classification_targets(y)
        if first and classes is None:
            raise ValueError("The first call of partial_fit needs classes: all labels there are.")
        known = self.classes_ if classes is None else np.unique(classes)
        labels = np.searchsorted(known, y).clip(max=len(known) - 1)
        if not np.array_equal(known[labels], y):
            raise ValueError(f"A label is none of the classes {known}.")
        if first:
            self._begin(recipe, x, labels, known)
        elif not np.array_equal(known, self.classes_):
            raise ValueError(f"classes must stay {self.classes_}, but are {known}.")
        self._epoch(self._training(recipe, x, labels, np.arange(len(x))))
        return self

    def predict_proba(self, X: ArrayLike) -> NDArray[np.float32]:
        """The probability of each class, as in `classes_`: (n, features) -> (n, classes)."""
        check_is_fitted(self, "module_")
        x = validate_data(self, X, dtype=np.float32, reset=False)
        return Classifier(self.module_).predict_proba(x)

    def predict_log_proba(self, X: ArrayLike) -> NDArray[np.float32]:
        """Their logarithms."""
        with np.errstate(divide="ignore"):
            return np.log(self.predict_proba(X))

    def predict(self, X: ArrayLike) -> NDArray[Any]:
        """The most probable label: (n, features) -> (n,)."""
        most = self.predict_proba(X).argmax(axis=1)
        return self.classes_[most]

    def _recipe(self) -> Recipe:
        """What the parameters say, if they make sense."""
        if self.solver not in SOLVERS:
            raise ValueError(
                f"solver cannot be {self.solver!r:.80}. Choose from {', '.join(SOLVERS)}: "
                "networks learn in batches here."
            )
        sgd, patience = self.solver == "sgd", self.n_iter_no_change
        values: dict[str, Any] = {
            "hidden": np.atleast_1d(self.hidden_layer_sizes).tolist(),
            "activation": ACTIVATIONS.get(self.activation, self.activation),
            "optimizer": self.solver,
            "weight_decay": self.alpha,
            "batch_size": 200 if self.batch_size == "auto" else self.batch_size,
            "lr": self.learning_rate_init,
            "epochs": self.max_iter,
            "momentum": self.momentum if sgd else 0.9,
            "nesterov": bool(sgd and self.nesterovs_momentum and self.momentum),
            "validation": self.validation_fraction,
            "patience": self.max_iter if isinf(patience) else patience,
            "min_delta": self.tol,
        }
        values = {k: v.item() if isinstance(v, np.generic) else v for k, v in values.items()}
        try:
            return with_own(Recipe("sklearn", **values), self.module, None)
        except RecipeError as error:
            key, _, rest = str(error).partition(" ")
            raise ValueError(f"{IN_RECIPES.get(key, key)} {rest}") from error

    def _begin(
        self,
        recipe: Recipe,
        x: NDArray[np.float32],
        labels: NDArray[np.intp],
        classes: NDArray[Any],
    ) -> None:
        """A new network, and the optimizer of its parameters."""
        if isinstance(self.module, Module):
            raise TypeError(
                "module makes a network for the data, but this is one: pass its class, or a "
                "function of (inputs, classes, *, rng) that returns it."
            )
        seed = check_random_state(self.random_state).randint(np.iinfo(np.int32).max)
        weights, self._order = map(np.random.default_rng, np.random.SeedSequence(seed).spawn(2))
        network = build_model(recipe, x.shape[1], len(classes), weights, self.module)
        if self.module is not None:
            try_model(network, x[:2], len(classes))
            try_training(network, x[:2], labels[:2].astype(np.int64), len(classes))
        penalty = recipe.weight_decay / min(recipe.batch_size, len(x))
        self._optimizer = build_optimizer(replace(recipe, weight_decay=penalty), network)
        self._split_seed = seed
        self.module_, self.classes_ = network, classes
        self.loss_curve_: list[float] = []
        self.n_iter_ = 0

    def _training(
        self,
        recipe: Recipe,
        x: NDArray[np.float32],
        labels: NDArray[np.intp],
        rows: NDArray[np.intp],
        held_out: NDArray[np.intp] = NONE,
    ) -> Training:
        names = tuple(map(str, self.classes_))
        data = Dataset(x, labels.astype(np.int64), (1, x.shape[1]), names)
        return Training(
            self.module_,
            self._optimizer,
            build_loss(recipe, len(names)),
            data,
            rows,
            held_out,
            rngs={"order": self._order},
            epochs=0,
            batch_size=recipe.batch_size,
            normalize=None,
        )

    def _epoch(self, training: Training) -> None:
        training.epochs += 1
        training.run()
        self.loss_curve_.append(training.history[-1].loss)
        self.n_iter_ += 1
        if self.verbose:
            sys.stdout.write(f"Iteration {self.n_iter_}, loss = {self.loss_curve_[-1]:.8f}\n")

    def _train(self, recipe: Recipe, x: NDArray[np.float32], labels: NDArray[np.intp]) -> None:
        """Epoch after epoch, until nothing gets better."""
        rows, held_out = np.arange(len(x)), NONE
        if self.early_stopping:
            fraction, seed = recipe.validation, self._split_seed
            rows, held_out = train_test_split(
                rows, test_size=fraction, random_state=seed, stratify=labels
            )
        training = self._training(recipe, x, labels, rows, held_out)
        best, since_best, kept = inf, 0, training.weights()
        while since_best <= recipe.patience:
            if training.epochs == recipe.epochs:
                self._warn()
                break
            self._epoch(training)
            last = training.history[-1]
            height = -last.validation_accuracy if self.early_stopping else last.loss
            since_best = since_best + 1 if height > best - recipe.min_delta else 0
            if height < best:
                best, kept = height, training.weights()
        if self.early_stopping:
            self.module_.load_state_dict(kept)
            self.validation_scores_ = [epoch.validation_accuracy for epoch in training.history]

    def _warn(self) -> None:
        warnings.warn(
            f"After max_iter={self.max_iter} epochs it was still getting better. Raise max_iter, "
            "or put a StandardScaler before it.",
            ConvergenceWarning,
            stacklevel=4,
        )


def _refuse(others: Mapping[str, Any]) -> None:
    weights = others.get("sample_weight")
    if weights is not None:
        raise TypeError(
            "Weights of examples are not supported: each counts alike. "
            "Leave out sample_weight, or repeat the examples that count more."
        )
    for name in others.keys() - {"sample_weight"}:
        raise TypeError(f"There is no argument {name!r}.")
