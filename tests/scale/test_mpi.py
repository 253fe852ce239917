"""Training in parallel ranks, with the real engine: the same weights on all, whatever happens."""

import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from imagesets import small_digits
from safetensors.numpy import load_file

from tinygrad_mnist.data import Dataset
from tinygrad_mnist.runs import checkpoint, read_history
from tinygrad_mnist.scale.mpi import Ranks, SharedTraining, drawing_apart
from tinygrad_mnist.training import Recipe, build_training

MPIEXEC = Path(sys.executable).parent / "mpiexec"
engine = pytest.mark.skipif(not MPIEXEC.exists(), reason="needs the extra mpi")
RANK = Path(__file__).parent / "rank.py"
FILES = ("--data", "few.npz", "--test-data", "few-test.npz")
SETTINGS = "epochs=2 batch_size=50 weight_decay=1e-3 lr=0.1"
"""The last of the three batches has 35 examples, and validation 15."""
PLAIN = f"{SETTINGS} hidden=[12] dropout=0"
RANDOM = (
    f"{SETTINGS} hidden=[12] dropout=0.3 elastic_alpha=8 affine=0.1 optimizer=adam nesterov=false"
)


@pytest.fixture(autouse=True)
def few(tmp_path, monkeypatch):
    """An empty folder with two files of small images."""
    monkeypatch.chdir(tmp_path)
    for name, count in (("few", 150), ("few-test", 30)):
        images, labels = small_digits(count, seed=count)
        np.savez(f"{name}.npz", images=images, labels=labels)


def train(ranks, settings, *more, accident="none", out="run"):
    """The command on so many ranks; None: without MPI."""
    where = ("--resume", out) if settings is None else (*FILES, "--set", *settings.split())
    where += () if settings is None else ("--out", out)
    start = [] if ranks is None else [MPIEXEC, "-n", str(ranks)]
    flags = [] if ranks is None else ["--mpi"]
    command = [*start, sys.executable, RANK, accident, "train", *where, *more, *flags]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=40)
    done.notes = [path.read_text().splitlines() for path in sorted(Path().glob("rank-*.txt"))]
    for path in Path().glob("rank-*.txt"):
        path.unlink()
    return done


def resume(ranks, *more, **others):
    """Go on, with the files named again."""
    return train(ranks, None, *FILES, *more, **others)


def weights(out="run"):
    return load_file(Path(out) / "model.safetensors")


def assert_close(one, other):
    for name, array in one.items():
        np.testing.assert_allclose(array, other[name], rtol=1e-5, atol=1e-5)


def assert_same(one, other):
    for name, array in one.items():
        np.testing.assert_array_equal(array, other[name])


# ---------------------------------------------------------------- the same weights


@engine
def test_two_ranks_come_to_the_weights_and_the_curves_of_one_process():
    assert train(None, PLAIN, out="alone").returncode == 0
    assert train(2, PLAIN).returncode == 0
    assert_close(weights("alone"), weights())
    for one, two in zip(read_history(Path("alone")), read_history(Path("run")), strict=True):
        assert replace(two, seconds=0) == replace(one, seconds=0, **losses(two))
        assert losses(one) == pytest.approx(losses(two), abs=1e-5)


def losses(epoch):
    return {"loss": epoch.loss, "validation_loss": epoch.validation_loss}


@engine
def test_one_rank_comes_to_the_bytes_of_the_command_without_mpi():
    train(None, PLAIN, out="alone")
    done = train(1, PLAIN)
    assert_same(weights("alone"), weights())
    assert "warning: this process is alone" in done.stderr


NETS = """
from tinygrad_mnist import nn
from tinygrad_mnist.examples.norm import BatchNorm1d

class Net(nn.Module):
    def __init__(self, inputs, classes, *, rng):
        self.first, self.norm = nn.Linear(inputs, 8, rng=rng), BatchNorm1d(8)
        self.last, self.unused = nn.Linear(8, classes, rng=rng), nn.Linear(2, 2, rng=rng)

    def forward(self, x):
        return self.last(self.norm(self.first(x)))
"""


@engine
@pytest.mark.parametrize(
    ("unused", "how"),
    [(0, (RANDOM,)), (2, (SETTINGS, "--model", "nets.py:Net"))],
    ids=["random", "buffers"],
)
def test_three_ranks_have_the_same_weights_and_buffers_after_every_step(unused, how):
    Path("nets.py").write_text(NETS)
    done = train(3, *how)
    assert done.returncode == 0, done.stderr
    first, *others = done.notes
    assert others == [first, first]
    assert len(set(first)) == 6
    steps_of_each = zip(*(line.split() for line in first), strict=True)
    assert sum(len(set(steps)) == 1 for steps in steps_of_each) == unused


@engine
def test_a_batch_of_fewer_examples_than_ranks_leaves_some_of_them_idle():
    settings = PLAIN.replace("batch_size=50", "batch_size=2 examples=6 validation=0.9")
    assert train(None, settings, out="alone").returncode == 0
    done = train(3, settings)
    assert_close(weights("alone"), weights())
    assert done.notes[0] == done.notes[1] == done.notes[2]


def test_rows_are_shared_out_without_rest():
    for size in (1, 2, 3, 7):
        trainings = [shared(rank, size) for rank in range(size)]
        for count in range(9):
            shares = [one.share(np.arange(count)) for one in trainings]
            assert np.concatenate(shares).tolist() == list(range(count))
            assert max(map(len, shares)) - min(map(len, shares)) <= 1


def shared(rank=0, size=1):
    """A training as one rank has it, without the engine."""
    recipe = Recipe("r", hidden=())
    made = build_training(recipe, Dataset.of(*small_digits(40)))
    return SharedTraining(made, recipe, Ranks(SimpleNamespace(rank=rank, size=size)))


def test_ranks_draw_other_numbers_and_are_alike_afterwards():
    every = [np.random.default_rng(1) for _ in range(3)]
    drawn = []
    for rank, rng in enumerate(every):
        with drawing_apart([rng], rank):
            drawn.append(rng.random(4 + rank)[0])
    assert len(set(drawn)) == 3
    assert len({rng.random() for rng in every}) == 1


def test_generators_of_the_order_and_of_the_optimizer_stay_common():
    one = shared()
    assert one.rngs["order"] not in one.own_rngs
    assert {id(one.rngs["model"]), id(one.rngs["distortion"])} == set(map(id, one.own_rngs))


# ---------------------------------------------------------------- stopped and gone on


@engine
def test_stopped_by_one_rank_and_gone_on_with_as_many_the_bytes_are_those_of_a_whole():
    train(2, RANDOM, out="whole")
    stopped = train(2, RANDOM, accident="told:1:4")
    assert "Interrupted in epoch 2 after batch 2 of 3." in stopped.stdout
    assert "\nmpiexec -n 2 tinygrad-mnist train --resume run " in stopped.stdout
    assert stopped.stdout.rstrip().endswith(" --mpi")
    assert resume(2).returncode == 0
    assert_same(weights("whole"), weights())


@engine
@pytest.mark.parametrize("ranks", [None, 3])
def test_gone_on_with_another_number_of_ranks_the_end_is_equal_to_rounding(ranks):
    train(None, PLAIN, out="whole")
    train(2, PLAIN, accident="told:0:2")
    again = resume(ranks)
    assert "warning: this training ran on 2 ranks of MPI." in again.stderr
    assert_close(weights("whole"), weights())


@engine
def test_if_a_rank_is_killed_all_end_and_the_training_goes_on_from_a_whole_checkpoint():
    train(2, RANDOM, out="whole")
    killed = train(2, RANDOM, accident="killed:1:4")
    assert killed.returncode != 0
    assert not Path("run/metrics.json").exists()
    saved = checkpoint.load(Path("run"))[0].state
    assert 3 * len(saved.arrays["history"]) + saved.numbers["under_way"]["batch"] <= 4
    assert resume(2).returncode == 0
    assert_same(weights("whole"), weights())


@engine
@pytest.mark.parametrize(("name", "code"), [("SIGINT", 130), ("SIGTERM", 143)])
def test_a_signal_to_mpiexec_stops_all_ranks_after_the_same_step(name, code):
    long = PLAIN.replace("epochs=2", "epochs=2000").split()
    command = [MPIEXEC, "-n", "2", sys.executable, RANK, "none", "train", *FILES, "--out", "run"]
    started = subprocess.Popen(
        [*command, "--set", *long, "--mpi"], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        text=True,
    )  # fmt: skip
    deadline = time.monotonic() + 60
    while not Path("rank-0.txt").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    started.send_signal(getattr(signal, name))
    out, _ = started.communicate(timeout=40)
    assert started.returncode == code
    assert out.count("Interrupted in epoch") == 1
    assert Path("rank-0.txt").read_text() == Path("rank-1.txt").read_text()


# ---------------------------------------------------------------- mistakes


@engine
@pytest.mark.parametrize(
    ("more", "said"),
    [
        (("--resume", "nowhere", "--mpi"), "nowhere: there is no such run folder."),
        (("nosuch", "--mpi"), "There is no recipe 'nosuch'."),
        (("--mpi", "--bogus"), "Unknown option: --bogus."),
        (("--set", "lr=1e6", "schedule=constant", "--mpi", *FILES), "smaller lr"),
    ],
)
def test_a_mistake_is_told_once_and_without_a_traceback(more, said):
    command = [MPIEXEC, "-n", "2", sys.executable, RANK, "none", "train", *more]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=40)
    assert done.returncode in (2, 3)
    assert said in done.stderr.replace('"', "")  # some versions of cyclopts quote
    assert done.stderr.count("error: ") == 1
    assert "Traceback" not in done.stderr
    assert "had norm 0. " not in done.stderr


FAULT = """
from mpi4py import MPI
class {name}(Net):
    def {method}:
        if MPI.COMM_WORLD.rank == 1:
            raise ValueError("a bad day")
        return super().{call}
"""


@engine
@pytest.mark.parametrize(
    ("method", "call"),
    [
        ("__init__(self, inputs, classes, *, rng)", "__init__(inputs, classes, rng=rng)"),
        ("forward(self, x)", "forward(x)"),
    ],
)
def test_what_fails_on_another_rank_is_told_by_the_first(method, call):
    Path("nets.py").write_text(NETS + FAULT.format(name="Bad", method=method, call=call))
    done = train(2, SETTINGS, "--model", "nets.py:Bad")
    assert done.returncode == 2
    told, advice, *rest = done.stderr.splitlines()
    assert told.startswith("error: On rank 1: Bad raised ValueError in line ")
    assert told.endswith("a bad day")
    assert advice.startswith("The checkpoint of epoch 1 after batch 0 stays: mpiexec -n 2 ")
    assert rest == []


@engine
@pytest.mark.parametrize("accident", ["fails:0:3", "fails:1:4", "fails-late:0:6", "fails-late:1:6"])
def test_a_rank_that_fails_between_two_meetings_ends_all_of_them(accident):
    done = train(2, PLAIN, accident=accident)
    assert done.returncode not in (0, None)
    assert "the disk of this rank is full" in done.stderr
    assert {len(notes) for notes in done.notes} == {int(accident[-1])}
    assert not Path("run/metrics.json").exists()
    assert checkpoint.read(Path("run/checkpoint.npz"))


def test_without_mpi4py_the_command_says_what_to_install(command, monkeypatch):
    monkeypatch.setitem(sys.modules, "mpi4py", None)
    code, out, err = command("train", "--mpi")
    assert (code, out) == (2, "")
    assert err == "error: --mpi needs MPI: pip install 'tinygrad-mnist[mpi]'\n"


@engine
def test_an_mpiexec_of_another_mpi_is_noticed():
    command = [sys.executable, "-m", "tinygrad_mnist", "train", "--mpi"]
    alone = dict(os.environ, OMPI_COMM_WORLD_SIZE="3")
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=alone)
    assert done.returncode == 2
    assert "different MPIs" in done.stderr
    assert not Path("runs").exists()


LOADED = """
import sys
from tinygrad_mnist import cli
from tinygrad_mnist.evaluation import figures
figures.draw = lambda *_: {"curves": b"PNG"}
try:
    cli.main()
finally:
    print({"mpi4py", "tinygrad_mnist.scale"} & set(sys.modules))
"""


def test_train_without_the_flag_loads_nothing_of_it():
    command = [sys.executable, "-c", LOADED, "train", *FILES, "--set", "epochs=1", "hidden=[]"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.endswith("set()\n")
