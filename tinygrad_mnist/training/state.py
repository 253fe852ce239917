"""The state of a training between two steps, as arrays and numbers, and how to continue from it."""

from __future__ import annotations

from dataclasses import asdict, astuple, fields
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from tinygrad_mnist.data import DataError
from tinygrad_mnist.training.history import Epoch, UnderWay

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from tinygrad_mnist.training.loop import Training

UNFIT = (ArithmeticError, AttributeError, LookupError, RuntimeError, TypeError, ValueError)
"""Errors that loading a state of something else may raise."""


class State(NamedTuple):
    """The state of a training between two steps.

    Attributes
    ----------
    arrays : dict
        Name -> ndarray of numbers.
    numbers : dict
        Everything else, as JSON can express it.
    """

    arrays: dict[str, NDArray[Any]]
    numbers: dict[str, Any]


def take(training: Training) -> State:
    """Copies of everything that the next steps depend on, except settings and data.

    Raises
    ------
    DivergenceError
        If a weight is infinite or NaN, spoiled by the last step.
    """
    for p in training.model.parameters():
        if not np.isfinite(p.data).all():
            raise training.diverged("weights became infinite or NaN")
    arrays = {f"model.{name}": array for name, array in training.weights().items()}
    arrays |= {f"best.{name}": array for name, array in training.best_weights.items()}
    optimizer = training.optimizer.state_dict()
    for i, remembered in optimizer["state"].items():
        for name, value in remembered.items():
            arrays[f"optimizer.{i}.{name}"] = np.asarray(value)
    history = np.array([astuple(epoch) for epoch in training.history], np.float64)
    arrays["history"] = history.reshape(-1, len(fields(Epoch)))
    generators = {name: rng.bit_generator.state for name, rng in generators_of(training).items()}
    numbers = {
        "schedule": training.schedule.last_epoch,
        "under_way": asdict(training.under_way),
        "best_epoch": training.best_epoch,
        "settings": [own_settings(group) for group in optimizer["param_groups"]],
        "rngs": generators | {"order": training.drawn_from},
    }
    return State(arrays, numbers)


def put_back(training: Training, state: State) -> None:
    """Continue from where `state` was taken, in a training with the same settings and data.

    Learning rates are not in the state: they follow from the settings and the number of steps
    taken.

    Raises
    ------
    DataError
        If the state does not belong to such a training.
    """
    try:
        _restore_model(training, state.arrays)
        _restore_optimizer(training, *state)
        _restore_place(training, *state)
        for name, rng in generators_of(training).items():
            rng.bit_generator.state = state.numbers["rngs"][name]
        training.drawn_from = training.rngs["order"].bit_generator.state
    except UNFIT as error:
        first, *_ = str(error).splitlines() or ["?"]
        raise DataError(f"not the state of such a training: {first[:200]}.") from error


def generators_of(training: Training) -> dict[str, np.random.Generator]:
    """Every generator of random numbers in a training, by name.

    These are the training's own, and attributes of its modules and its optimizer.
    """
    found = dict(training.rngs)
    known = {id(rng) for rng in found.values()}
    holders: list[tuple[str, Any]] = [("optimizer", training.optimizer)]
    holders += [(f"model.{path}", module) for path, module in training.model.named_modules()]
    for where, holder in holders:
        for name, rng in vars(holder).items():
            if isinstance(rng, np.random.Generator) and id(rng) not in known:
                known.add(id(rng))
                found[f"{where}.{name}"] = rng
    return found


def own_settings(group: dict[str, Any]) -> dict[str, Any]:
    """The settings of a group of parameters that an update rule may change by itself.

    Learning rates belong to the schedule.
    """
    return {
        name: value
        for name, value in group.items()
        if name != "params" and "lr" not in name and isinstance(value, (bool, int, float))
    }


def _part(arrays: dict[str, NDArray[Any]], prefix: str) -> dict[str, NDArray[Any]]:
    start = f"{prefix}."
    return {key.removeprefix(start): a for key, a in arrays.items() if key.startswith(start)}


def _restore_model(training: Training, arrays: dict[str, NDArray[Any]]) -> None:
    stray = {key.split(".")[0] for key in arrays} - {"model", "best", "optimizer", "history"}
    if stray:
        raise LookupError(f"{min(stray)!r} is no part of one")
    if best := _part(arrays, "best"):
        training.model.load_state_dict(best)  # check that they fit
    training.best_weights = best
    training.model.load_state_dict(_part(arrays, "model"))


def _restore_optimizer(
    training: Training, arrays: dict[str, NDArray[Any]], numbers: dict[str, Any]
) -> None:
    remembered: dict[int, dict[str, NDArray[Any]]] = {}
    for key, array in _part(arrays, "optimizer").items():
        i, name = key.split(".")
        remembered.setdefault(int(i), {})[name] = array
    groups = training.optimizer.state_dict()["param_groups"]
    settings = numbers.get("settings", [{}] * len(groups))
    groups = [
        group | {name: values.get(name, group[name]) for name in own_settings(group)}
        for group, values in zip(groups, settings, strict=True)
    ]
    training.optimizer.load_state_dict({"state": remembered, "param_groups": groups})
    training.schedule.last_epoch = int(numbers["schedule"]) - 1
    training.schedule.step()  # sets the learning rate


def _restore_place(
    training: Training, arrays: dict[str, NDArray[Any]], numbers: dict[str, Any]
) -> None:
    training.history = [Epoch(int(row[0]), *map(float, row[1:])) for row in arrays["history"]]
    now = numbers["under_way"]
    training.under_way = UnderWay(
        batch=int(now["batch"]),
        loss_sum=float(now["loss_sum"]),
        correct=int(now["correct"]),
        lr=float(now["lr"]),
        seconds=float(now["seconds"]),
    )
    training.best_epoch = int(numbers["best_epoch"])
    begun = len(training.history) + (training.under_way.batch > 0)
    if begun > training.epochs or not 0 <= training.under_way.batch <= training.batches:
        raise ValueError(
            f"epoch {begun} has begun, batch {training.under_way.batch}: "
            f"more than {training.epochs} of {training.batches}"
        )
    has_best = training.best_epoch > 0
    missing = not 0 <= training.best_epoch <= len(training.history)
    if missing or has_best != bool(training.best_weights):
        raise ValueError(f"the weights of epoch {training.best_epoch} are not there")
