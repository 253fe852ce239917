"""Full disks, killed processes, signals, pipes, locks: files are whole or absent, none is lost."""

import json
import os
import random
import re
import shlex
import signal
import stat
import subprocess
import sys
import textwrap
import time
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from faults import PowerCut, failing, unprivileged

from tinygrad_mnist import files
from tinygrad_mnist.cli.stop import StopOnSignal
from tinygrad_mnist.data import Dataset
from tinygrad_mnist.files import WriteError
from tinygrad_mnist.runs import RunFolderError, checkpoint, folder, resumed_run, run
from tinygrad_mnist.runs.checkpoint import Checkpoint
from tinygrad_mnist.training import DivergenceError, Recipe, Training, build_training
from tinygrad_mnist.training.state import take

COMMAND = [sys.executable, "-m", "tinygrad_mnist"]
SMALL = Recipe(name="small", hidden=(8,), epochs=3, batch_size=50, lr=0.1)
MINE = ["--data", "mine.npz", "--test-data", "mine.npz"]
TINY = ["train", *MINE]
TINY += ["--set", "hidden=[8]", "batch_size=50"]
RESUME = ["train", "--resume", "run", *MINE]
AGAIN = f"tinygrad-mnist {shlex.join(RESUME)}"


@pytest.fixture(scope="module")
def digits(mnist):
    images, labels = mnist
    return images[:300], labels[:300]


@pytest.fixture(autouse=True)
def in_a_folder_with_data(tmp_path, monkeypatch, digits):
    monkeypatch.chdir(tmp_path)
    images, labels = digits
    train = {"x_train": images[:250], "y_train": labels[:250]}
    test = {"x_test": images[250:], "y_test": labels[250:]}
    np.savez(tmp_path / "mine.npz", **train, **test)


def begin(script="", *arguments, **how):
    """A real process that runs the command, after some lines of Python."""
    imports = "import sys, time\nfrom tinygrad_mnist import cli, runs, training"
    lines = f"{imports}\n{textwrap.dedent(script)}\ncli.main(sys.argv[1:])"
    how = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True} | how
    return subprocess.Popen([sys.executable, "-c", lines, *arguments], **how)


def weights(name):
    return Path(name, "weights.npz").read_bytes()


def losses(name):
    return [epoch | {"seconds": 0} for epoch in json.loads(Path(name, "history.json").read_text())]


def go_on(training, until, on_batch=lambda *_: None, on_epoch=lambda _: None):
    training.run(on_batch=on_batch, on_epoch=on_epoch, should_stop=until)


def went_on(*_):
    pytest.fail("went on")


def files_of(name):
    return {path: path.read_bytes() for path in Path(name).iterdir()}


# ---------------------------------------------------------------- whole or not at all


def pieces(file):
    for piece in (b"new ", b"content ", b"in pieces"):
        file.write(piece)


@pytest.mark.parametrize("for_good", [False, True], ids=["disk full", "power cut"])
@pytest.mark.parametrize("before", [b"old", None])
def test_whatever_call_fails_the_old_or_the_new_file_is_there(tmp_path, before, for_good):
    path, outcomes = tmp_path / "run" / "metrics.json", []
    path.parent.mkdir()
    for call in range(100):
        if before is None:
            path.unlink(missing_ok=True)
        else:
            path.write_bytes(before)
        with failing(call, for_good) as calls, suppress(WriteError, PowerCut):
            files.write(path, pieces)
        if len(calls) <= call:
            break
        outcomes.append(path.read_bytes() if path.exists() else None)
        if for_good:
            with folder.locked(path.parent):
                pass
        left = {found.name for found in path.parent.iterdir()}
        assert left <= {"metrics.json"}, "something unfinished is left"
    assert call > 7
    assert set(outcomes) == {before, b"new content in pieces"}


@pytest.mark.parametrize("for_good", [False, True], ids=["disk full", "power cut"])
def test_whatever_call_fails_a_checkpoint_is_there(tmp_path, digits, for_good):
    old, new = (build_training(SMALL, Dataset.of(*digits)) for _ in range(2))
    go_on(new, until=lambda: True)
    states, found = [Checkpoint(SMALL, take(trained), {}, {}, {}) for trained in (old, new)], []
    for call in range(1000):
        for path in tmp_path.glob("checkpoint*"):
            path.unlink()
        checkpoint.save(tmp_path, states[0])
        with failing(call, for_good) as calls, suppress(WriteError, PowerCut):
            checkpoint.save(tmp_path, states[1])
        if len(calls) <= call:
            break
        found.append(checkpoint.load(tmp_path)[0].state.numbers["under_way"]["batch"])
    assert call > 20
    assert set(found) == {0, 1}


def test_a_disk_that_is_full_is_named(tmp_path):
    message = "file: cannot be written: No space left on device"
    with failing(3), pytest.raises(WriteError, match=message):
        files.write(tmp_path / "file", pieces)


def mode_of(path):
    return stat.S_IMODE(path.stat().st_mode)


@pytest.mark.parametrize("mode", [0o600, 0o664, 0o400])
def test_a_file_that_is_replaced_keeps_its_mode_and_shows_nothing_before(tmp_path, mode):
    path, modes = tmp_path / "file", []
    path.write_text("old")
    path.chmod(mode)
    files.write(path, lambda file: modes.append(mode_of(Path(file.name))))
    assert [*modes, mode_of(path)] == [mode, mode]


def test_a_new_file_has_its_permissions_from_the_umask_and_links_keep_pointing(tmp_path):
    before = os.umask(0o027)
    try:
        files.write(tmp_path / "file", "text")
    finally:
        os.umask(before)
    assert mode_of(tmp_path / "file") == 0o640
    (tmp_path / "link").symlink_to("file")
    files.write(tmp_path / "link", "new")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "file").read_text() == "new"


def test_what_a_killed_process_left_unfinished_is_cleared_away_and_nothing_else(tmp_path):
    (tmp_path / "figures").mkdir()
    stale = [
        tmp_path / ".checkpoint.npz.123.unfinished",
        tmp_path / "figures/.a.png.123.unfinished",
    ]
    (tmp_path / "deep").mkdir()
    others = ["unfinished", ".hidden", ".notes.txt.5.unfinished", ".config.toml.unfinished"]
    others += [".a.png.123.unfinished", "deep/.checkpoint.npz.123.unfinished"]
    kept = [tmp_path / name for name in others]
    for path in stale + kept:
        path.write_text("")
    with folder.locked(tmp_path):
        assert not any(path.exists() for path in stale)
        assert all(path.exists() for path in kept)


# ---------------------------------------------------------------- places that cannot be written to


def test_a_device_is_written_to_and_not_replaced(monkeypatch):
    monkeypatch.setattr(Path, "replace", lambda *_: pytest.fail("would replace the device"))
    message = "/dev/full: cannot be written: No space left on device"
    for _ in range(2):
        with pytest.raises(WriteError, match=message):
            files.write(Path("/dev/full"), "text")
        files.write(Path("/dev/null"), "text")
    assert stat.S_ISCHR(Path("/dev/full").stat().st_mode)
    assert stat.S_ISCHR(Path("/dev/null").stat().st_mode)


def test_a_read_only_folder_is_refused(tmp_path):
    (tmp_path / "closed").mkdir(mode=0o555)
    message = r"cannot be written to: Permission denied\. Choose another --out"
    with unprivileged():
        with pytest.raises(WriteError, match=message):
            run(SMALL, tmp_path / "closed" / "run")
        with pytest.raises(WriteError, match="file: cannot be written: Permission denied"):
            files.write(tmp_path / "closed" / "file", "text")


def test_other_impossible_places_are_named(tmp_path):
    (tmp_path / "file").write_text("")
    (tmp_path / "folder").mkdir()
    reasons = {
        "gone/file": "No such file or directory",
        "file/x": "Not a directory",
        "folder": "Is a directory",
    }
    for path, reason in reasons.items():
        with pytest.raises(WriteError, match=f"{path}: cannot be written: {reason}"):
            files.write(tmp_path / path, "text")
    with pytest.raises(WriteError, match="file: cannot be written to: File exists"):
        run(SMALL, tmp_path / "file")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "folder", "mine.npz"]


FULL = """
import resource, signal
def full(self, *at):
    _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, hard))
    return train(self, *at)
train, training.Training.step = training.Training.step, full
runs.job.SHARE = 1e9
"""


def test_a_disk_that_fills_up_ends_the_training_with_its_last_checkpoint(command, tmp_path):
    process = begin(FULL, *TINY, "epochs=1", "--out", "run")
    _, err = process.communicate(timeout=60)
    assert process.returncode == 2
    assert err.splitlines() == [
        "error: run/checkpoint.npz: cannot be written: File too large.",
        f"The checkpoint of epoch 1 after batch 0 stays: {AGAIN}",
    ]
    assert sorted(path.name for path in Path("run").iterdir()) == ["checkpoint.npz", "config.toml"]
    assert command(*RESUME)[0] == 0


def test_a_disk_that_is_full_from_the_beginning_leaves_nothing(tmp_path):
    script = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))"
    process = begin(script, *TINY, "--out", "run")
    _, err = process.communicate(timeout=60)
    assert process.returncode == 2
    assert err == "error: run/checkpoint.npz: cannot be written: File too large.\n"
    assert not Path("run").exists()


# ---------------------------------------------------------------- killed


LONG = [*TINY, "epochs=2000", "patience=2000", "dropout=0.2", "optimizer=adamw"]
LONG += ["nesterov=false", "schedule=constant", "lr=1e-5"]


def kill(within, *arguments):
    """Begin, with a checkpoint after every batch, and kill it at a random moment.

    Says whether it had not ended by itself.
    """
    script = "runs.job.SHARE = 1e9; print('ready', flush=True)"
    process = begin(script, *arguments, stderr=None)
    assert process.stdout.readline() == "ready\n"
    time.sleep(random.uniform(0, within))
    ended = process.poll()
    process.kill()
    process.communicate()
    assert ended in (0, None)
    return ended is None


@pytest.mark.slow
def test_killed_at_thirty_random_moments_of_a_training_it_always_goes_on_and_ends_the_same(
    command, tmp_path
):
    assert command(*LONG, "--out", "whole")[0] == 0
    reached = []
    for _ in range(30):
        begun = list(Path().glob("run/checkpoint*"))
        assert kill(0.5, *(RESUME if begun else [*LONG, "--out", "run"]))
        if begun:
            state = checkpoint.load(Path("run"))[0].state
            reached.append((len(state.arrays["history"]), state.numbers["under_way"]["batch"]))
    assert reached == sorted(reached), "something was lost"
    assert len(set(reached)) > 15
    assert command(*RESUME)[0] == 0
    assert (weights("run"), losses("run")) == (weights("whole"), losses("whole"))
    assert not list(Path("run").rglob(".*"))


@pytest.mark.slow
def test_killed_at_ten_random_moments_of_a_short_run_its_results_are_complete_in_the_end(
    command, tmp_path
):
    assert command(*TINY, "epochs=2", "--out", "whole")[0] == 0

    def names(folder):
        return sorted(str(path.relative_to(folder)) for path in Path(folder).rglob("*"))

    for name in map(str, range(10)):
        killed = kill(1.5, *TINY, "epochs=2", "--out", name)
        begun = list(Path(name).glob("checkpoint*"))
        again = ["train", "--resume", name, *MINE] if begun else [*TINY, "epochs=2", "--out", name]
        assert command(*again)[0] == 0
        assert killed or Path(name, "metrics.json").exists()
        assert (weights(name), losses(name)) == (weights("whole"), losses("whole"))
        assert names(name) == names("whole")


# ---------------------------------------------------------------- signals


CALM = """
def calm(self, rows):
    time.sleep(0.1)
    return train(self, rows)
train, training.Training.step = training.Training.step, calm
"""


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_finishes_the_batch_saves_and_says_how_to_go_on(command, number, code):
    settings = [*TINY, "epochs=12", "dropout=0.2"]
    process = begin(CALM, *settings, "--out", "run")
    assert process.stdout.readline().startswith("epoch")
    assert process.stdout.readline().split()[0] == "1"
    process.send_signal(number)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (code, "")
    said, _, again = out.splitlines()[-3:]
    assert re.fullmatch(r"Interrupted in epoch \d+ after batch \d of 5\.", said)
    assert again == AGAIN
    assert command(*RESUME)[0] == 0
    assert command(*settings, "--out", "whole")[0] == 0
    assert (weights("run"), losses("run")) == (weights("whole"), losses("whole"))


STUCK = """
def stuck(self, rows):
    print("stuck", flush=True)
    time.sleep(100)
training.Training.step = stuck
"""


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_second_signal_ends_it_at_once(number, code):
    process = begin(STUCK, *TINY, "--out", "run")
    assert process.stdout.readline() == "stuck\n"
    process.send_signal(signal.SIGINT)
    time.sleep(0.3)
    assert process.poll() is None
    process.send_signal(number)
    assert process.communicate(timeout=30)[1] == ""
    assert process.returncode == code
    assert not Path("run/.lock").exists()


def test_json_says_how_to_go_on_too(command, monkeypatch):
    def asked(self):
        self.requested = 2
        return True

    monkeypatch.setattr(StopOnSignal, "asked", asked)
    code, out, _ = command(*TINY, "--json", "--out", "a b")
    again = AGAIN.replace("run", "'a b'")
    assert (code, json.loads(out)["resume"]) == (130, again)


def test_signals_are_as_before_after_a_training(command):
    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    assert command(*TINY, "epochs=1")[0] == 0
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == before


# ---------------------------------------------------------------- one trainer a folder


def test_a_second_trainer_is_refused_and_the_first_not_disturbed(command):
    process = begin(STUCK, *TINY, "epochs=1", "--out", "run")
    assert process.stdout.readline() == "stuck\n"
    before = files_of("run")
    said = f"process {process.pid} is training there. Wait until it ends, or choose another folder"
    assert command("train", "--resume", "run") == (2, "", f"error: run: {said}.\n")
    said = "not empty. Nothing is overwritten: choose another --out, or continue with --resume"
    assert command(*TINY, "--out", "run") == (2, "", f"error: run: {said}.\n")
    assert files_of("run") == before
    process.kill()
    process.communicate()
    assert Path("run/.lock").exists()
    assert command(*RESUME)[0] == 0, "the lock of a dead process holds"
    assert not Path("run/.lock").exists()


@pytest.mark.parametrize(
    "content",
    ["", "999999999", str(os.getpid()), "1", "\x00garbage"],
    ids=["empty", "nobody's", "our own", "init's", "garbage"],
)
def test_a_lock_that_nobody_holds_is_taken_over_whatever_is_in_it(tmp_path, content):
    (tmp_path / ".lock").write_text(content)
    with folder.locked(tmp_path):
        assert (tmp_path / ".lock").read_text() == f"{os.getpid()}\n"
    assert not (tmp_path / ".lock").exists()


def test_a_lock_that_its_holder_has_just_removed_is_no_lock(tmp_path, monkeypatch):
    lock, removed = folder.fcntl.flock, []

    def late(descriptor, how):
        if not removed:
            removed.append((tmp_path / ".lock").unlink())
        lock(descriptor, how)

    monkeypatch.setattr(folder.fcntl, "flock", late)
    with (
        folder.locked(tmp_path),
        pytest.raises(RunFolderError, match=f"process {os.getpid()} is training there"),
        folder.locked(tmp_path),
    ):
        pass


# ---------------------------------------------------------------- standard output that goes nowhere


@pytest.fixture(params=["", "1"], ids=["buffered", "unbuffered"])
def environment(request):
    return os.environ | {"PYTHONUNBUFFERED": request.param}


def test_a_broken_pipe_is_silent(environment):
    process = begin("", "recipes", env=environment)
    process.stdout.close()
    with process.stderr as err:
        assert err.read() == ""
    assert process.wait(60) == 141


def test_training_into_a_broken_pipe_saves_and_is_silent(environment):
    training = shlex.join([*COMMAND, *TINY, "epochs=5000", "--out", "run"])
    pipe = ["bash", "-c", f"{training} | head -1; exit ${{PIPESTATUS[0]}}"]
    how = {"env": environment, "capture_output": True, "text": True, "timeout": 60}
    done = subprocess.run(pipe, check=False, **how)
    assert (done.returncode, done.stderr) == (141, "")
    assert done.stdout.startswith("epoch")
    mine = {"data": Path("mine.npz"), "test_data": Path("mine.npz")}
    with resumed_run(Path("run"), files=mine) as again:
        assert again.training.history or again.training.under_way.batch


def test_a_full_standard_output_is_said_in_one_line(environment):
    with Path("/dev/full").open("w") as full:
        how = {"stdout": full, "stderr": subprocess.PIPE, "text": True, "env": environment}
        done = subprocess.run([*COMMAND, "recipes"], check=False, **how)
    assert (done.returncode, done.stderr) == (2, "error: [Errno 28] No space left on device\n")


# ---------------------------------------------------------------- divergence


def diverge(digits, spoil, recipe=SMALL):
    """Train; after three steps, spoil something."""
    trained = build_training(recipe, Dataset.of(*digits))
    go_on(trained, until=iter([False, False, True]).__next__)
    spoil(trained)
    with pytest.raises(DivergenceError) as caught:
        go_on(trained, until=lambda: False, on_batch=went_on)
    return str(caught.value)


def huge_weights(model):
    model[2].weight.data[:] = 3e38


def infinite_gradient(model):
    model[2].weight.grad.data[0, 0] = np.inf
    model[2].weight.data[0, 0] = np.inf


def unknown_weight(model):
    model[0].weight.data[300, 0] = np.nan


@pytest.mark.parametrize(
    ("spoil", "layer"),
    [
        (huge_weights, "the output of layer 2 (Linear)"),
        (infinite_gradient, "the weight's gradient of layer 2 (Linear)"),
        (unknown_weight, "the weight of layer 0 (Linear)"),
    ],
)
def test_divergence_names_place_layer_rate_gradient_and_way_out(digits, spoil, layer):
    message = diverge(digits, lambda trained: spoil(trained.model))
    norm = "inf" if spoil is infinite_gradient else r"\d\.\d+"
    expected = (
        r"The loss became (nan|inf) in epoch 1, batch 4, at learning rate 0\.1\. "
        rf"First not finite: {re.escape(layer)}\. "
        rf"The gradient of the step before had norm {norm}\. Try a smaller lr, such as 0\.01\."
    )
    assert re.fullmatch(expected, message), message


def test_a_loss_too_large_for_its_type_is_told_from_layers(digits):
    def spoil(trained):
        trained.model[2].weight.data *= np.float32(1e38)

    message = diverge(digits, spoil)
    assert "became inf in epoch 1, batch 4, at learning rate 0.1. " in message
    assert " Every layer's output was finite, only their loss was not. " in message


def test_validation_that_diverges_is_named_too(digits):
    trained = build_training(SMALL, Dataset.of(*digits))
    go_on(trained, until=lambda: trained.under_way.batch == 6)
    unknown_weight(trained.model)
    place, layer = "in epoch 1, batch 6, ", r"the weight of layer 0 \(Linear\)"
    with pytest.raises(DivergenceError, match=f"validation loss became nan {place}.* {layer}"):
        go_on(trained, until=lambda: False, on_epoch=went_on)


def test_a_step_that_spoils_the_weights_is_never_saved(digits, tmp_path, monkeypatch):
    monkeypatch.setattr("tinygrad_mnist.runs.job.SHARE", 1e9)
    monkeypatch.setattr("tinygrad_mnist.runs.sets.load_mnist", lambda how: digits)
    step = Training.step

    def spoiled(self, rows):
        step(self, rows)
        if self.epoch == 2:
            self.model[0].weight.data[0, 0] = np.nan

    monkeypatch.setattr(Training, "step", spoiled)
    with pytest.raises(DivergenceError) as caught:
        run(SMALL, tmp_path / "run")
    first, second = str(caught.value).splitlines()
    assert first.startswith(
        "The weights became infinite or NaN in epoch 2, batch 1, at learning rate 0.1. "
        "First not finite: the weight of layer 0"
    )
    advice = f"tinygrad-mnist train --resume {tmp_path / 'run'} --override lr=0.01"
    assert second == f"The checkpoint of epoch 1 after batch 6 stays: {advice}"
    saved = checkpoint.load(tmp_path / "run")[0].state
    assert saved.numbers["under_way"]["batch"] == 6
    assert np.isfinite(saved.arrays["model.0.weight"]).all()


def test_the_way_out_of_a_divergence_leads_out(command):
    arguments = [*TINY, "hidden=[16, 16]", "lr=1e4"]
    code, _, err = command(*arguments, "--out", "run")
    assert (code, len(err.splitlines())) == (3, 2)
    for _ in range(8):
        advice = err.split(" stays: tinygrad-mnist ")[1].split()
        code, _, err = command(*advice)
        if code == 0:
            break
        assert code == 3
    assert code == 0
    assert not Path("run/checkpoint.previous.npz").exists()
