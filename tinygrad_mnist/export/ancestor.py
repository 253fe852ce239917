"""A run in the format of the classroom notebook that `seed-a` comes from: two JSON files."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tinygrad_mnist.export.layers import ExportError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping


def ancestor_config(recipe: Mapping[str, Any]) -> dict[str, Any]:
    """The settings of a recipe that have a key in ``config.json``.

    The learning rate starts at ``lr0`` and is multiplied by ``lr_decay`` per epoch; ``lr_decay`` is
    None if it changes in another way.

    Raises
    ------
    ExportError
        If the network does not have one or two hidden layers.
    """
    hidden = list(recipe["hidden"])
    if len(hidden) not in (1, 2):
        raise ExportError(
            "The ancestor's config.json has room for one or two hidden layers, "
            f"but this network has {len(hidden)}."
        )
    decays = {"constant": 1.0}
    if recipe["schedule_every"] == "epoch":
        decays["exponential"] = recipe["gamma"]
    return {
        "USE_TWO_HIDDEN": len(hidden) == 2,
        "hidden_size_1": hidden[0],
        "hidden_size_2": hidden[1] if len(hidden) == 2 else None,
        "epochs": recipe["epochs"],
        "batch_size": recipe["batch_size"],
        "lr0": recipe["lr"],
        "lr_decay": decays.get(recipe["schedule"]),
        "momentum": recipe["momentum"],
        "weight_decay_L2": recipe["weight_decay"],
        "seed": recipe["seed"],
    }


def ancestor_history(history: Iterable[Mapping[str, float]]) -> dict[str, list[float]]:
    """The four curves of ``train_history.json``, one number per epoch.

    Unlike in the notebook, the losses do not include the L2 penalty.
    """
    epochs = list(history)
    columns = {
        "loss": "loss",
        "acc": "accuracy",
        "val_loss": "validation_loss",
        "val_acc": "validation_accuracy",
    }
    return {theirs: [epoch[ours] for epoch in epochs] for theirs, ours in columns.items()}
