"""Report and model card hold each value of recipe, metrics and environment they promise."""

import json
import re
from html.parser import HTMLParser

import numpy as np
import pytest
import yaml

from tinygrad_mnist.evaluation import examine, html_report, model_card, to_markdown
from tinygrad_mnist.runs.results import settings_of
from tinygrad_mnist.training import Recipe

RECIPES = {
    "two hidden layers": Recipe("a", "of two", hidden=(16, 8), nesterov=True, dropout=0.25),
    "one hidden layer": Recipe("b", "of one", hidden=(300,), activation="tanh", normalize="seed"),
    "linear": Recipe("c", "of none", hidden=(), published_error=12.0, published_in="LeCun 1998"),
    "squared error": Recipe("d", hidden=(30,), activation="sigmoid", loss="mse", epochs=7),
    "distorted": Recipe("e", elastic_alpha=34.0, affine=0.1, plain_epochs=2, seed=11),
}
OWN = {"files": {"data": "mine.csv", "test_data": "my-test.csv"}, "images": 4321}
WHERE = {"python": "3.11.9", "numpy": "2.1", "commit": None, "cores": 2, "flags": ["a", "b"]}


def measured(seed=0, digits=10, wrong=0.3):
    """`metrics.json` of a run in which every number is another one."""
    random = np.random.default_rng(seed)
    labels = random.integers(0, digits, 217)
    probabilities = random.dirichlet(np.full(10, 0.3), 217)
    right = random.random(217) > wrong
    probabilities[right] = 0.6 * np.eye(10)[labels[right]] + 0.4 * probabilities[right]
    return {
        "parameters": 123_456,
        "epochs": 13,
        "kept_epoch": 11,
        "training_seconds": 98.7,
        "validation": {"accuracy": 0.8642, "loss": 0.75},
        "test": examine(probabilities, labels),
    }


@pytest.fixture(params=RECIPES, ids=str)
def recipe(request):
    return settings_of(RECIPES[request.param])


@pytest.fixture(params=["MNIST", "own files"])
def metrics(request):
    return measured() | (OWN if request.param == "own files" else {})


class Tables(HTMLParser):
    """The rows of all tables, the tiles, and the paragraphs of a page."""

    def __init__(self, html):
        super().__init__()
        self.rows, self.tiles, self.paragraphs, self.tag = [], [], [], ""
        self.feed(html)

    def handle_starttag(self, tag, attributes):
        self.tag = tag
        if tag == "tr":
            self.rows.append([])
        elif tag in ("td", "th"):
            self.rows[-1].append("")
        elif tag in ("dt", "dd"):
            self.tiles.append("")
        elif tag in ("p", "h1", "h2", "title"):
            self.paragraphs.append("")

    def handle_endtag(self, tag):
        self.tag = "p" if tag in ("b", "code") else ""

    def handle_data(self, text):
        if self.tag in ("td", "th"):
            self.rows[-1][-1] += text
        elif self.tag in ("dt", "dd"):
            self.tiles[-1] += text
        elif self.tag in ("p", "b", "code", "h1", "h2", "title"):
            self.paragraphs[-1] += text


def shown(value):
    """A value in the report's words."""
    if value == () or value == []:
        return "none"
    if isinstance(value, (list, tuple)):
        return ", ".join(map(str, value))
    return {True: "yes", False: "no"}[value] if isinstance(value, bool) else str(value)


def rows_of(values):
    """Name and value of all settings but name and description, which are above."""
    return {key: value for key, value in values.items() if key not in ("name", "description")}


# ---------------------------------------------------------------- the report


def test_the_report_has_a_row_for_every_setting_and_all_of_the_environment(recipe, metrics):
    rows = Tables(html_report(recipe, metrics, WHERE, {})).rows
    expected = [[key, shown(value)] for key, value in (rows_of(recipe) | WHERE).items()]
    assert [row for row in rows if len(row) == 2] == expected


def test_the_report_has_a_row_for_every_digit_and_both_means(recipe, metrics):
    rows = [row for row in Tables(html_report(recipe, metrics, WHERE, {})).rows if len(row) == 5]
    test = metrics["test"]
    body = [(row["class"], row, row["support"]) for row in test["per_class"]]
    body += [(mean, test[mean], "") for mean in ("macro", "weighted")]
    assert rows[0] == ["digit", "precision", "recall", "F1", "images"]
    assert rows[1:] == [
        [
            str(name),
            *(f"{100 * values[key]:.2f}" for key in ("precision", "recall", "f1")),
            str(images),
        ]
        for name, values, images in body
    ]
    assert len(rows) == 1 + 10 + 2


def test_the_report_has_a_tile_for_every_number(recipe, metrics):
    tiles = Tables(html_report(recipe, metrics, WHERE, {})).tiles
    test = metrics["test"]
    assert dict(zip(tiles[::2], tiles[1::2], strict=True)) == {
        "mistakes": str(test["incorrect"]),
        "cross-entropy": f"{test['cross_entropy']:.4f}",
        "calibration error": f"{100 * test['ece']:.2f} %",
        "macro F1": f"{test['macro']['f1']:.4f}",
        "validation accuracy": "86.42 %",
        "parameters": "123,456",
        "epochs": "13",
        "training time": "98.7 s",
    }


def test_the_report_has_its_headings_and_says_what_was_trained_on(recipe, metrics):
    found = Tables(html_report(recipe, metrics, WHERE, {"curves": b""})).paragraphs
    accuracy = f"{100 * metrics['test']['accuracy']:.2f} %"
    assert found[0] == f"{recipe['name']}: {accuracy} of 217 test images"
    assert found[1:3] == [recipe["name"], recipe["description"]]
    assert found[3] == f"{accuracy} of 217 test images right"
    files = ["--data mine.csv", "--test-data my-test.csv"] if "files" in metrics else []
    assert [text for text in found if text.startswith("--")] == files
    titles = ["Training", "Each digit", "Recipe", "Environment"]
    assert [text for text in found if text in titles] == titles


# ---------------------------------------------------------------- the card as data


def test_the_card_holds_every_value(recipe, metrics):
    card = model_card(recipe, metrics, WHERE)
    test, own = metrics["test"], "files" in metrics
    assert card["layers"] == [784, *recipe["hidden"], 10]
    assert card["activation"] == (recipe["activation"] if recipe["hidden"] else None)
    assert card["output"] == ("sigmoid" if recipe["loss"] == "mse" else "softmax")
    assert card["input"] == {"shape": [28, 28], "normalize": recipe["normalize"]}
    assert [card[key] for key in ("name", "description")] == [recipe["name"], recipe["description"]]
    assert card["training"] == {
        "data": "mine.csv" if own else "MNIST",
        "images": 4321 if own else 60_000,
        "validation_fraction": recipe["validation"],
        "epochs": 13,
        "kept_epoch": 11,
        "seconds": 98.7,
        "recipe": recipe,
    }
    assert card["parameters"] == 123_456
    assert card["validation"] == metrics["validation"]
    assert card["environment"] == WHERE
    names = "accuracy", "correct", "incorrect", "cross_entropy", "ece", "macro", "weighted"
    assert card["test"] == {"data": "my-test.csv" if own else "MNIST", "images": 217} | {
        name: test[name] for name in names
    }


# ---------------------------------------------------------------- the card as Markdown


def table(markdown, after):
    """The rows of the first table below a heading, without its head."""
    _, _, below = markdown.partition(f"\n## {after}\n")
    lines = re.search(r"\|---\|---\|\n((?:\|.*\|\n)+)", below).group(1).splitlines()
    return {key: re.sub(r"\\(.)", r"\1", text) for key, text in (cells(line) for line in lines)}


def cells(line):
    return [cell.strip() for cell in line.strip("|").split(" | ")]


@pytest.fixture
def markdown(recipe, metrics):
    return to_markdown(model_card(recipe, metrics, WHERE))


def test_the_card_has_its_sections_in_order(markdown, recipe):
    headings = re.findall(r"^##? .*$", markdown, re.MULTILINE)
    sections = ["Results", "Use", "Training", "Limits", "Environment"]
    assert headings == [f"# {recipe['name']}", *(f"## {title}" for title in sections)]


def test_the_card_has_a_row_for_every_setting_and_all_of_the_environment(markdown, recipe):
    def text(value):
        if isinstance(value, (list, tuple)):
            return ", ".join(map(str, value)) or "none"
        return str(value)

    settings = {key: text(value) for key, value in rows_of(recipe).items()}
    assert table(markdown, "Training") == settings
    assert table(markdown, "Environment") == {key: text(value) for key, value in WHERE.items()}


def test_the_card_has_a_row_for_every_result(markdown, metrics):
    test, macro = metrics["test"], metrics["test"]["macro"]
    counts = f"({test['correct']} right, {test['incorrect']} wrong)"
    assert table(markdown, "Results") == {
        "accuracy": f"{100 * test['accuracy']:.2f} % {counts}",
        "cross-entropy": f"{test['cross_entropy']:.4f}",
        "expected calibration error, 15 bins": f"{100 * test['ece']:.2f} %",
        "macro precision, recall, F1": ", ".join(
            f"{macro[name]:.4f}" for name in ("precision", "recall", "f1")
        ),
    }


def test_the_cards_sentences_hold_their_numbers(markdown, recipe, metrics):
    own = "files" in metrics
    layers = "-".join(map(str, [784, *recipe["hidden"], 10]))
    units = f"{recipe['activation']} units and " if recipe["hidden"] else ""
    output = "sigmoid" if recipe["loss"] == "mse" else "softmax"
    images = "4,321 images of mine.csv" if own else "60,000 MNIST training images"
    tested = "217 images of my-test.csv" if own else "217 official test images"
    for sentence in (
        f"{layers}, with {units}{output} outputs:\n123,456 parameters, trained with NumPy alone.",
        f"{images}, of which 10 % were held out for validation;\n",
        "13 epochs, the weights of epoch 11 kept, 98.7 s.\n",
        "Accuracy on the held-out images: 86.42 %.",
        f"On the {tested}, opened once",
        f'normalize(images, "{recipe["normalize"]}")' if own else f'mnist("{recipe["normalize"]}")',
        "images of 28x28 pixels in 10 classes" if own else "A fully connected network for handwr",
    ):
        assert sentence in markdown
    assert (', loss="mse"' in markdown) == (recipe["loss"] == "mse" and not own)
    assert ("activation=" in markdown) == bool(recipe["hidden"] and not own)


def test_the_front_matter_holds_its_values(markdown, recipe, metrics):
    matter = yaml.safe_load(markdown.split("---\n")[1])
    (result,) = matter["model-index"][0]["results"]
    own = "files" in metrics
    assert matter["datasets"] == ([] if own else ["ylecun/mnist"])
    assert matter["tags"] == ["mnist"] * (not own) + ["mlp", "numpy", "backpropagation"]
    assert (matter["library_name"], matter["metrics"]) == ("tinygrad_mnist", ["accuracy", "f1"])
    assert result["dataset"] == {
        "name": "my-test.csv" if own else "MNIST",
        "type": "image" if own else "ylecun/mnist",
        "split": "test",
    }
    assert [m["value"] for m in result["metrics"]] == [
        round(metrics["test"]["accuracy"], 4),
        round(metrics["test"]["macro"]["f1"], 4),
    ]


def test_confusions_are_listed_if_there_are_any_and_none_if_not():
    recipe = settings_of(Recipe("r"))
    perfect = measured(wrong=0.0) | {"test": examine(np.eye(10), np.arange(10))}
    card = model_card(recipe, perfect, {})
    assert card["limits"]["most_frequent_confusions"] == []
    assert "Most frequent confusions: none.\n" in to_markdown(card)
    card = model_card(recipe, measured(), {})
    confused = card["limits"]["most_frequent_confusions"]
    assert len(confused) == 3
    text = ", ".join("{class} read as {read_as} ({images}x)".format(**pair) for pair in confused)
    assert f"Most frequent confusions: {text}.\n" in to_markdown(card)


def test_the_card_is_the_same_after_json(recipe, metrics):
    card = model_card(recipe, metrics, WHERE)
    assert to_markdown(json.loads(json.dumps(card))) == to_markdown(card)
