"""Refusals that hardly ever happen: what each says, and what it leaves as it was."""

import io
import zipfile

import numpy as np
import pytest

from tinygrad_mnist import files
from tinygrad_mnist.cli import check
from tinygrad_mnist.cli.app import UserFileError
from tinygrad_mnist.data import DataError, Dataset
from tinygrad_mnist.runs import RunFolderError, Sets, checkpoint, read_history, resumed_run, run
from tinygrad_mnist.runs import folder as run_folder
from tinygrad_mnist.training import Recipe

RECIPE = Recipe("r", hidden=(), epochs=2, validation=0.5, batch_size=10)
IMAGES = np.random.default_rng(0).integers(0, 256, (60, 784), dtype=np.uint8)
LABELS = np.arange(60) % 10
FILES = {"data": "mine.npz", "test_data": "test.npz"}


@pytest.fixture
def interrupted(tmp_path, monkeypatch):
    """The folder of a run on files of one's own that was stopped after its first batch."""
    monkeypatch.chdir(tmp_path)
    np.savez("mine.npz", images=IMAGES[:40], labels=LABELS[:40])
    np.savez("test.npz", images=IMAGES[40:], labels=LABELS[40:])
    sets = Sets(Dataset.of(IMAGES[:40], LABELS[:40]), Dataset.of(IMAGES[40:], LABELS[40:]), FILES)
    run(RECIPE, tmp_path / "run", sets, should_stop=lambda: True)
    return tmp_path / "run"


def rewritten(folder, **changes):
    """The newest checkpoint, with something else in it and sums that are right."""
    made = checkpoint.read(folder / checkpoint.NEWEST)._replace(**changes)
    (folder / checkpoint.NEWEST).unlink()
    checkpoint.save(folder, made)


# ---------------------------------------------------------------- checkpoints


def test_an_array_in_another_form_than_the_plain_one_is_refused(interrupted):
    path = interrupted / checkpoint.NEWEST
    with zipfile.ZipFile(path) as archive:
        members = {info.filename: archive.read(info) for info in archive.infolist()}
    file = io.BytesIO()
    np.lib.format.write_array(file, np.zeros(3), version=(2, 0))
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in (members | {"model.0.bias.npy": file.getvalue()}).items():
            archive.writestr(name, content)
    with pytest.raises(
        DataError, match=r"checkpoint: ValueError an array is not in the plain form"
    ):
        checkpoint.read(path)


def test_a_damaged_checkpoint_without_another_beside_it_is_refused(interrupted):
    (interrupted / checkpoint.NEWEST).write_bytes(b"PK no zip file")
    (interrupted / checkpoint.PREVIOUS).unlink(missing_ok=True)
    with pytest.raises(DataError, match=r"checkpoint\.npz: damaged, or not a checkpoint"):
        checkpoint.load(interrupted)


@pytest.mark.parametrize(
    "data",
    [
        {"files": None, "folder": ".", "sha256": ""},
        {"files": {"data": 3}, "folder": ".", "sha256": ""},
        {"files": {"elsewhere": "mine.npz"}, "folder": ".", "sha256": ""},
        {"files": FILES, "sha256": ""},
        {"files": FILES, "folder": None, "sha256": ""},
        {"folder": ".", "sha256": ""},
    ],
    ids=str,
)
def test_a_checkpoint_that_does_not_say_what_it_was_trained_on_is_refused(interrupted, data):
    rewritten(interrupted, data=data)
    message = r"damaged: what it says of its data makes no sense\."
    with pytest.raises(DataError, match=message), resumed_run(interrupted):
        pass


# ---------------------------------------------------------------- folders


def test_a_lock_that_cannot_be_written_is_explained(tmp_path):
    (tmp_path / run_folder.LOCK).mkdir()
    message = r"cannot be written to: Is a directory\. Choose another --out\."
    with pytest.raises(RunFolderError, match=message), run_folder.locked(tmp_path):
        pass


def failing(monkeypatch, name):
    """Let writing files of a name fail as on a full disk."""
    write = files.write

    def full(path, content, keep=None):
        if path.name == name:
            raise files.WriteError(f"{path}: cannot be written: No space left on device.")
        write(path, content, keep)

    for module in ("checkpoint", "config", "results"):
        monkeypatch.setattr(f"tinygrad_mnist.runs.{module}.write", full)


def test_a_disk_that_is_full_from_the_start_leaves_nothing_to_go_on_with(tmp_path, monkeypatch):
    failing(monkeypatch, checkpoint.NEWEST)
    sets = Sets(Dataset.of(IMAGES, LABELS), Dataset.of(IMAGES[:9], LABELS[:9]), FILES)
    with pytest.raises(files.WriteError, match=r"No space left on device\.$"):
        run(RECIPE, tmp_path / "run", sets)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["config.toml", "history.json", "metrics.json"])
def test_a_disk_that_fills_up_later_leaves_a_checkpoint_and_says_how_to_go_on(
    tmp_path, monkeypatch, name
):
    failing(monkeypatch, name)
    sets = Sets(Dataset.of(IMAGES, LABELS), Dataset.of(IMAGES[:9], LABELS[:9]), FILES)
    with pytest.raises(files.WriteError) as caught:
        run(RECIPE, tmp_path / "run", sets, should_stop=lambda: True)
    first, second = str(caught.value).splitlines()
    assert first.endswith(f"{name}: cannot be written: No space left on device.")
    done = 0 if name == "config.toml" else 1
    stays = f"The checkpoint of epoch 1 after batch {done} stays: tinygrad-mnist train --resume"
    assert second == f"{stays} {tmp_path / 'run'} --data mine.npz --test-data test.npz"
    found = checkpoint.read(tmp_path / "run" / checkpoint.NEWEST)
    assert found.state.numbers["under_way"]["batch"] == done


def test_a_run_without_history_is_named(tmp_path):
    with pytest.raises(DataError, match=r"history\.json: cannot be read: No such file"):
        read_history(tmp_path)


def test_tutorials_are_not_written_below_a_file(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(UserFileError, match=r"cannot be written to: .*Name another folder\."):
        check.tutorials(tmp_path / "file" / "notebooks")
