"""The trained runs in the repository: every file opens in its real reader, and all agree."""

import json
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import yaml
from PIL import Image
from safetensors.numpy import load_file

from tinygrad_mnist import byhand
from tinygrad_mnist.data import load_mnist, normalize
from tinygrad_mnist.runs import load_trained
from tinygrad_mnist.training import Recipe

ARTIFACTS = Path(__file__).parents[2] / "artifacts"
RUNS = ["default", "seed-a"]

pytestmark = pytest.mark.parametrize("run", [ARTIFACTS / name for name in RUNS], ids=RUNS)


def test_a_run_is_small_and_has_no_checkpoint(run):
    files = [path for path in run.rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) < 6_000_000
    assert not [path for path in files if path.name == "checkpoint.npz"]


def test_every_form_of_the_weights_says_the_same(run):
    recipe = Recipe.load(str(run / "config.toml"))
    images, _ = load_mnist(None)
    X = normalize(images[:64], recipe.normalize)
    expected = load_trained(run).classifier.predict_proba(X)
    assert len(load_file(run / "model.safetensors")) == 4
    from_safetensors = load_trained(run, run / "model.safetensors").classifier
    np.testing.assert_array_equal(from_safetensors.predict_proba(X), expected)
    paper = byhand.MLP.load(run / "weights.npz", recipe.activation)
    np.testing.assert_allclose(paper.predict_proba(X), expected, atol=1e-6)
    onnx.checker.check_model(onnx.load(run / "model.onnx"), full_check=True)
    session = onnxruntime.InferenceSession(run / "model.onnx")
    (logits,) = session.run(None, {session.get_inputs()[0].name: X})
    np.testing.assert_array_equal(logits.argmax(axis=1), expected.argmax(axis=1))


def test_the_numbers_are_those_of_the_repeated_measurement(run):
    metrics = json.loads((run / "metrics.json").read_text())
    results = json.loads((ARTIFACTS / "results.json").read_text())
    (runs,) = (result["runs"] for result in results if result["recipe"] == run.name)
    accuracies = [r["test"]["accuracy"] for r in runs]
    assert min(accuracies) - 0.002 < metrics["test"]["accuracy"] < max(accuracies) + 0.002
    assert np.sum(metrics["test"]["confusion_matrix"]) == 10_000
    assert len(json.loads((run / "history.json").read_text())) == metrics["epochs"]


def test_figures_report_and_card_open(run):
    pictures = sorted((run / "figures").glob("*.png"))
    assert len(pictures) == 6
    for path in pictures:
        with Image.open(path) as picture:
            assert picture.convert("L").getextrema()[0] < 128
    page = (run / "report.html").read_text(encoding="utf-8")
    HTMLParser().feed(page)
    assert page.count("data:image/png") == 6
    card = json.loads((run / "model_card.json").read_text())
    _, front, _ = (run / "MODEL_CARD.md").read_text(encoding="utf-8").split("---\n", 2)
    assert yaml.safe_load(front)
    assert card


def test_the_ancestor_reads_its_own_form(run):
    history = json.loads((run / "train_history.json").read_text())
    assert len({len(values) for values in history.values()}) == 1
    assert json.loads((run / "config.json").read_text())
