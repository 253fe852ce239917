"""A description of a trained network for others: as data, and as Markdown for model hubs."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from tinygrad_mnist.evaluation.names import listed, shown
from tinygrad_mnist.evaluation.subject import MNIST
from tinygrad_mnist.words import counted

if TYPE_CHECKING:
    from tinygrad_mnist.evaluation.subject import Subject

OWN_PACKAGE, EXAMPLES = "tinygrad_mnist.", "tinygrad_mnist.examples."


def model_card(
    recipe: Mapping[str, Any],
    metrics: Mapping[str, Any],
    environment: Mapping[str, Any],
    subject: Subject = MNIST,
) -> dict[str, Any]:
    """The description of a trained network, as the content of ``model_card.json``.

    Parameters
    ----------
    recipe : mapping
        Every value of the recipe that applies to the network.
    metrics : mapping
        The content of ``metrics.json``, with the test set opened.
    environment : mapping
        Software and machine.
    subject : Subject
        The network, the shape of its images, and its classes; by default those of MNIST.
    """
    files = metrics.get("files", {})
    return {
        "name": recipe["name"],
        "description": recipe["description"],
        "license": "mit",
        "task": "image-classification",
        **_described(recipe, subject),
        "output": "softmax" if recipe["loss"] == "cross_entropy" else "sigmoid",
        "parameters": metrics["parameters"],
        "input": {"shape": list(subject.shape), "normalize": recipe["normalize"]},
        "classes": list(subject.classes),
        "training": _trained(recipe, metrics),
        "validation": metrics["validation"],
        "test": {"data": files.get("test_data", "MNIST"), **_measured(metrics["test"])},
        "limits": _limits(metrics["test"]),
        "environment": dict(environment),
    }


def _described(recipe: Mapping[str, Any], subject: Subject) -> dict[str, Any]:
    """The network: the layers of the built-in one, or where the code of your own is."""
    named = {key: {"reference": recipe[key], "sha256": sha} for key, sha in subject.own.items()}
    if "model" in subject.own:
        named["model"] |= {"class": subject.network, "tree": subject.short_tree}
        return {"own": named}
    inputs = subject.shape[0] * subject.shape[1]
    layers = [inputs, *recipe["hidden"], len(subject.classes)]
    activation = recipe["activation"] if recipe["hidden"] else None
    return {"own": named, "layers": layers, "activation": activation}


def _trained(recipe: Mapping[str, Any], metrics: Mapping[str, Any]) -> dict[str, Any]:
    """The training: its data, its length, and its settings."""
    return {
        "data": metrics.get("files", {}).get("data", "MNIST"),
        "images": metrics.get("images", 60_000),
        "validation_fraction": recipe["validation"],
        "epochs": metrics["epochs"],
        "kept_epoch": metrics["kept_epoch"],
        "seconds": metrics["training_seconds"],
        "recipe": dict(recipe),
    }


def _measured(test: Mapping[str, Any]) -> dict[str, Any]:
    """The test: the number of images, and the results."""
    counts = "accuracy", "correct", "incorrect", "cross_entropy", "ece", "macro", "weighted"
    return {"images": test["correct"] + test["incorrect"]} | {name: test[name] for name in counts}


def _limits(test: Mapping[str, Any]) -> dict[str, Any]:
    """The weakest class and the most frequent confusions, of classes that have test images."""
    tested = [row for row in test["per_class"] if row["support"]]
    weakest = min(tested, key=lambda row: row["recall"])
    return {
        "weakest_class": weakest["class"],
        "weakest_recall": weakest["recall"],
        "most_frequent_confusions": test["confusions"][:3],
    }


def to_markdown(card: Mapping[str, Any]) -> str:
    """The card as ``MODEL_CARD.md``, with the YAML front matter that model hubs read."""
    sections = (_front_matter, _network, _results, _use, _training, _caution)
    environment = f"## Environment\n\n| | |\n|---|---|\n{_rows(card['environment'])}\n"
    return "\n".join([*(section(card) for section in sections), environment])


def _front_matter(card: Mapping[str, Any]) -> str:
    test = card["test"]
    trained_on_mnist, tested_on_mnist = (
        card[part]["data"] == "MNIST" for part in ("training", "test")
    )
    tags = ["mnist"] * trained_on_mnist + ["mlp"] * ("layers" in card) + ["numpy"]
    return f"""---
license: {card["license"]}
library_name: tinygrad_mnist
pipeline_tag: {card["task"]}
tags: [{", ".join(tags)}, backpropagation]
datasets: [{"ylecun/mnist" if trained_on_mnist else ""}]
metrics: [accuracy, f1]
model-index:
  - name: {_quoted(card["name"])}
    results:
      - task: {{type: {card["task"]}}}
        dataset: {{name: {_quoted(test["data"])}, \
type: {"ylecun/mnist" if tested_on_mnist else "image"}, split: test}}
        metrics:
          - {{type: accuracy, value: {test["accuracy"]:.4f}}}
          - {{type: f1, name: macro F1, value: {test["macro"]["f1"]:.4f}}}
---
"""


def _network(card: Mapping[str, Any]) -> str:
    if card["training"]["data"] == "MNIST":
        images = "for handwritten digits"
    else:
        images = f"for images of {_pixels(card)} pixels in {len(card['classes']):,} classes"
    size = counted(card["parameters"], "parameter")
    head = f"# {_plain(card['name'])}\n\n{_plain(card['description'])}\n\n"
    own = card["own"].get("model")
    if own is None:
        layers = "-".join(map(str, card["layers"]))
        units = f"{card['activation']} units and " if card["activation"] else ""
        return f"""{head}A fully connected network {images}, {layers}, \
with {units}{card["output"]} outputs:
{size}, trained with NumPy alone.
{_names_and_hashes(card)}"""
    fence = "`" * (2 + max(map(len, re.findall("`+", own["tree"])), default=1))
    whose = "an example of the package" if _is_example(own) else "a network of one's own"
    return f"""{head}{_plain(own["class"])}, {whose}, {images}:
{size}.
{_names_and_hashes(card)}
{fence}text
{own["tree"]}
{fence}
"""


def _names_and_hashes(card: Mapping[str, Any]) -> str:
    """The names of the classes, unless they are MNIST's, and the source of your own code."""
    lines = []
    for key, own in card["own"].items():
        file = "" if _is_example(own) else f", in a file of SHA-256 {own['sha256'] or 'unknown'}"
        lines.append(f"The {key} is {_plain(own['reference'])}{file}.")
    if card["training"]["data"] != "MNIST":
        lines.insert(0, f"The classes: {_plain(listed(card['classes']))}.")
    return "".join(f"\n{line}\n" for line in lines)


def _is_example(own: Mapping[str, Any]) -> bool:
    return bool(own["reference"].startswith(EXAMPLES))


def _pixels(card: Mapping[str, Any]) -> str:
    return "x".join(map(str, card["input"]["shape"]))


def _results(card: Mapping[str, Any]) -> str:
    test, macro = card["test"], card["test"]["macro"]
    right = f"{test['correct']:,} right, {test['incorrect']:,} wrong"
    means = ", ".join(f"{macro[name]:.4f}" for name in ("precision", "recall", "f1"))
    return f"""## Results

On the {_images(test, "official test")}, opened once, when the weights were final:

| measure | value |
|---|---|
| accuracy | {100 * test["accuracy"]:.2f} % ({right}) |
| cross-entropy | {test["cross_entropy"]:z.4f} |
| expected calibration error, 15 bins | {100 * test["ece"]:.2f} % |
| macro precision, recall, F1 | {means} |
"""


def _use(card: Mapping[str, Any]) -> str:
    if card["training"]["data"] != "MNIST" or "model" in card["own"]:
        return _use_of_run(card)
    activation = f', activation="{card["activation"]}"' if card["activation"] else ""
    loss = ', loss="mse"' if card["output"] == "sigmoid" else ""
    return f"""## Use

The network reads {_pixels(card)} images of one digit, white on black, size-normalised and \
centred as in MNIST.

```python
from tinygrad_mnist import byhand
from tinygrad_mnist.data import load_mnist

model = byhand.MLP.load("weights.npz"{activation}{loss})
images, labels = load_mnist("{card["input"]["normalize"]}")
print(model.predict_label(images[:10]))
```
"""


def _use_of_run(card: Mapping[str, Any]) -> str:
    """How to load the folder; a network of your own is named again in code and command."""
    rows, columns = card["input"]["shape"]
    reference = card["own"].get("model", {}).get("reference", "")
    extra, before, given, option = _opening(reference)
    names = [("data", "normalize"), ("runs", "load_trained")]
    imports = [f"from tinygrad_mnist.{room} import {name}" for room, name in names]
    command = f"\n```sh\ntinygrad-mnist predict . picture.png{option}\n```\n"
    return f"""## Use

The network reads images of {_pixels(card)} pixels, like those it was trained on. With `images`, \
of shape (n, {rows * columns}), from 0 to 255, and the path of this folder:

```python
from pathlib import Path

{chr(10).join(sorted([*imports, *extra]))}

run = Path(".")
{before}trained = load_trained(run{given})
pixels = normalize(images, "{card["input"]["normalize"]}")
print([trained.about.classes[c] for c in trained.classifier.predict_label(pixels)])
```
{command if option or not reference else ""}"""


def _opening(reference: str) -> tuple[list[str], str, str, str]:
    """Code to load a network of your own: imports, the lines before, argument, option."""
    module, _, name = reference.rpartition(":")
    if not reference:
        return [], "", "", ""
    option = f" --model {shlex.quote(reference)}"
    if module.endswith(".py"):
        extra = "from tinygrad_mnist.owncode import opened"
        return [extra], f"with opened({reference!r}) as {name}:\n    ", f", model={name}", option
    ours = module.startswith(OWN_PACKAGE) and not module.startswith(EXAMPLES)
    if module == "__main__" or "_locals_" in name or ours:  # made in a notebook, or of layers
        return [], "# model: made as it was for the training\n", ", model=model", ""
    return [f"from {module} import {name}"], "", f", model={name}", option


def _training(card: Mapping[str, Any]) -> str:
    training = card["training"]
    settings = {
        name: value
        for name, value in training["recipe"].items()
        if name not in ("name", "description")
    }
    return f"""## Training

{_images(training, "MNIST training")}, of which {100 * training["validation_fraction"]:.3g} % \
were held out for validation;
{counted(training["epochs"], "epoch")}, the weights of epoch {training["kept_epoch"]} kept, \
{training["seconds"]:.1f} s.
Accuracy on the held-out images: {100 * card["validation"]["accuracy"]:.2f} %.

| setting | value |
|---|---|
{_rows(settings)}
"""


def _caution(card: Mapping[str, Any]) -> str:
    limits = card["limits"]
    confusions = ", ".join(
        f"{_name(c['class'])} read as {_name(c['read_as'])} ({c['images']}x)"
        for c in limits["most_frequent_confusions"]
    )
    recall = f"{100 * limits['weakest_recall']:.2f} %"
    if card["training"]["data"] == "MNIST":
        known = "single, centred digits as in MNIST, and gives one of them"
    else:
        known = "images like those it was trained on, and gives one of its classes"
    return f"""## Limits

A teaching example: it knows nothing but {known} for any image.
It recognises {_name(limits["weakest_class"])} least often ({recall} of them).
Most frequent confusions: {confusions or "none"}.
"""


def _name(label: Any) -> str:
    return _plain(shown(str(label)))


def _images(part: Mapping[str, Any], official: str) -> str:
    if part["data"] == "MNIST":
        return counted(part["images"], f"{official} image")
    return f"{counted(part['images'], 'image')} of {_plain(part['data'])}"


def _rows(values: Mapping[str, Any]) -> str:
    texts: dict[str, Any] = {}
    for name, value in values.items():
        if isinstance(value, Mapping):
            texts |= {f"{name}.{_plain(shown(key))}": shown(str(v)) for key, v in value.items()}
        elif isinstance(value, (list, tuple)):
            texts[name] = ", ".join(map(str, value)) or "none"
        else:
            texts[name] = value
    return "\n".join(f"| {name} | {_plain(str(text))} |" for name, text in texts.items())


def _quoted(text: str) -> str:
    """Text in quotes that YAML reads unchanged; JSON would escape characters beyond U+FFFF."""
    return '"' + "".join(c if ord(c) > 0xFFFF else json.dumps(c)[1:-1] for c in text) + '"'


def _plain(text: str) -> str:
    """Text on one line that Markdown shows unchanged, and not as a list or a rule."""
    escaped = re.sub(r"([\\`*_~$\[\]<>|#&])", r"\\\1", " ".join(text.split()))
    return re.sub(r"^(\d*)([-+=.)])(?=[-+= ]|$)", r"\1\\\2", escaped)
