"""Pictures on the command line: several digits, what may be wrong, and what the network saw."""

import json
from pathlib import Path

import numpy as np
import photographs
import pytest
from PIL import Image, ImageDraw

from tinygrad_mnist.data import Dataset
from tinygrad_mnist.runs import Sets, run
from tinygrad_mnist.training import Recipe

DEFAULT = Path(__file__).parents[2] / "artifacts" / "default"


@pytest.fixture(autouse=True)
def in_a_folder_with_pictures(tmp_path, monkeypatch, mnist):
    """Three digits on a photograph, one that is clear, and a square, faint and thin."""
    monkeypatch.chdir(tmp_path)
    images, labels = mnist
    digits = np.stack([images[labels == label][0].reshape(28, 28) for label in (7, 1, 0)])
    taken = photographs.take(digits, "shadow", np.random.default_rng(1), 600, 300)
    Path("three.jpg").write_bytes(taken.jpeg())
    Image.fromarray(255 - digits[0]).resize((280, 280)).save("clear.png")
    square = Image.new("L", (300, 300), 220)
    ImageDraw.Draw(square).rectangle((60, 60, 240, 240), outline=180, width=3)
    square.save("square.png")


def predict(command, *arguments):
    return command("predict", str(DEFAULT), *arguments, "--db", "log.db")


def test_digits_of_one_picture_are_read_from_left_to_right_with_their_places(command):
    code, out, _ = predict(command, "three.jpg", "--json")
    rows = json.loads(out)
    assert (code, [row["predicted"] for row in rows]) == (0, [7, 1, 0])
    starts = [f"three.jpg[{i}] at " for i in range(3)]
    pairs = zip(rows, starts, strict=True)
    assert all(row["source"].startswith(start) for row, start in pairs)
    left = [int(row["source"].split(" at ")[1].split(",")[0]) for row in rows]
    assert left == sorted(left)


def test_of_a_clear_picture_nothing_is_said_and_of_an_unsure_one_what_may_be_wrong(command):
    code, out, err = predict(command, "clear.png")
    assert (code, err, out.splitlines()[1].split()[1]) == (0, "", "7")
    _, _, err = predict(command, "square.png")
    assert err.startswith("note: square.png: only ")
    assert "Its strokes are thin: 2 % of its size" in err
    assert "note: square.png: The ink is faint" in err


def test_what_the_network_saw_is_drawn(command):
    assert predict(command, "three.jpg", "--show", "seen/it.png")[0] == 0
    with Image.open("seen/it.png") as picture:
        assert picture.width == 800
    code, _, err = predict(command, "three.jpg", "clear.png", "--show", "both.png")
    assert (code, Path("both.png").exists()) == (2, False)
    assert "--show draws what was seen of one picture, but 2 were named" in err
    assert predict(command, "three.jpg", "--show", "seen.jpg")[0] == 2


def test_a_network_of_other_images_reads_pictures_scaled_to_its_size(command, rng):
    images, labels = rng.integers(0, 256, (40, 64), dtype=np.uint8), np.arange(40) % 2
    data = Dataset.of(images, labels, (8, 8), ("cat", "dog"))
    run(Recipe("pets", epochs=1, hidden=(4,), batch_size=10), Path("pets"), Sets(data, data, {}))
    code, out, err = command("predict", "pets", "clear.png")
    assert (code, err) == (0, "")
    assert out.splitlines()[1].split()[1] in ("cat", "dog")
    assert command("predict", "pets", "clear.png", "--show", "s.png")[0] == 2
