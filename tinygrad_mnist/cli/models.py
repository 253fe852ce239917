"""The commands for a trained network: evaluate, export."""

from __future__ import annotations

import json as json_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from tinygrad_mnist.cli.app import Flag, Json, UserFileError, command, make_room, verdict, warn
from tinygrad_mnist.cli.own import opened_own, other_names
from tinygrad_mnist.cli.streams import say, say_json

if TYPE_CHECKING:
    from tinygrad_mnist.runs import Trained


@command(
    "tinygrad-mnist evaluate runs/default",
    "tinygrad-mnist evaluate --weights mlp_weights.npz --normalize seed",
    "tinygrad-mnist evaluate runs/default --data mine.csv",
)
def evaluate(
    run: Path | None = None,
    *,
    weights: Path | None = None,
    model: str | None = None,
    normalize: Literal["unit", "seed", "standardize"] | None = None,
    data: Path | None = None,
    labels: Path | None = None,
    json: Json = False,
) -> None:
    """Print how many test images a trained network gets right: MNIST's, or your own.

    Parameters
    ----------
    run
        The folder of the run; by default the only one in runs/.
    weights
        An npz or safetensors file, or another run folder, instead of the weights of the run.
        The recipe is that of the run, if one is named, or the one in the file, or the config.toml
        beside it. An npz file on its own is read as sigmoid units and softmax.
    model
        FILE.py:NAME of your own network, if the weights belong to one. The file is run.
    normalize
        The range of the pixels; by default that of the recipe, or unit: [0, 1]. seed is [0.01, 1].
    data
        Your own images: CSV, npz or IDX, of the size and the classes that the network was trained
        on; or the word mnist. By default MNIST's test images, if it was trained on MNIST.
    labels
        The file of their labels, if that file holds images only.
    json
        Print the result as JSON.
    """
    from tinygrad_mnist import evaluation
    from tinygrad_mnist.runs import load_trained, set_to_judge

    if labels and not data:
        raise UserFileError("--labels belongs to --data: name the images too.")
    with opened_own(model) as own:
        trained = load_trained(run, weights, own.model)
        refuse_mnist_for_others(trained, data)
        images = set_to_judge(trained.about, data, labels)
        pixels = normalize or trained.normalize
        warn((*trained.notices, *other_names(trained.recipe, model=model)))
        test = evaluation.evaluate(trained.classifier, images.images, images.labels, pixels)
    if json:
        source = str(data) if data else "test images"
        say_json({**test, "data": source, **described(trained, pixels)})
    else:
        name = f"{trained.weights} ({trained.layers}, pixels normalised as {pixels!r})"
        say(verdict(name, test, f"images in {data}" if data else "test images"))


def described(trained: Trained, pixels: str) -> dict[str, str]:
    """A description of the network that was evaluated, and of the range of pixels."""
    return {
        "weights": str(trained.weights),
        "layers": trained.layers,
        "normalize": pixels,
        "model_hash": trained.hash,
    }


def refuse_mnist_for_others(trained: Trained, data: Path | None) -> None:
    """Ask for images if the network was not trained on MNIST."""
    files = trained.about.files
    if data is None and not trained.about.on_mnist:
        tested = f" and tested on {files['test_data']}" if "test_data" in files else ""
        raise UserFileError(
            f"{trained.weights}: trained on {files['data']}{tested}, not on MNIST. "
            "Name the images to test it on: --data FILE."
        )


@command(
    "tinygrad-mnist export runs/default --out digits.onnx --softmax",
    "tinygrad-mnist export runs/seed-a --ancestor",
)
def export(
    run: Path,
    *,
    format: Literal["onnx", "safetensors", "npz"] | None = None,
    out: Path | None = None,
    model: str | None = None,
    softmax: Flag = False,
    ancestor: Flag = False,
) -> None:
    """Write the network of a run in a format that other programs read.

    Parameters
    ----------
    run
        The folder of the run.
    format
        onnx (needs the package onnx), safetensors, or npz; by default the format that the ending
        of --out implies, or safetensors.
    out
        The file, which is replaced if it exists. By default model.onnx, model.safetensors or
        weights.npz in the run folder.
    model
        FILE.py:NAME of your own network, if the run trained one. The file is run.
    softmax
        Let an onnx file give probabilities. By default it gives what the network does: logits, if
        the softmax belongs to its loss.
    ancestor
        Write config.json and train_history.json into the run folder, like the notebook of seed-a.
    """
    from tinygrad_mnist import export as exports
    from tinygrad_mnist.runs import load_trained

    if ancestor:
        if format or out or softmax:
            raise UserFileError(
                "--ancestor writes two JSON files into the run folder: "
                "it takes neither --format nor --out nor --softmax."
            )
        write_for_the_ancestor(run)
        return
    form = exports.format_of(out, format)
    if softmax and form != "onnx":
        raise UserFileError(f"--softmax is for onnx files: a file in {form} holds weights only.")
    path = out or run / DEFAULT_FILES[form]
    with opened_own(model) as own:
        trained = load_trained(run, model=own.model)
        write_network(trained, form, path, softmax)
    warn((*trained.notices, *other_names(trained.recipe, model=model)))
    say(path)


def write_for_the_ancestor(run: Path) -> None:
    """Write into a run folder the two JSON files that the notebook of seed-a wrote."""
    from dataclasses import asdict

    from tinygrad_mnist import export as exports
    from tinygrad_mnist.files import write
    from tinygrad_mnist.runs import find_run, load_trained, read_history
    from tinygrad_mnist.runs.config import read_config

    recipe, _ = read_config(find_run(run))
    if "model" in recipe.own:
        raise UserFileError(
            f"{run}: --ancestor describes the built-in network, and this run is of {recipe.model}."
        )
    trained = load_trained(run)
    history = exports.ancestor_history(map(asdict, read_history(run)))
    config = exports.ancestor_config(trained.settings)
    for name, values in (("config.json", config), ("train_history.json", history)):
        write(run / name, json_module.dumps(values, indent=2) + "\n")
        say(run / name)


DEFAULT_FILES = {"onnx": "model.onnx", "safetensors": "model.safetensors", "npz": "weights.npz"}


def write_network(trained: Trained, format: str, path: Path, softmax: bool) -> None:
    """Write a network to a file, which is replaced only when the new one is complete."""
    import io

    from tinygrad_mnist import export as exports
    from tinygrad_mnist.data.batches import RANGES
    from tinygrad_mnist.files import write

    content = io.BytesIO()
    about: dict[str, Any] = {"recipe": trained.settings, "trained": trained.about.table}
    if format == "npz":
        exports.write_npz(trained.model, content)
    elif format == "onnx":
        about["input_range"] = RANGES[trained.normalize]
        exports.write_onnx(trained.model, content, (trained.about.inputs,), about, softmax=softmax)
    else:
        exports.write_safetensors(trained.model, content, about)
    make_room(path)
    write(path, lambda file: file.write(content.getvalue()))
