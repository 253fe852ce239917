"""A trained network's description for those who did not train it: as data, and as Markdown for model hubs."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

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
    test = metrics["test"]
    weakest = min(test["per_class"], key=lambda row: row["recall"])
    confused = [
        {"digit": digit, "read_as": guess, "images": count}
        for digit, row in enumerate(test["confusion_matrix"])
        for guess, count in enumerate(row)
        if digit != guess and count
    ]
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
        "test": {
            "data": files.get("test_data", "MNIST"),
            "images": test["correct"] + test["incorrect"],
            **{
                name: test[name]
                for name in (
                    "accuracy",
                    "correct",
                    "incorrect",
                    "cross_entropy",
                    "ece",
                    "macro",
                    "weighted",
                )
            },
        },
        "limits": {
            "weakest_digit": weakest["class"],
            "weakest_recall": weakest["recall"],
            "most_frequent_confusions": sorted(confused, key=lambda pair: -pair["images"])[:3],
        },
        "environment": dict(environment),
    }


def to_markdown(card: Mapping[str, Any]) -> str:
    """The card as ``MODEL_CARD.md``, with the YAML front matter that model hubs read."""
    test, limits, training = card["test"], card["limits"], card["training"]
    accuracy, macro_f1 = f"{test['accuracy']:.4f}", f"{test['macro']['f1']:.4f}"
    confusions = ", ".join(
        f"{c['digit']} read as {c['read_as']} ({c['images']}x)"
        for c in limits["most_frequent_confusions"]
    )
    layers = "-".join(map(str, card["layers"]))
    arguments = (
        f', activation="{card["activation"]}"' if card["activation"] else ""
    ) + ', loss="mse"' * (card["output"] == "sigmoid")
    test_images, training_images = (
        f"{part['images']:,} {official} images"
        if part["data"] == "MNIST"
        else f"{part['images']:,} images of {_plain(part['data'])}"
        for part, official in ((test, "official test"), (training, "MNIST training"))
    )
    units = f"{card['activation']} units and " if card["activation"] else ""
    return f"""---
license: {card["license"]}
library_name: tinygrad_mnist
pipeline_tag: {card["task"]}
tags: [mnist, mlp, numpy, backpropagation]
{"datasets: [ylecun/mnist]" if training["data"] == "MNIST" else "datasets: []"}
metrics: [accuracy, f1]
model-index:
  - name: {_quoted(card["name"])}
    results:
      - task: {{type: {card["task"]}}}
        dataset: {{name: {_quoted(test["data"])}, type: {"ylecun/mnist" if test["data"] == "MNIST" else "image"}, split: test}}
        metrics:
          - {{type: accuracy, value: {accuracy}}}
          - {{type: f1, name: macro F1, value: {macro_f1}}}
---

# {_plain(card["name"])}

{_plain(card["description"])}

A fully connected network for handwritten digits, {layers}, with {units}{card["output"]} outputs:
{card["parameters"]:,} parameters, trained with NumPy alone.

## Results

On the {test_images}, opened once, when the weights were final:

| measure | value |
|---|---|
| accuracy | {100 * test["accuracy"]:.2f} % ({test["correct"]:,} right, {test["incorrect"]:,} wrong) |
| cross-entropy | {test["cross_entropy"]:.4f} |
| expected calibration error, 15 bins | {100 * test["ece"]:.2f} % |
| macro precision, recall, F1 | {test["macro"]["precision"]:.4f}, {test["macro"]["recall"]:.4f}, {macro_f1} |

## Use

The network reads 28x28 images of one digit, white on black, size-normalised and centred as in MNIST.

```python
from tinygrad_mnist import byhand
from tinygrad_mnist.data import load_mnist

model = byhand.MLP.load("weights.npz"{arguments})
images, labels = load_mnist("{card["input"]["normalize"]}")
print(model.predict_label(images[:10]))
```

## Training

{training_images}, of which {100 * training["validation_fraction"]:.3g} % were held out for validation;
{training["epochs"]} epochs, the weights of epoch {training["kept_epoch"]} kept, {training["seconds"]:.1f} s.
Accuracy on the held-out images: {100 * card["validation"]["accuracy"]:.2f} %.

| setting | value |
|---|---|
{_rows({name: value for name, value in training["recipe"].items() if name not in ("name", "description")})}

## Limits

A teaching example: it knows nothing but single, centred digits as in MNIST, and gives one of them for any image.
It recognises {limits["weakest_digit"]} least often ({100 * limits["weakest_recall"]:.2f} % of them).
Most frequent confusions: {confusions or "none"}.

## Environment

| | |
|---|---|
{_rows(card["environment"])}
"""


def _rows(values: Mapping[str, Any]) -> str:
    texts = {
        name: ", ".join(map(str, value)) or "none" if isinstance(value, (list, tuple)) else value
        for name, value in values.items()
    }
    return "\n".join(f"| {name} | {_plain(str(text))} |" for name, text in texts.items())


def _quoted(text: str) -> str:
    """Text in quotes, which YAML reads as it is. JSON would do, were it not for its way to write characters beyond U+FFFF."""
    return '"' + "".join(c if ord(c) > 0xFFFF else json.dumps(c)[1:-1] for c in text) + '"'


def _plain(text: str) -> str:
    """Text that Markdown shows as it is, on one line, and that does not begin as a list or a rule does."""
    escaped = re.sub(r"([\\`*_~$\[\]<>|#&])", r"\\\1", " ".join(text.split()))
    return re.sub(r"^(\d*)([-+=.)])(?=[-+= ]|$)", r"\1\\\2", escaped)
