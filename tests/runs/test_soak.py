"""Long runs take no more memory than short ones; and nothing depends on `assert`."""

import ast
import gc
import json
import subprocess
import sys
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import tinygrad_mnist
from tinygrad_mnist import data, files
from tinygrad_mnist.autodiff import Tensor
from tinygrad_mnist.cli.listing import listing
from tinygrad_mnist.store import PredictionLog, write_csv
from tinygrad_mnist.training import Recipe, train

# ---------------------------------------------------------------- training


@pytest.fixture
def without_collector():
    """Memory is given back by reference counting alone.

    What was there before is set aside, so that looking at the rest is fast.
    """
    gc.collect()
    gc.freeze()
    gc.disable()
    yield
    gc.enable()
    gc.unfreeze()


RECIPE = Recipe(name="soak", hidden=(16,), epochs=20, batch_size=8)
SETTINGS = {
    "sgd": "",
    "adam with dropout and distortions":
        "optimizer=adam lr=0.001 dropout=0.2 elastic_alpha=34 affine=0.1",
    "mse with early stopping":
        "loss=mse activation=sigmoid patience=100 schedule=exponential gamma=0.99",
}  # fmt: skip


def graph_objects():
    """How many tensors remember what they were computed from."""
    tensors = (thing for thing in gc.get_objects() if isinstance(thing, Tensor))
    return sum(1 for t in tensors if t.op is not None and t.inputs is not None)


ALL = [pytest.param(name, marks=[pytest.mark.slow] * (name != "sgd")) for name in SETTINGS]


@pytest.mark.usefixtures("without_collector")
@pytest.mark.parametrize("name", ALL)
def test_a_thousand_steps_of_training_leave_no_graph_and_take_no_memory(name):
    images, labels = (array[:889] for array in data.load_mnist(None))
    held, graphs = [], []

    def look(epoch, batch, batches):
        graphs.append(graph_objects())
        if len(graphs) % 100 == 0:
            held.append(tracemalloc.get_traced_memory()[0])

    tracemalloc.start()
    train(RECIPE.changed(SETTINGS[name].split()), images, labels, on_batch=look)
    tracemalloc.stop()
    assert len(graphs) == 2000
    assert set(graphs) == {0}
    after_a_thousand = held[10:]  # until then Python fills its stocks of small objects
    assert max(after_a_thousand) - after_a_thousand[0] < 1 << 14, held


# ---------------------------------------------------------------- the log


@pytest.mark.slow
def test_ten_thousand_predictions_are_logged_and_listed_in_constant_memory(tmp_path):
    random = np.random.default_rng(0)
    images = random.integers(0, 256, (100, 784), dtype=np.uint8)
    probabilities = random.dirichlet(np.ones(10), 100).astype(np.float32)
    held = []
    tracemalloc.start()
    with PredictionLog(tmp_path / "predictions.db", create=True) as log:
        for batch in range(100):
            sources = [f"{batch}-{i}" for i in range(100)]
            log.add("soak", {"lr": 0.1}, "abc", sources, images, probabilities, [None] * 100)
            held.append(tracemalloc.get_traced_memory()[0])
    assert max(held[10:]) - held[10] < 1 << 16
    peaks, counts = [], []

    def to_csv(log):
        def fill(file):
            counts.append(write_csv(log.predictions(), file))

        files.write(tmp_path / "log.csv", fill)
        return counts.pop()

    for read in (
        lambda log: sum(1 for _ in log.predictions()),
        lambda log: sum(1 for _ in listing(log.predictions(), json=True)) - 1,
        lambda log: sum(1 for _ in listing(log.predictions(), json=False)) - 1,
        to_csv,
    ):
        tracemalloc.reset_peak()
        before = tracemalloc.get_traced_memory()[0]
        with PredictionLog(tmp_path / "predictions.db") as log:
            assert read(log) == 10_000
        peaks.append(tracemalloc.get_traced_memory()[1] - before)
    tracemalloc.stop()
    assert max(peaks) < 1 << 19, peaks
    assert (tmp_path / "log.csv").stat().st_size > 1 << 20


PEAK = """
import resource, sys
try:
    from tinygrad_mnist.cli import main
    main(sys.argv[1:])
finally:
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, file=sys.stderr)
"""


@pytest.mark.slow
@pytest.mark.parametrize("form", [(), ("--json",), ("--csv", "out.csv")])
def test_the_command_that_lists_ten_thousand_predictions_takes_little_memory(tmp_path, form):
    peaks = []
    for count in (10, 10_000):
        path = tmp_path / f"{count}.db"
        images, probabilities = np.zeros((count, 784), np.uint8), np.full((count, 10), 0.1)
        with PredictionLog(path, create=True) as log:
            log.add("soak", {}, "abc", ["x"] * count, images, probabilities, [None] * count)
        command = [sys.executable, "-c", PEAK, "log", str(path), *form]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
        peaks.append(int(done.stderr))
    assert peaks[1] - peaks[0] < 4 << 10, peaks
    if form == ("--json",):
        assert len(json.loads(done.stdout)) == 10_000


# ---------------------------------------------------------------- python -O

SCENARIOS = """if True:
    import contextlib, io, json, sys
    from tinygrad_mnist.cli import main
    outcomes = [__debug__]
    for arguments in json.loads(sys.argv[1]):
        out, err = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            try:
                main(arguments)
            except SystemExit as exited:
                outcomes.append([exited.code or 0, err.getvalue()])
    print(json.dumps(outcomes))
"""
FILES = ("--data", "mine.npz", "--test-data", "mine.npz")
TRAIN = ("train", *FILES, "--set", "epochs=1", "hidden=[8]")
RIGHT = [
    ["recipes"],
    [*TRAIN, "--out", "run"],
    ["evaluate", "run", "--data", "mine.npz"],
    ["predict", "run", "picture.png", "several.npy"],
    ["log", "run", "--json"],
    ["log", "run", "--csv", "log.csv"],
    *(["export", "run", "--format", form] for form in ("npz", "safetensors", "onnx")),
    ["export", "run", "--ancestor"],
    ["compare", "--set", "hidden=[8]", "batch_size=8"],
    ["gradcheck", "ops.py:cube", "--shape", "3,4"],
]
WRONG = [
    ["train", "nowhere"],
    ["train", "bad.toml"],
    [*TRAIN, "--out", "run"],
    ["train", "--data", "bad.csv"],
    [*TRAIN, "--set", "lr=fast"],
    ["evaluate", "nowhere"],
    ["evaluate", "--weights", "bad.npz"],
    ["evaluate", "--weights", "bad.safetensors"],
    ["predict", "run"],
    ["predict", "run", "bad.png"],
    ["predict", "run", "bad.npy"],
    ["predict", "run", "--test", "-1"],
    ["log", "bad.db"],
    ["export", "run", "--format", "pickle"],
    ["gradcheck", "ops.py:cube", "--shape", "3x4"],
]
OPS = """
from tinygrad_mnist.autodiff import op

@op
def cube(x):
    return x**3

cube.vjp(lambda g, out, x: 3 * g * x**2)

@op
def wrong(x):
    return x**3

wrong.vjp(lambda g, out, x: g * x)
"""


@pytest.mark.slow
def test_the_command_does_the_same_without_asserts(tmp_path):
    images, labels = data.load_mnist(None)
    outcomes = []
    for option in ([], ["-O"]):
        here = tmp_path / "".join(["with", *option])
        here.mkdir()
        sets = {"x_train": images[:300], "y_train": labels[:300]}
        sets |= {"x_test": images[300:400], "y_test": labels[300:400]}
        np.savez(here / "mine.npz", **sets)
        np.save(here / "several.npy", images[:3])
        Image.fromarray(images[0].reshape(28, 28)).save(here / "picture.png")
        (here / "ops.py").write_text(OPS)
        for kind in ("toml", "csv", "npz", "safetensors", "png", "npy", "db"):
            (here / f"bad.{kind}").write_bytes(b"PK\3\4 nothing like it" + bytes(600))
        asked = [*RIGHT, ["gradcheck", "ops.py:wrong", "--shape", "3,4"], *WRONG]
        command = [sys.executable, *option, "-c", SCENARIOS, json.dumps(asked)]
        done = subprocess.run(command, cwd=here, capture_output=True, text=True, check=True)
        debug, *found = json.loads(done.stdout)
        assert debug == (not option)
        assert [code for code, _ in found] == [0] * len(RIGHT) + [1] + [2] * len(WRONG), found
        assert all(err.startswith("error: ") == (code == 2) for code, err in found), found
        outcomes.append([*found, (here / "run/weights.npz").read_bytes()])
    assert outcomes[0] == outcomes[1]


def test_no_source_asserts():
    for path in Path(tinygrad_mnist.__file__).parent.rglob("*.py"):
        nodes = ast.walk(ast.parse(path.read_text()))
        assert not any(isinstance(node, ast.Assert) for node in nodes), path
