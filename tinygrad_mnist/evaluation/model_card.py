"""A trained network's description for others: as data, and as Markdown for model hubs."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from tinygrad_mnist.words import counted

if TYPE_CHECKING:
    from collections.abc import Mapping


def model_card(
    recipe: Mapping[str, Any], metrics: Mapping[str, Any], environment: Mapping[str, Any]
) -> dict[str, Any]:
    """What there is to know about a trained network: the content of ``model_card.json``.

    Parameters
    ----------
    recipe : mapping
        Every value of the recipe.
    metrics : mapping
        What ``metrics.json`` holds, with the test set opened.
    environment : mapping
        Software and machine.
    """
    files = metrics.get("files", {})
    return {
        "name": recipe["name"],
        "description": recipe["description"],
        "license": "mit",
        "task": "image-classification",
        "layers": [784, *recipe["hidden"], 10],
        "activation": recipe["activation"] if recipe["hidden"] else None,
        "output": "softmax" if recipe["loss"] == "cross_entropy" else "sigmoid",
        "parameters": metrics["parameters"],
        "input": {"shape": [28, 28], "normalize": recipe["normalize"]},
        "training": {
            "data": files.get("data", "MNIST"),
            "images": metrics.get("images", 60_000),
            "validation_fraction": recipe["validation"],
            "epochs": metrics["epochs"],
            "kept_epoch": metrics["kept_epoch"],
            "seconds": metrics["training_seconds"],
            "recipe": dict(recipe),
        },
        "validation": metrics["validation"],
        "test": {"data": files.get("test_data", "MNIST"), **_measured(metrics["test"])},
        "limits": _limits(metrics["test"]),
        "environment": dict(environment),
    }


def _measured(test: Mapping[str, Any]) -> dict[str, Any]:
    """On how many images, and with what result."""
    counts = "accuracy", "correct", "incorrect", "cross_entropy", "ece", "macro", "weighted"
    return {"images": test["correct"] + test["incorrect"]} | {name: test[name] for name in counts}


def _limits(test: Mapping[str, Any]) -> dict[str, Any]:
    """What the network is worst at."""
    weakest = min(test["per_class"], key=lambda row: row["recall"])
    confused = [
        {"digit": digit, "read_as": guess, "images": count}
        for digit, row in enumerate(test["confusion_matrix"])
        for guess, count in enumerate(row)
        if digit != guess and count
    ]
    return {
        "weakest_digit": weakest["class"],
        "weakest_recall": weakest["recall"],
        "most_frequent_confusions": sorted(confused, key=lambda pair: -pair["images"])[:3],
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
    return f"""---
license: {card["license"]}
library_name: tinygrad_mnist
pipeline_tag: {card["task"]}
tags: [mnist, mlp, numpy, backpropagation]
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
    layers = "-".join(map(str, card["layers"]))
    units = f"{card['activation']} units and " if card["activation"] else ""
    return f"""# {_plain(card["name"])}

{_plain(card["description"])}

A fully connected network for handwritten digits, {layers}, with {units}{card["output"]} outputs:
{counted(card["parameters"], "parameter")}, trained with NumPy alone.
"""


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
    activation = f', activation="{card["activation"]}"' if card["activation"] else ""
    loss = ', loss="mse"' if card["output"] == "sigmoid" else ""
    return f"""## Use

The network reads 28x28 images of one digit, white on black, size-normalised and centred as in \
MNIST.

```python
from tinygrad_mnist import byhand
from tinygrad_mnist.data import load_mnist

model = byhand.MLP.load("weights.npz"{activation}{loss})
images, labels = load_mnist("{card["input"]["normalize"]}")
print(model.predict_label(images[:10]))
```
"""


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
        f"{c['digit']} read as {c['read_as']} ({c['images']}x)"
        for c in limits["most_frequent_confusions"]
    )
    recall = f"{100 * limits['weakest_recall']:.2f} %"
    return f"""## Limits

A teaching example: it knows nothing but single, centred digits as in MNIST, and gives one of them \
for any image.
It recognises {limits["weakest_digit"]} least often ({recall} of them).
Most frequent confusions: {confusions or "none"}.
"""


def _images(part: Mapping[str, Any], official: str) -> str:
    if part["data"] == "MNIST":
        return counted(part["images"], f"{official} image")
    return f"{counted(part['images'], 'image')} of {_plain(part['data'])}"


def _rows(values: Mapping[str, Any]) -> str:
    texts = {
        name: ", ".join(map(str, value)) or "none" if isinstance(value, (list, tuple)) else value
        for name, value in values.items()
    }
    return "\n".join(f"| {name} | {_plain(str(text))} |" for name, text in texts.items())


def _quoted(text: str) -> str:
    """Text in quotes, which YAML reads as it is; JSON writes characters beyond U+FFFF otherwise."""
    return '"' + "".join(c if ord(c) > 0xFFFF else json.dumps(c)[1:-1] for c in text) + '"'


def _plain(text: str) -> str:
    """Text that Markdown shows as it is, on one line, and takes for neither a list nor a rule."""
    escaped = re.sub(r"([\\`*_~$\[\]<>|#&])", r"\\\1", " ".join(text.split()))
    return re.sub(r"^(\d*)([-+=.)])(?=[-+= ]|$)", r"\1\\\2", escaped)
