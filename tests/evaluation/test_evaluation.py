"""Metrics as scikit-learn computes them, calibration, and the pages and pictures made of them."""

import base64
import inspect
import io
import json
import re
import subprocess
import sys
from dataclasses import asdict
from html.parser import HTMLParser
from types import SimpleNamespace

import numpy as np
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from PIL import Image

from tinygrad_mnist import bridge, byhand, data, evaluation, nn
from tinygrad_mnist.evaluation import (
    classification_report,
    confusion_matrix,
    evaluate,
    examine,
    expected_calibration_error,
    figures,
    first_of_each_class,
    html_report,
    model_card,
    most_confident_mistakes,
    predict,
    reliability,
    score,
    to_markdown,
)
from tinygrad_mnist.training import Recipe


def guesses(n, classes, sharpness, seed):
    """Probabilities (n, classes) in float64, and labels that are often those predicted.

    Some classes may never appear.
    """
    random = np.random.default_rng(seed)
    logits = sharpness * random.normal(size=(n, classes))
    probabilities = np.exp(logits - logits.max(axis=1, keepdims=True))
    probabilities /= probabilities.sum(axis=1, keepdims=True)
    right = random.random(n) < 0.6
    labels = np.where(right, probabilities.argmax(axis=1), random.integers(0, classes, n))
    return probabilities, labels


SHARPNESS, SEEDS = st.sampled_from([0.5, 3.0, 30.0]), st.integers(0, 2**32 - 1)
GUESSES = st.builds(guesses, st.integers(1, 60), st.integers(2, 10), SHARPNESS, SEEDS)


# ---------------------------------------------------------------- metrics


@pytest.fixture(scope="module")
def sklearn():
    """Imported when needed: in one process out of several, and not by the others' collection."""
    from sklearn import calibration, metrics

    return SimpleNamespace(calibration=calibration, metrics=metrics)


@given(drawn=GUESSES)
def test_metrics_are_those_of_scikit_learn(sklearn, drawn):
    probabilities, labels = drawn
    predicted, classes = probabilities.argmax(axis=1), range(probabilities.shape[1])
    found = examine(probabilities, labels)
    confusion = sklearn.metrics.confusion_matrix(labels, predicted, labels=classes)
    assert found["confusion_matrix"] == confusion.tolist()
    assert found["accuracy"] == sklearn.metrics.accuracy_score(labels, predicted)
    assert found["correct"] + found["incorrect"] == len(labels)
    clipped = np.maximum(probabilities, np.finfo(float).eps)  # as scikit-learn does
    expected = sklearn.metrics.log_loss(labels, probabilities, labels=classes)
    ours = score(clipped, labels)["cross_entropy"]
    np.testing.assert_allclose(ours, expected, rtol=1e-12, atol=1e-15)

    def theirs(average):
        return sklearn.metrics.precision_recall_fscore_support(
            labels, predicted, labels=classes, average=average, zero_division=0
        )

    names = "precision", "recall", "f1", "support"
    for name, expected in zip(names, theirs(None), strict=True):
        np.testing.assert_allclose([row[name] for row in found["per_class"]], expected, rtol=1e-12)
    for average in ("macro", "weighted"):
        ours = [found[average][name] for name in names[:3]]
        np.testing.assert_allclose(ours, theirs(average)[:3], rtol=1e-12)


@given(GUESSES)
def test_what_is_examined_survives_json(drawn):
    found = examine(*drawn)
    assert json.loads(json.dumps(found, allow_nan=False)) == found


def test_score_counts():
    probabilities = np.array([[0.5, 0.25, 0.25], [0.1, 0.8, 0.1], [0.0, 0.0, 1.0]])
    found = score(probabilities, np.array([0, 1, 2]))
    assert (found["correct"], found["incorrect"], found["accuracy"]) == (3, 0, 1)
    np.testing.assert_allclose(found["cross_entropy"], -(np.log(0.5) + np.log(0.8)) / 3)


@pytest.mark.parametrize(("dtype", "most"), [(np.float32, 104), (np.float64, 745)])
def test_a_probability_of_zero_costs_as_much_as_the_smallest_number(dtype, most):
    assert most - 1 < score(np.array([[1, 0]], dtype), np.array([1]))["cross_entropy"] < most


def test_a_class_that_is_neither_there_nor_predicted_scores_zero():
    report = classification_report(confusion_matrix(np.array([0, 0]), np.array([0, 1]), 3))
    nothing = dict.fromkeys(["precision", "recall", "f1", "support"], 0)
    assert report["per_class"][2] == {"class": 2} | nothing
    assert report["macro"]["recall"] == 1 / 3
    assert report["weighted"]["recall"] == 1 / 2


def test_rows_of_the_confusion_matrix_are_true_classes():
    predicted, labels = np.array([2, 2, 0]), np.array([1, 1, 0])
    found = confusion_matrix(predicted, labels, 3)
    assert found.tolist() == [[1, 0, 0], [0, 0, 2], [0, 0, 0]]


@pytest.fixture(scope="module")
def digits(mnist):
    """The first 300 training images, as bytes."""
    images, labels = mnist
    return images[:300], labels[:300]


def test_both_derivations_are_evaluated_alike(digits):
    paper = byhand.MLP((784, 16, 10), rng=np.random.default_rng(0))
    module = nn.Classifier(bridge.to_module(paper))
    by_hand, by_tape = (predict(model, digits[0], "seed") for model in (paper, module))
    np.testing.assert_allclose(by_hand, by_tape, rtol=1e-4)
    assert evaluate(paper, *digits) == pytest.approx(evaluate(module, *digits), rel=1e-5)


def test_predictions_are_those_of_normalised_images(digits):
    model = byhand.MLP((784, 10), rng=np.random.default_rng(0))
    many = np.concatenate([digits[0]] * 4)
    at_once = model.predict_proba(data.normalize(many, "seed"))
    np.testing.assert_allclose(predict(model, many, "seed"), at_once, rtol=1e-5)


# ---------------------------------------------------------------- calibration


def sure(confidence, right):
    """Predictions of class 0 in two classes with these confidences, right or wrong."""
    confidence = np.array(confidence)
    return np.stack([confidence, 0 * confidence], axis=1), 1 - np.array(right, int)


def test_ece_counts_confidence_one():
    for right, gap in (([True, False], 0.5), ([True, True], 0)):
        bins = reliability(*sure([1.0, 1.0], right))
        assert expected_calibration_error(bins) == gap


def test_ece_weighs_bins_by_their_predictions():
    bins = reliability(*sure([0.9, 0.9, 0.9, 0.5], [True, True, False, False]))
    gaps = 3 * abs(2 / 3 - 0.9), 0.5
    assert expected_calibration_error(bins) == pytest.approx(sum(gaps) / 4)


@given(drawn=GUESSES)
def test_bins_are_those_of_scikit_learn(sklearn, drawn):
    probabilities, labels = drawn
    bins = reliability(probabilities, labels)
    right = probabilities.argmax(axis=1) == labels
    curve = sklearn.calibration.calibration_curve
    accuracy, confidence = curve(right, probabilities.max(axis=1), n_bins=15, pos_label=True)
    assert len(bins) == 15
    assert sum(b.predictions for b in bins) == len(labels)
    full = [b for b in bins if b.predictions]
    np.testing.assert_allclose([b.accuracy for b in full], accuracy, rtol=1e-12)
    np.testing.assert_allclose([b.confidence for b in full], confidence, rtol=1e-12)
    assert all(b.low < b.confidence <= b.high for b in full)


def test_bins_are_closed_above_and_the_first_one_below():
    bins = reliability(*sure([0.0, 0.5, 0.75, 1.0], [True] * 4), bins=4)
    assert [b.predictions for b in bins] == [1, 1, 1, 1]
    assert bins[1]._replace(predictions=0) == (0.25, 0.5, 0, 0.5, 1.0)


def test_confidence_rounded_above_one_is_in_the_last_bin():
    assert reliability(*sure(np.array([1 + 1e-7], np.float32), [True]))[-1].predictions == 1


# ---------------------------------------------------------------- mistakes and saliency


@given(GUESSES, st.integers(0, 30))
def test_mistakes_are_wrong_and_no_other_is_more_confident(drawn, count):
    probabilities, labels = drawn
    rows = most_confident_mistakes(probabilities, labels, count)
    wrong = probabilities.argmax(axis=1) != labels
    confidence = probabilities.max(axis=1)
    assert len(rows) == min(count, wrong.sum())
    assert wrong[rows].all()
    assert (np.diff(confidence[rows]) <= 0).all()
    others = np.setdiff1d(np.flatnonzero(wrong), rows)
    assert confidence[others].max(initial=0) <= confidence[rows].min(initial=1)


def test_saliency_is_of_the_first_image_of_each_class(digits):
    images, labels = digits[0][:60].reshape(-1, 784), digits[1][:60]
    paper = byhand.MLP((784, 16, 10), rng=np.random.default_rng(0))
    found = first_of_each_class(paper, images, labels, "seed")
    assert found.classes.tolist() == list(range(10))
    rows = [labels.tolist().index(c) for c in range(10)]
    assert (found.images == images[rows]).all()
    expected = paper.saliency(data.normalize(images[rows], "seed"), np.arange(10))
    np.testing.assert_array_equal(found.slopes, expected)


def test_saliency_leaves_out_dropout_and_leaves_no_gradients():
    model = nn.MLP((6, 40, 3), dropout=0.5, rng=np.random.default_rng(0))
    X, classes = np.ones((2, 6), np.float32), np.array([0, 2])
    slopes = nn.Classifier(model).saliency(X, classes)
    assert (slopes == nn.Classifier(model).saliency(X, classes)).all()
    assert model.training
    assert all(p.grad is None for p in model.parameters())


# ---------------------------------------------------------------- figures


def png(figure):
    """The figure as its reader sees it: an RGBA array."""
    content = figures.png(figure)
    Image.open(io.BytesIO(content)).verify()
    return np.asarray(Image.open(io.BytesIO(content)))


def epochs(n, loss=0.5):
    keys = "loss", "accuracy", "validation_loss", "validation_accuracy", "lr"
    return [{"epoch": i, **dict.fromkeys(keys, loss / i)} for i in range(1, n + 1)]


def saliency_of(classes):
    random = np.random.default_rng(0)
    images = random.integers(0, 255, (classes, 784)).astype(np.uint8)
    return evaluation.Saliency(images, np.arange(classes), random.random((classes, 784)))


def mistakes(n):
    random = np.random.default_rng(0)
    images, labels, predicted = (
        random.integers(0, 255, (n, 784)),
        np.arange(n) % 10,
        np.arange(n) % 7,
    )
    return figures.mistakes_grid(images, labels, predicted, random.random(n))


EVENLY, HALF_RIGHT = np.linspace(0, 1, 60_000), [True, False] * 30_000
BLACK = np.zeros((2, 784))
FIGURES = {
    "many epochs": lambda: figures.training_curves(epochs(300), 250),
    "one epoch": lambda: figures.training_curves(epochs(1), 1),
    "a loss of zero": lambda: figures.training_curves(epochs(3, loss=0), 3),
    "one right prediction": lambda: figures.confusion(np.diag([1] + [0] * 9)),
    "large counts": lambda: figures.confusion(np.full((10, 10), 60_000)),
    "only confident": lambda: figures.reliability_diagram(reliability(*sure([1.0], [True]))),
    "all bins": lambda: figures.reliability_diagram(reliability(*sure(EVENLY, HALF_RIGHT))),
    "ten digits": lambda: figures.saliency_grid(saliency_of(10)),
    "three digits": lambda: figures.saliency_grid(saliency_of(3)),
    "no saliency": lambda: figures.saliency_grid(saliency_of(2)._replace(slopes=BLACK)),
    "25 mistakes": lambda: mistakes(25),
    "7 mistakes": lambda: mistakes(7),
    "no mistakes": lambda: mistakes(0),
    "many units": lambda: figures.first_layer(np.random.default_rng(0).normal(size=(784, 300))),
    "ten units": lambda: figures.first_layer(np.random.default_rng(0).normal(size=(784, 10))),
    "dead units": lambda: figures.first_layer(np.zeros((784, 3))),
}


@pytest.mark.parametrize("case", FIGURES)
def test_figures_open_and_show_something(case):
    picture = png(FIGURES[case]())
    assert picture.shape[1] == 800
    assert picture.shape[2] == 4
    assert (picture[..., 3] == 255).all()
    assert len(np.unique(picture.view(np.uint32))) >= 2


@pytest.mark.parametrize("case", FIGURES)
def test_text_in_figures_lies_within_them(case):
    figure = FIGURES[case]()
    figure.set_dpi(figures.DPI)
    figure.draw_without_rendering()
    for axes in figure.axes:
        for text in axes.texts:
            box = text.get_window_extent()
            assert box.x0 >= 0, text
            assert box.y0 >= 0, text
            assert box.x1 <= figure.bbox.x1, text
            assert box.y1 <= figure.bbox.y1, text


def test_the_confusion_matrix_shows_every_count():
    matrix = np.arange(100).reshape(10, 10)
    (axes,) = figures.confusion(matrix).axes
    assert [text.get_text() for text in axes.texts] == [str(n) for n in range(100)]
    assert [text.get_position() for text in axes.texts][12] == (2, 1)  # column, row


def test_the_reliability_diagram_shows_every_count():
    bins = reliability(*sure([0.05] * 3 + [0.5] * 1200 + [1.0], [True] * 1204))
    texts = figures.reliability_diagram(bins).axes[1].texts
    assert [text.get_text() for text in texts] == ["3", "1,200", "1"]


def test_mistakes_carry_truth_prediction_and_confidence():
    labels, predicted, confidence = np.array([4]), np.array([9]), np.array([0.9987])
    (axes,) = figures.mistakes_grid(np.ones((1, 784)), labels, predicted, confidence).axes
    assert axes.texts[0].get_text() == "4 read as 9\n99.9 % sure"


def test_units_of_largest_weights_are_shown_first():
    weights = np.random.default_rng(0).normal(size=(784, 70)) * 0.01
    weights[:, 33] += 1
    (image,) = figures.first_layer(weights).axes[0].images
    np.testing.assert_array_equal(image.get_array()[:28, :28], weights[:, 33].reshape(28, 28))


def test_each_digit_stands_above_its_own_saliency():
    saliency = saliency_of(7)
    image, slopes = saliency.images[6].reshape(28, 28), saliency.slopes[6].reshape(28, 28)
    drawn = figures.saliency_grid(saliency).axes[0].images
    picture, pattern = (np.ma.filled(part.get_array(), np.nan) for part in drawn)
    below, right = 2 * 31, 31  # the seventh digit: third row of tiles, second column
    shown = picture[below : below + 28, right : right + 28]
    np.testing.assert_allclose(shown * image.max(), image)
    below += 31
    shown = pattern[below : below + 28, right : right + 28]
    np.testing.assert_allclose(shown * slopes.max(), slopes)


@pytest.mark.parametrize("case", ["large counts", "three digits", "7 mistakes"])
def test_the_same_figure_gives_the_same_bytes(case):
    assert figures.png(FIGURES[case]()) == figures.png(FIGURES[case]())


def test_figures_leave_pyplot_alone():
    script = """
import sys, numpy
from tinygrad_mnist.evaluation import figures
assert 'matplotlib' not in sys.modules
figures.png(figures.confusion(numpy.eye(10, dtype=int)))
assert 'matplotlib.pyplot' not in sys.modules
"""
    subprocess.run([sys.executable, "-c", script], check=True)


# ---------------------------------------------------------------- report and model card


EVIL = """<script>alert('1')</script> & "a|b" `c`: *d* {e} # \\ _f_
---
x: [1"""
PICTURES = {"curves": b"\x89PNG one", "mistakes": b"\x89PNG two"}


HOSTILE = [
    EVIL,
    "</style></title><img src=x onerror=alert(1)><style>*{display:none}",
    "' onload='alert(1)",
    "a\n\n---\nlicense: theirs\n---\n# Another card",
    "---",
    "~~~",
    "===",
    "- item",
    "1. item",
    "2) item",
    "a: {b: [c], d: *e} # f",
    "](javascript:alert(1)) ![x](y) <ftp://a.b> &lt; $x$ ~~gone~~ a|b||c",
    "\x1b[2J \x00 \x7f \x85 \u2028 \ufeff \u202e \U0001d4b3 \U0001f600",
    "\\",
    "a" * 2000,
]


@pytest.fixture(params=["plain", *HOSTILE])
def run(request):
    """Recipe, metrics and environment of a run; also some whose texts are hostile."""
    recipe = asdict(Recipe(name="plain", hidden=(16, 8)))
    recipe |= dict.fromkeys(["name", "description", "published_in"], request.param)
    metrics = {
        "parameters": 1234,
        "epochs": 3,
        "kept_epoch": 2,
        "training_seconds": 1.5,
        "validation": {"accuracy": 0.5, "loss": 1.0},
        "test": examine(*guesses(200, 10, 3.0, 0)),
    }
    return recipe, metrics, {"python": request.param}


class Page(HTMLParser):
    """Tags with their attributes, and the text of a page; asserts that tags are closed in order."""

    def __init__(self, html):
        super().__init__()
        self.tags, self.text, self.open = [], "", []
        self.feed(html)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        if tag not in ("meta", "img"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, text):
        if self.open and self.open[-1] != "style":
            self.text += text


def test_the_report_asks_for_nothing_from_elsewhere(run):
    html = html_report(*run, PICTURES)
    page = Page(html)
    for tag, attributes in page.tags:
        assert tag not in ("script", "link", "iframe", "object", "base")
        assert "href" not in attributes
        assert ("src" in attributes) == (tag == "img")
        assert attributes.get("src", "data:").startswith("data:")
    assert not re.search(r"https?:|url\(|@import", html)
    kind = "Content-Security-Policy"
    (policy,) = [a["content"] for tag, a in page.tags if a.get("http-equiv") == kind]
    assert policy.startswith("default-src 'none'")


def test_the_report_shows_what_it_is_given_as_text(run):
    recipe, metrics, _ = run
    page = Page(html_report(*run, PICTURES))
    assert page.text.count(recipe["name"]) >= 4  # title, heading, description, environment
    headline = f"{100 * metrics['test']['accuracy']:.2f} % of 200 test images right"
    assert headline in " ".join(page.text.split())
    assert "16, 8" in page.text
    for row in metrics["test"]["per_class"]:
        percent = "".join(f"{100 * row[name]:.2f}" for name in ("precision", "recall", "f1"))
        assert f"{percent}{row['support']}" in page.text


def test_the_report_shows_the_program_folded_and_as_text(run):
    listing = "Z1 = linear(X, W1, b1)  # (2, 3)\nmask = Z1 > 0 & True"
    html = html_report(*run, PICTURES, listing=listing)
    assert "mask = Z1 &gt; 0 &amp; True" in html
    page = Page(html)
    tags = [tag for tag, _ in page.tags]
    assert listing in page.text
    assert tags[tags.index("details") :][:3] == ["details", "summary", "pre"]
    assert "details" not in dict(Page(html_report(*run, PICTURES)).tags)


def test_the_report_holds_the_figures(run):
    page = Page(html_report(*run, PICTURES))
    images = [attributes for tag, attributes in page.tags if tag == "img"]
    found = [base64.b64decode(image["src"].partition(",")[2]) for image in images]
    assert found == list(PICTURES.values())
    assert [image["alt"] for image in images] == ["Training", "Most confident mistakes"]


@pytest.mark.usefixtures("drawn")
def test_every_figure_has_a_title_and_a_caption():
    names = r"figures\[\"(\w+)\"\]|\"(\w+)\": \w+\("
    drawn = {a or b for a, b in re.findall(names, inspect.getsource(figures.draw))}
    assert drawn == set(evaluation.report.FIGURES) == set(evaluation.report.CAPTIONS)


def front_matter(markdown):
    before, matter, text = markdown.split("---\n", 2)
    assert before == ""
    return yaml.safe_load(matter), text


def test_the_cards_front_matter_is_what_model_hubs_read(run):
    recipe, metrics, _ = run
    matter, _ = front_matter(to_markdown(model_card(*run)))
    (model,) = matter["model-index"]
    assert model["name"] == recipe["name"]
    (result,) = model["results"]
    assert result["task"]["type"] == matter["pipeline_tag"] == "image-classification"
    assert result["dataset"]["type"] == "ylecun/mnist"
    kinds = [(m["type"], type(m["value"])) for m in result["metrics"]]
    assert kinds == [("accuracy", float), ("f1", float)]
    assert result["metrics"][0]["value"] == round(metrics["test"]["accuracy"], 4)
    assert matter["license"] == "mit"


def test_the_card_quotes_texts_on_one_line(run):
    recipe, *_ = run
    _, text = front_matter(to_markdown(model_card(*run)))
    heading, _, description = text.strip().split("\n")[:3]
    assert re.sub(r"\\(.)", r"\1", heading) == "# " + " ".join(recipe["name"].split())
    assert heading[2:] == description
    assert not re.search(r"(?<!\\)[<`|*]", description)


def shape_of(markdown):
    """What a Markdown parser sees: blocks, what is in them besides plain text, and that text."""
    blocks = MarkdownIt("commonmark").enable(["table", "strikethrough"]).parse(markdown)
    inline = [child for block in blocks for child in block.children or []]
    marks = [child.type for child in inline if child.type != "text"]
    texts = [child.content for child in inline if child.type == "text"]
    return [block.type for block in blocks], marks, texts


def test_hostile_texts_do_not_change_what_the_card_is_made_of(run):
    recipe, metrics, _ = run
    texts = dict.fromkeys(["name", "description", "published_in"], "plain")
    card = model_card(recipe | texts, metrics, {"python": "plain"})
    plain = shape_of(front_matter(to_markdown(card))[1])
    blocks, inline, _ = shape_of(front_matter(to_markdown(model_card(*run)))[1])
    assert blocks == plain[0]
    assert [kind for kind in inline if kind != "text_special"] == plain[1]


def test_a_table_for_notebooks_shows_texts_as_text():
    for text in HOSTILE:
        rows = [bridge.Row(text, (2, 3), 1.0)]
        page = Page(bridge.Comparison(rows, 1e-10, diagnosis=text)._repr_html_())
        assert page.text.count(text) == 3  # the row, the verdict's name, and its diagnosis
        assert {tag for tag, _ in page.tags} == {"table", "tr", "th", "td", "p"}


def test_the_card_names_what_the_model_is_worst_at():
    labels = np.repeat(np.arange(10), 10)
    predicted = labels.copy()
    predicted[70:74], predicted[10:12], predicted[13] = 1, 7, 3
    metrics = dict.fromkeys(["parameters", "epochs", "kept_epoch", "training_seconds"], 1)
    metrics |= {"validation": {"accuracy": 1.0}, "test": examine(np.eye(10)[predicted], labels)}
    card = model_card(asdict(Recipe(name="x")), metrics, {})
    limits = card["limits"]
    assert (limits["weakest_class"], limits["weakest_recall"]) == (7, 0.6)
    confusions = [tuple(pair.values()) for pair in limits["most_frequent_confusions"]]
    assert confusions == [(7, 1, 4), (1, 7, 2), (1, 3, 1)]
    assert "recognises 7 least often (60.00 % of them)" in to_markdown(card)
    assert "7 read as 1 (4x)" in to_markdown(card)


def test_the_card_survives_json(run):
    card = model_card(*run)
    assert to_markdown(json.loads(json.dumps(card))) == to_markdown(card)
