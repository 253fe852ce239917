"""Any images and any classes, as people see them: figures, report, card, log and exports."""

import json
import re
import shutil
import sqlite3
import warnings
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path

import numpy as np
import onnx
import pytest
import yaml
from imagesets import letters, patterns, small_digits
from markdown_it import MarkdownIt
from matplotlib.font_manager import fontManager

from tinygrad_mnist import data, nn
from tinygrad_mnist.data import Dataset
from tinygrad_mnist.evaluation import (
    Predictions,
    Saliency,
    Subject,
    examine,
    figures,
    first_of_each_class,
    html_report,
    model_card,
    show_page,
    to_markdown,
)
from tinygrad_mnist.evaluation.names import drawable, kind_of, listed, shown, width
from tinygrad_mnist.owncode import opened
from tinygrad_mnist.runs import Own, run
from tinygrad_mnist.runs.results import settings_of
from tinygrad_mnist.runs.sets import Sets
from tinygrad_mnist.training import Recipe

DRAW = figures.draw  # before tests put something else in its place
CLOTHES = ("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat",
           "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot")  # fmt: skip
LETTERS = tuple("ABCDEFGHIJKLMNOPQRSTUVWXYZ")
BALANCED = tuple(f"balanced class {c}" for c in "0123456789abdefghnqrt") + LETTERS
EVIL = ("$x^2$", "$\\frac{$", "a_b^{c}", "<b>bold</b>", "**md** `c`", "Тапочки",
        "עברית", "上衣", "new\nline\x1b[2J", "\u202eabc")  # fmt: skip
SETS = {
    "two": (("cat", "dog"), (8, 8)),
    "clothes": (CLOTHES, (28, 28)),
    "letters": (LETTERS, (32, 32)),
    "balanced": (BALANCED, (20, 30)),
    "evil": (EVIL, (8, 8)),
    "a row of numbers": (("a", "b"), (1, 57)),
    "tall": (("a", "b", "c"), (40, 10)),
}


@pytest.fixture(params=SETS)
def kind(request):
    return SETS[request.param]


def matrix(count, n=2000):
    random = np.random.default_rng(0)
    labels = random.integers(0, count, n)
    read_as = np.where(random.random(n) < 0.8, labels, random.integers(0, count, n))
    return np.bincount(labels * count + read_as, minlength=count**2).reshape(count, count)


def mistakes(classes, shape, n=25):
    random = np.random.default_rng(0)
    images = random.integers(0, 256, (n, shape[0] * shape[1]))
    labels, guesses = (np.arange(n) % len(classes), np.arange(1, n + 1) % len(classes))
    return figures.mistakes_grid(images, labels, guesses, random.random(n), shape, classes)


def salient(classes, shape):
    labels = np.arange(min(len(classes), 25))
    images = np.random.default_rng(0).random((len(labels), shape[0] * shape[1]))
    return figures.saliency_grid(Saliency(images, labels, images[::-1]), shape, classes)


# ---------------------------------------------------------------- names


@pytest.mark.parametrize("name", [*EVIL, "a" * 3000, "上" * 3000, "", "é\u0301" * 50])
def test_a_shown_name_is_one_printable_line_of_bounded_width(name):
    for most in (3, 13, 40):
        text = shown(name, most)
        assert text.isprintable()
        assert width(text) <= most


def test_names_that_differ_at_their_ends_differ_when_they_are_shortened():
    assert len({shown(name, 13) for name in BALANCED}) == len(BALANCED)


def test_a_list_of_names_says_how_many_it_leaves_out():
    assert listed(["a", "b"]) == "a, b"
    assert listed([str(i) for i in range(10_000)], 3) == "0, 1, 2 and 9,997 more"


def test_a_class_is_called_a_digit_only_among_the_ten_digits():
    assert kind_of(tuple("0123456789")) == "digit"
    assert kind_of(tuple("012345678")) == kind_of(CLOTHES) == "class"


def test_a_name_without_letters_in_any_font_is_shown_as_its_number(monkeypatch):
    fonts = [font for font in fontManager.ttflist if font.name == "DejaVu Sans"]
    monkeypatch.setattr(fontManager, "ttflist", fonts)
    texts, families = drawable(("shirt", "\U00013080", "Тапочки"), 16)
    assert (texts, families) == (["shirt", "#1", "Тапочки"], ["DejaVu Sans"])


def test_a_font_that_has_the_letters_is_found():
    texts, families = drawable(("\U0001d4b3", "x"), 16)  # a script letter: not in DejaVu Sans
    assert texts == ["\U0001d4b3", "x"]
    assert len(families) == 2


# ---------------------------------------------------------------- figures


def drawn_texts(figure):
    """Every text of a drawn figure, which must not warn of a glyph that is missing."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        figure.set_dpi(figures.DPI)
        figure.draw_without_rendering()
    (axes,) = figure.axes
    ticks = [*axes.get_xticklabels(), *axes.get_yticklabels()] if axes.axison else []
    return [*axes.texts, *ticks]


def test_the_confusion_matrix_has_the_names_on_both_axes(kind):
    classes, _ = kind
    (axes,) = figures.confusion(matrix(len(classes)), classes).axes
    texts, _ = drawable(classes, 16)
    for labels in (axes.get_xticklabels(), axes.get_yticklabels()):
        assert [label.get_text() for label in labels] == texts
    assert axes.get_ylabel() == "class"
    counts = [text.get_text() for text in axes.texts]
    assert len(counts) == (len(classes) ** 2 if len(classes) <= 10 else 0)


@pytest.mark.parametrize(
    "make", [mistakes, salient, lambda c, _: figures.confusion(matrix(len(c)), c)]
)
def test_no_text_is_read_as_mathematics_and_all_of_it_lies_within(kind, make):
    figure = make(*kind)
    texts = drawn_texts(figure)
    assert texts
    for text in texts:
        box = text.get_window_extent()
        assert text.get_text().isdigit() or not text.get_parse_math()
        assert -1 <= box.x0 <= box.x1 <= figure.bbox.x1 + 1
        assert -1 <= box.y0 <= box.y1 <= figure.bbox.y1 + 1


@pytest.mark.parametrize("classes", [LETTERS, BALANCED, tuple(map(str, range(300)))])
def test_names_on_an_axis_do_not_overlap_and_are_large_enough_to_read(classes):
    figure = figures.confusion(matrix(len(classes)), classes)
    drawn_texts(figure)
    (axes,) = figure.axes
    columns = [label.get_window_extent() for label in axes.get_xticklabels()]
    rows = [label.get_window_extent() for label in axes.get_yticklabels()]
    assert all(left.x1 <= right.x0 for left, right in pairwise(columns))
    assert all(below.y1 <= above.y0 for above, below in pairwise(rows))
    assert axes.get_xticklabels()[0].get_fontsize() >= 8


@pytest.mark.parametrize("classes", [CLOTHES, BALANCED, ("W" * 50, "M" * 50)])
def test_captions_of_mistakes_do_not_overlap(classes):
    figure = mistakes(classes, (20, 30))
    first, second, *_ = [text.get_window_extent() for text in drawn_texts(figure)[:5]]
    assert first.x1 <= second.x0


def test_each_image_is_shown_as_it_is():
    for shape in ((8, 8), (20, 30), (32, 32)):
        images = np.random.default_rng(0).integers(0, 256, (3, shape[0] * shape[1]))
        figure = figures.mistakes_grid(images, [0, 1, 2], [1, 2, 0], [0.5] * 3, shape)
        shown_first = figure.axes[0].images[0].get_array()[: shape[0], : shape[1]]
        np.testing.assert_array_equal(shown_first, images[0].reshape(shape))


def test_a_picture_of_large_images_is_small():
    images = np.ones((25, 1 << 20))
    figure = figures.mistakes_grid(images, [0] * 25, [1] * 25, [0.5] * 25)
    assert figure.axes[0].images[0].get_array().size < 1_000_000


@pytest.mark.parametrize("shape", [(1, 784), (784, 1)])
def test_an_image_that_is_one_line_can_be_seen(shape):
    (axes,) = mistakes(("a", "b"), shape, 5).axes
    height, across = axes.images[0].get_array().shape
    assert 1 / 8 < height / across < 8


def test_a_mistake_names_both_classes():
    (axes,) = figures.mistakes_grid(np.ones((1, 64)), [0], [9], [0.5], (8, 8), CLOTHES).axes
    assert axes.texts[0].get_text() == "T-shirt/top\nas Ankle boot\n50.0 % sure"


def test_saliency_is_of_the_first_classes_only_if_there_are_many():
    model = nn.Classifier(nn.Linear(64, 47, rng=np.random.default_rng(0)))
    images, labels = np.ones((100, 64), np.uint8), np.arange(100) % 47
    assert first_of_each_class(model, images, labels).classes.tolist() == list(range(30))


def saliency_texts(classes):
    return [text.get_text() for text in salient(classes, (8, 8)).axes[0].texts]


def test_saliency_has_the_name_of_each_class_below_it():
    assert saliency_texts(CLOTHES) == list(CLOTHES)


def test_the_name_under_a_picture_is_no_formula(monkeypatch):
    made = []
    monkeypatch.setattr("tinygrad_mnist.evaluation.show.png", made.append)
    digit = data.Digit(np.zeros(784, np.uint8), (2, 3, 10, 12), ())
    page = data.Page((digit,), (), np.zeros((40, 30, 3), np.uint8), 1.0)
    show_page(page, [1], [0.5], ("a", "$x$"))
    (text,) = made[0].axes[1].texts
    assert (text.get_text(), text.get_parse_math()) == ("$x$\n50.0 % sure", False)


# ---------------------------------------------------------------- which figures there are


def all_figures(model, subject, count=200):
    classes = len(subject.classes)
    images, labels = patterns(classes, subject.shape, count)
    p = np.random.default_rng(0).dirichlet(np.ones(classes), count)
    metrics = {"kept_epoch": 1, "test": examine(p, labels, subject.classes)}
    epoch = dict.fromkeys(("loss", "accuracy", "validation_loss", "validation_accuracy", "lr"), 0.5)
    test = Predictions(images.reshape(count, -1), labels, p)
    history = [{"epoch": 1, **epoch}]
    return figures.draw(nn.Classifier(model), "unit", history, metrics, test, subject)


class Kernels(nn.Module):
    """A network whose first parameter has the shape of a convolution's kernels."""

    def __init__(self, shape, inputs, classes):
        self.kernels = nn.Parameter(np.random.default_rng(0).normal(size=shape))
        self.last = nn.Linear(inputs, classes, rng=np.random.default_rng(0))

    def forward(self, x):
        return self.last(x)


COMMON = {"curves", "confusion", "reliability", "mistakes", "saliency"}


@pytest.mark.usefixtures("drawn")
@pytest.mark.parametrize(
    ("first", "extra"),
    [
        ((6, 1, 3, 3), {"kernels"}),
        ((6, 3, 3, 3), set()),
        ((7, 5), set()),
        ((64, 5), {"first_layer"}),
    ],
)
def test_the_first_layer_is_shown_only_if_it_looks_at_pixels(first, extra, monkeypatch):
    monkeypatch.setattr(figures, "png", lambda figure: b"")
    found = all_figures(Kernels(first, 64, 3), Subject((8, 8), ("a", "b", "c")))
    assert found.keys() == COMMON | extra


def test_weights_and_kernels_have_the_shape_that_they_look_at():
    weights = np.random.default_rng(0).normal(size=(600, 3))
    (image,) = figures.first_layer(weights, (20, 30)).axes[0].images
    np.testing.assert_array_equal(image.get_array()[:20, :30], weights[:, 0].reshape(20, 30))


# ---------------------------------------------------------------- report and card

WHERE = {"python": "3.11"}
OWN = Subject((20, 30), EVIL, {"model": "ab" * 32}, "ResMLP", "ResMLP(\n  ```\n  <b>\x1b[2J\n)")


def numbers(classes, count=300):
    random = np.random.default_rng(0)
    p, labels = (
        random.dirichlet(np.ones(len(classes)), count),
        random.integers(0, len(classes), count),
    )
    return {
        "parameters": 1234, "epochs": 3, "kept_epoch": 2, "training_seconds": 1.5,
        "validation": {"accuracy": 0.5, "loss": 1.0}, "test": examine(p, labels, classes),
        "files": {"data": "mine.npz", "test_data": "test.npz"}, "images": 321,
    }  # fmt: skip


RECIPE = Recipe("mine", model="my_net.py:ResMLP", model_options={"width": 64, "<b>": "|`x`|"})


class Page(HTMLParser):
    """The tags of a page and its text."""

    def __init__(self, html):
        super().__init__()
        self.tags, self.text = [], ""
        self.feed(html)

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)

    def handle_data(self, text):
        self.text += text


def test_the_report_names_classes_as_text_and_shows_the_network():
    html = html_report(settings_of(RECIPE), numbers(EVIL), WHERE, {"confusion": b""}, OWN)
    page = Page(html)
    assert "b" not in page.tags[page.tags.index("main") :]
    for name in (
        *EVIL,
        "my_net.py:ResMLP",
        "ab" * 32,
        "width = 64",
        "Each class",
        "How many of each class",
    ):
        assert shown(name, 80) in page.text
    assert not re.search(r"[\x00-\x08\x1b\u202e]|digit|activation|hidden", page.text)


def test_the_report_says_what_stands_behind_a_number_in_place_of_a_name():
    subject = Subject((8, 8), ("shirt", "\U00013080"))
    html = html_report(
        settings_of(RECIPE), numbers(subject.classes), WHERE, {"confusion": b""}, subject
    )
    text = "Names that no font here could draw: #1 \U00013080."
    assert text in html
    names = Subject((8, 8), ("shirt", "coat"))
    assert "no font" not in html_report(
        settings_of(RECIPE), numbers(names.classes), WHERE, {}, names
    )


def test_the_card_describes_the_network_that_was_trained():
    card = model_card(settings_of(RECIPE), numbers(EVIL), WHERE, OWN)
    own = {"reference": "my_net.py:ResMLP", "sha256": "ab" * 32, "class": "ResMLP"}
    assert card["own"] == {"model": own | {"tree": OWN.short_tree}}
    assert (card["input"]["shape"], card["classes"]) == ([20, 30], list(EVIL))
    absent = {"hidden", "activation", "initialiser", "dropout", "optimizer_options"}
    assert not absent & card["training"]["recipe"].keys()
    assert not {"layers", "activation"} & card.keys()


def test_a_network_of_the_package_is_not_called_ones_own():
    reference = "tinygrad_mnist.examples.lenet:LeNet"
    subject = Subject(own={"model": ""}, network="LeNet", tree="LeNet()")
    text = to_markdown(
        model_card(settings_of(Recipe("x", model=reference)), numbers(CLOTHES), {}, subject)
    )
    assert "LeNet, an example of the package, for images" in text
    assert "from tinygrad_mnist.examples.lenet import LeNet\n" in text
    assert "SHA-256" not in text


@pytest.mark.parametrize(
    "reference", ["__main__:Net", "test_x:f__locals__Net", "tinygrad_mnist.nn.module:Sequential"]
)
def test_a_network_that_no_command_can_name_is_loaded_as_it_was_made(reference):
    subject = Subject(own={"model": ""}, network="Net", tree="Net()")
    text = to_markdown(
        model_card(settings_of(Recipe("x", model=reference)), numbers(CLOTHES), {}, subject)
    )
    assert (
        "# model: made as it was for the training\ntrained = load_trained(run, model=model)" in text
    )
    assert "```sh" not in text


def test_hostile_names_do_not_change_what_the_card_is_made_of():
    def shape_of(subject, recipe):
        text = to_markdown(
            model_card(settings_of(recipe), numbers(subject.classes), WHERE, subject)
        )
        _, matter, body = text.split("---\n", 2)
        assert yaml.safe_load(matter)["tags"] == ["numpy", "backpropagation"]
        blocks = MarkdownIt("commonmark").enable(["table", "strikethrough"]).parse(body)
        inline = [part.type for block in blocks for part in block.children or []]
        return [b.type for b in blocks], [kind for kind in inline if kind != "text_special"]

    plain = Subject((20, 30), tuple("abcdefghij"), OWN.own, "Net", "Net()")
    options = {"width": 64, "depth": 2}
    expected = shape_of(plain, Recipe("mine", model="net.py:Net", model_options=options))
    assert shape_of(OWN, RECIPE) == expected


def test_the_weakest_class_is_one_that_there_are_test_images_of():
    labels = np.array([0, 0, 1, 1])
    metrics = numbers(CLOTHES) | {"test": examine(np.eye(10)[[0, 0, 1, 2]], labels, CLOTHES)}
    limits = model_card(settings_of(Recipe("x")), metrics, WHERE, Subject(classes=CLOTHES))[
        "limits"
    ]
    assert (limits["weakest_class"], limits["weakest_recall"]) == ("Trouser", 0.5)
    (pair,) = limits["most_frequent_confusions"]
    assert pair == {"class": "Trouser", "read_as": "Pullover", "images": 1}


@pytest.mark.parametrize("hostile", [False, True])
def test_ten_thousand_classes_make_no_large_page(hostile):
    name = "<`$\x00" * 25 if hostile else "class"
    classes = tuple(f"{name[:94]} {i}" for i in range(10_000))
    metrics, subject = numbers(classes, 500), Subject((8, 8), classes, {}, "MLP", "x\n" * 10**6)
    assert "confusion_matrix" not in metrics["test"]
    recipe = settings_of(Recipe("x"))
    card = model_card(recipe, metrics, WHERE, subject)
    assert len(to_markdown(card)) < 30_000
    assert len(html_report(recipe, metrics, WHERE, {}, subject)) < 100_000
    assert subject.short_tree == "x\n" * 60 + "... 999,940 more lines"


@pytest.mark.usefixtures("drawn")
def test_with_too_many_classes_there_is_no_confusion_matrix(monkeypatch):
    monkeypatch.setattr(figures, "png", lambda figure: b"")
    subject = Subject((8, 8), tuple(map(str, range(600))))
    assert "confusion" not in all_figures(nn.Linear(64, 600), subject, 700)


# ---------------------------------------------------------------- from a training to its log

NET = """
from tinygrad_mnist import nn

class ResMLP(nn.Module):
    def __init__(self, inputs, classes, *, rng, width=16):
        self.first = nn.Linear(inputs, width, rng=rng)
        self.block = nn.Linear(width, width, rng=rng)
        self.last = nn.Linear(width, classes, rng=rng)

    def forward(self, x):
        x = self.first(x).relu()
        return self.last(x + self.block(x).relu())
"""


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A network of one's own, trained on letters, in runs/own of a folder with its code."""
    folder = tmp_path_factory.mktemp("trained")
    (folder / "my_net.py").write_text(NET)
    sets = Sets(*(Dataset.of(*letters(1040, seed), None, LETTERS) for seed in (0, 1)),
                {"data": "letters.npz", "test_data": "others.npz"})  # fmt: skip
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setattr(figures, "draw", DRAW)
        patch.setattr(figures, "png", lambda figure: b"")
        with opened("my_net.py:ResMLP") as own:
            recipe = Recipe("own", model="my_net.py:ResMLP", epochs=8)
            run(recipe, Path("runs/own"), sets, Own(own))
    return folder


@pytest.fixture
def own_run(trained, tmp_path, monkeypatch):
    """A copy of that folder."""
    shutil.copytree(trained, tmp_path / "copy")
    monkeypatch.chdir(tmp_path / "copy")
    return Path("runs/own")


def test_the_card_of_a_run_says_how_to_use_its_network_and_that_works(own_run, capsys):
    text = (own_run / "MODEL_CARD.md").read_text()
    (code,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    images, labels = letters(50, 7)
    exec(code.replace('Path(".")', 'Path("runs/own")'), {"images": images.reshape(50, -1)})
    read_as = re.findall(r"'(\w)'", capsys.readouterr().out)
    assert np.mean([LETTERS[c] == name for c, name in zip(labels, read_as, strict=True)]) > 0.5
    assert "--model my_net.py:ResMLP" in text
    for words in ("byhand", "digit", "activation", "| hidden", "MNIST"):
        assert words not in text
    assert {path.stem for path in (own_run / "figures").iterdir()} == COMMON | {"first_layer"}
    metrics = json.loads((own_run / "metrics.json").read_text())
    assert [row["class"] for row in metrics["test"]["per_class"]] == list(LETTERS)


def test_predict_and_log_print_the_names_of_classes(own_run, command):
    np.save("some.npy", letters(3, 7)[0])
    asked = ("predict", str(own_run), "some.npy", "--model", "my_net.py:ResMLP")
    code, out, err = command(*asked)
    head, *lines = out.splitlines()
    assert (code, err, head.split()[1]) == (0, "", "class")
    rows = json.loads(command("log", str(own_run), "--json")[1])
    assert [row["predicted_class"] for row in rows] == [line.split()[1] for line in lines]
    assert [LETTERS[row["predicted"]] for row in rows] == [row["predicted_class"] for row in rows]
    named = json.loads(command("log", str(own_run), "--json", "--class", lines[0].split()[1])[1])
    assert rows[0] in named
    command("log", str(own_run), "--csv", "all.csv")
    assert Path("all.csv").read_text().splitlines()[0].endswith("p(X),p(Y),p(Z)")
    with sqlite3.connect(own_run / "predictions.db") as db:
        assert db.execute("SELECT shape FROM runs").fetchall() == [("[16, 16]",)]
    db.close()


def test_a_network_of_ones_own_is_exported_in_forms_that_can_hold_it(own_run, command):
    asked = ("export", str(own_run), "--model", "my_net.py:ResMLP")
    for form in ("safetensors", "onnx"):
        assert command(*asked, "--out", f"a.{form}")[0] == 0
    code, _, err = command(*asked, "--out", "a.npz")
    assert (code, Path("a.npz").exists()) == (2, False)
    assert "no counterpart for ResMLP" in err
    assert "can be exported as safetensors" in err


def test_an_onnx_file_says_what_images_and_classes_it_is_for(tmp_path, command, monkeypatch):
    monkeypatch.chdir(tmp_path)
    digits = Dataset.of(*small_digits(200))
    classes = tuple(f"№{c}" for c in digits.classes)
    named = Dataset.of(digits.images, digits.labels, digits.shape, classes)
    sets = Sets(named, named, {"data": "x"})
    run(Recipe("x", hidden=(8,), epochs=1), Path("runs/x"), sets)
    assert command("export", "runs/x", "--format", "onnx")[0] == 0
    said = {
        entry.key: json.loads(entry.value)
        for entry in onnx.load("runs/x/model.onnx").metadata_props
    }
    assert (said["shape"], said["classes"]) == ([8, 8], list(classes))
    assert (said["input_range"], said["output"]) == ([0.0, 1.0], "logits")
    assert said["tinygrad_mnist"]["trained"]["classes"] == list(classes)
