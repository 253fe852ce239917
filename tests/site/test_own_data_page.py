"""The page about images of one's own: its commands are run, in order, on small files in place."""

import re
import shlex
from pathlib import Path

import numpy as np
import pytest
from imagesets import patterns, write_csv, write_idx
from PIL import Image

from tinygrad_mnist import data
from tinygrad_mnist.runs.config import read_config

PAGE = Path(__file__).parents[2] / "docs" / "howto" / "own-data.md"
BLOCK = re.compile(
    r"^```(text|bash|py)\b(?: title=\"([^\"\n]*)\")?\n(.*?)^```$", re.MULTILINE | re.DOTALL
)
BLOCKS = BLOCK.findall(PAGE.read_text(encoding="utf-8"))


def commands(text):
    """The commands of a block, each as its arguments; a backslash continues a line."""
    return [shlex.split(line) for line in text.replace("\\\n", " ").splitlines()]


def write_files():
    """Small files under the names that the page gives to those of its reader."""
    Path("fashion").mkdir()
    for part, name, count in (("train", "train", 300), ("t10k", "test", 60)):
        images, labels = patterns(10, (28, 28), count, count)
        write_idx(Path(f"fashion/{part}-images-idx3-ubyte.gz"), images)
        write_idx(Path(f"fashion/{part}-labels-idx1-ubyte.gz"), labels)
        images, labels = patterns(26, (28, 28), count, count)
        write_idx(Path(f"emnist-letters-{name}-images-idx3-ubyte.gz"), images)
        write_idx(Path(f"emnist-letters-{name}-labels-idx1-ubyte.gz"), labels + 1)
    images, labels = data.load_mnist(None)
    write_csv("mine.csv", images[:300], labels[:300])
    write_csv("mine-test.csv", images[300:360], labels[300:360])
    write_csv("wide.csv", *patterns(5, (8, 16), 200))
    write_csv("wide-test.csv", *patterns(5, (8, 16), 50, 1))
    picture = Image.fromarray(255 - images[0].reshape(28, 28)).resize((200, 200))
    picture.save("photo.jpg")
    picture.save("drawing.png")


@pytest.fixture
def in_a_folder_with_the_files(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_files()


def run_block(kind, title, text, command):
    """Write the file, run the program, or run the commands that a block shows."""
    if kind == "text":
        Path(title).write_text(text)
    elif kind == "py":
        exec(compile(text, PAGE.name, "exec"), {})
    else:
        for program, *arguments in commands(text):
            code, _, err = command(*arguments)
            assert (program, code, "error" in err) == ("tinygrad-mnist", 0, False), (arguments, err)


@pytest.mark.usefixtures("in_a_folder_with_the_files")
def test_every_command_of_the_page_works_in_its_order(command):
    for kind, title, text in BLOCKS:
        run_block(kind, title, text, command)
    _, fashion = read_config(Path("runs/fashion"))
    assert fashion.classes[:2] == ("T-shirt/top", "Trouser")
    for name in ("letters", "upright"):
        _, letters = read_config(Path("runs", name))
        assert ("".join(letters.classes), letters.first) == ("abcdefghijklmnopqrstuvwxyz", 1)
    upright = np.load("letters.npz")["x_train"]
    turned = data.read_idx("emnist-letters-train-images-idx3-ubyte.gz", 3)
    np.testing.assert_array_equal(upright[7], turned[7].T)


def test_the_page_has_commands_of_every_kind_that_reads_data():
    text = " ".join(text for kind, _, text in BLOCKS if kind == "bash")
    assert sum(len(commands(text)) for kind, _, text in BLOCKS if kind == "bash") == 12
    for option in ("--data", "--labels", "--test-data", "--test-labels", "--classes", "--shape"):
        assert f"{option} " in text
