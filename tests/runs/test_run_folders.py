"""A run folder holds files of its own: links are not followed, and other people's files stay."""

import ast
import os
import shutil
import socket
import stat
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from faults import PowerCut, failing

from tinygrad_mnist import files, nn, runs
from tinygrad_mnist.autodiff import op
from tinygrad_mnist.runs import (
    Own,
    RunFolderError,
    entries,
    find_run,
    folder,
    load_trained,
    new_run,
    resumed_run,
    run,
)
from tinygrad_mnist.training import Recipe
from tinygrad_mnist.training.build import with_own

SMALL = Recipe(name="small", hidden=(4,), epochs=1, batch_size=60, schedule="constant", lr=0.1)
FILES = [*sorted(entries.NAMES - {"figures"}), "figures/curves.png"]


@pytest.fixture
def finished(small_runs):
    run(SMALL, Path("run"))
    return Path("run")


@pytest.fixture
def outside(small_runs):
    """A file of somebody else."""
    path = Path("outside")
    path.write_text("precious")
    return path


def contents(place):
    """What a folder holds, to the last bit, with nothing followed."""
    found = {}
    for path in sorted(place.rglob("*")):
        status = path.lstat()
        content = path.read_bytes() if stat.S_ISREG(status.st_mode) else None
        found[path] = (status.st_mode, status.st_mtime_ns, status.st_ino, content)
    return found


# ---------------------------------------------------------------- links


def a_socket(path, outside):
    here = Path.cwd()
    os.chdir(path.parent)  # the names of sockets are short
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(path.name)
    os.chdir(here)


def a_device(path, outside):
    try:
        os.mknod(path, stat.S_IFCHR | 0o666, os.makedev(1, 3))
    except OSError:
        pytest.skip("only the administrator makes devices")


KINDS = {
    "a symbolic link": lambda path, outside: path.symlink_to(outside.absolute()),
    "a symbolic link to nothing": lambda path, outside: path.symlink_to("/gone/away"),
    "a symbolic link to a folder": lambda path, outside: path.symlink_to(outside.parent.absolute()),
    "a file that has another name too": lambda path, outside: path.hardlink_to(outside),
    "a pipe": lambda path, outside: os.mkfifo(path),
    "a socket": a_socket,
    "a device": a_device,
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", [*FILES, "figures"])
def test_what_leads_out_of_a_run_folder_is_refused_and_nothing_is_touched(
    finished, outside, name, kind
):
    path = finished / name
    if path.is_dir():
        shutil.rmtree(path)
    path.unlink(missing_ok=True)
    KINDS[kind](path, outside)
    before = contents(Path())
    for use in (resumed(finished), find_run, load_trained):
        with pytest.raises(RunFolderError) as caught:
            use(finished)
        assert str(caught.value).startswith(f"{path}: {kind.split(' to ')[0]}")
        assert "nothing is followed" in str(caught.value)
    assert contents(Path()) == before


def resumed(place):
    def go_on(_):
        with resumed_run(place, overrides=["epochs=2"]) as again:
            again.complete()

    return go_on


@pytest.mark.parametrize("kind", ["a symbolic link", "a file that has another name too", "a pipe"])
def test_a_lock_that_leads_elsewhere_is_refused_in_a_new_folder_too(outside, kind):
    Path("new").mkdir()
    KINDS[kind](Path("new/.lock"), outside)
    before = contents(Path())
    with pytest.raises(RunFolderError, match=rf"new/\.lock: {kind}"):
        run(SMALL, Path("new"))
    assert contents(Path()) == before


def test_every_name_that_is_written_to_a_run_folder_is_known(command, finished):
    pytest.importorskip("onnx")
    for asked in ("predict run --test 0", "export run --format onnx", "export run --ancestor"):
        assert command(*asked.split())[::2] == (0, "")
    assert {path.name for path in finished.iterdir()} <= entries.NAMES
    assert {path.suffix for path in (finished / "figures").iterdir()} == {".png"}


# ---------------------------------------------------------------- the program in the report


def test_the_report_has_the_program_of_the_trained_network(finished):
    report = (finished / "report.html").read_text()
    assert "\nZ1 = linear(X, W1, b1) " in report
    assert "\ndW1 = X.mT @ dZ1 " in report


@op
def doubled(x):
    """An op whose rule works on arrays only."""
    return 2 * x


doubled.vjp(lambda g, out, x: 2 * np.add.reduce([g], out=np.empty_like(g)))


class OnArrays(nn.Linear):
    """A network that can be trained, and not be printed."""

    def forward(self, x):
        return doubled(super().forward(x))


def test_a_report_does_without_the_program_of_a_network_that_has_none(small_runs):
    recipe = with_own(SMALL, OnArrays, None)
    run(recipe, Path("own"), own=Own(OnArrays))
    assert "<h2>Network</h2>" in (Path("own") / "report.html").read_text()
    assert "<h2>Program</h2>" not in (Path("own") / "report.html").read_text()


@pytest.mark.parametrize("name", [name for name in FILES if not name.startswith("predictions")])
def test_a_link_that_is_made_during_a_training_is_not_written_through(outside, name):
    with new_run(SMALL, Path("new")) as new, suppress(RunFolderError):
        link = Path("new", name)
        link.parent.mkdir(exist_ok=True)
        link.unlink(missing_ok=True)
        link.symlink_to(outside.absolute())
        new.complete()
    assert outside.read_text() == "precious"


def test_figures_are_not_drawn_into_another_folder(small_runs):
    Path("elsewhere").mkdir()
    with new_run(SMALL, Path("new")) as new, pytest.raises(RunFolderError, match="new/figures: a"):
        Path("new/figures").symlink_to(Path("elsewhere").absolute())
        new.complete()
    assert list(Path("elsewhere").iterdir()) == []


def test_a_file_in_place_of_the_folder_of_figures_is_named(small_runs):
    with new_run(SMALL, Path("new")) as new, pytest.raises(RunFolderError, match="be made: File"):
        Path("new/figures").write_text("")
        new.complete()


def test_a_run_folder_may_itself_be_a_link_that_the_user_names(finished):
    Path("latest").symlink_to("run")
    resumed(Path("latest"))(None)
    assert find_run(Path("latest")) == Path("latest")
    assert Path("latest").is_symlink()


def test_a_name_that_a_link_has_already_is_not_free(small_runs):
    Path("runs").mkdir()
    Path("runs/small").symlink_to("/gone/away")
    assert runs.free_folder("small") == Path("runs/small-2")


ON_DISK = {"open", "read_text", "read_bytes", "write_text", "write_bytes"}
OPENING = {
    "folder.py": {"open"},  # the lock
    "trained.py": {"open"},  # weights that a user names
    "kept.py": {"read_text"},  # beside the file that a user names, in no run folder
}


def test_files_of_runs_are_opened_and_written_in_one_place_only():
    for path in Path(runs.__file__).parent.glob("*.py"):
        text = path.read_text()
        calls = [node.func for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Call)]
        names = {call.attr for call in calls if isinstance(call, ast.Attribute)}
        if path.name != "entries.py":
            assert "files import write" not in text or path.name == "kept.py", path
            assert names & ON_DISK <= OPENING.get(path.name, set()), path


# ---------------------------------------------------------------- permissions


def test_a_run_that_goes_on_keeps_the_permissions_of_its_files(finished):
    paths = [path for path in finished.rglob("*") if path.is_file()]
    for path in paths:
        path.chmod(0o600)
    resumed(finished)(None)
    assert {stat.S_IMODE(path.stat().st_mode) for path in paths} == {0o600}


# ---------------------------------------------------------------- folders of others


@pytest.fixture
def parent(finished):
    """A folder of somebody, with notes in it and below it a training under way."""
    Path("home/deep/run").mkdir(parents=True)
    finished.rename("home/run")
    for name in ("home", "home/run", "home/deep/run"):
        for left in (".lock", ".checkpoint.npz.1.unfinished", ".thesis.tex.2.unfinished"):
            Path(name, left).write_text("1\n")
    return Path("home")


def test_a_folder_that_is_no_run_is_refused_and_nothing_in_or_below_it_changes(command, parent):
    before = contents(parent)
    for asked in ("--out home", "--resume home", "--resume home/deep", "--out home/deep"):
        code, out, err = command("train", "default", *asked.split())
        assert (code, out, len(err.splitlines())) == (2, "", 1)
    assert contents(parent) == before


@pytest.mark.parametrize("name", ["checkpoint.npz", "checkpoint.previous.npz"])
def test_a_file_of_others_called_checkpoint_does_not_make_a_run(parent, name):
    np.savez(parent / name, weights=np.ones(3))
    before = contents(parent)
    with pytest.raises(ValueError, match=r"checkpoint(\.previous)?\.npz: "):
        resumed(parent)(None)
    assert contents(parent) == before


def test_a_checkpoint_among_files_of_others_does_not_make_a_run(parent):
    shutil.copy(parent / "run/checkpoint.npz", parent)
    before = contents(parent)
    with pytest.raises(RunFolderError, match=r"there is no config\.toml in it, but '\.thesis\.te"):
        resumed(parent)(None)
    assert contents(parent) == before


def test_a_file_that_a_training_below_is_writing_is_left_to_it(small_runs):
    with new_run(SMALL, Path("home/run")):
        writing = Path("home/run/.checkpoint.npz.1.unfinished")
        writing.write_text("half")
        with pytest.raises(RunFolderError, match="home: not empty"):
            run(SMALL, Path("home"))
        assert writing.read_text() == "half"


def test_an_empty_folder_of_the_user_stays_when_nothing_gets_into_it(small_runs):
    Path("mine").mkdir()
    for name in ("mine", "made"):
        with pytest.raises(ZeroDivisionError), new_run(SMALL, Path(name)):
            _ = 1 / 0
    assert (Path("mine").exists(), Path("made").exists()) == (True, False)


def test_a_lock_of_others_is_not_emptied(small_runs):
    Path("new").mkdir()
    Path("new/.lock").write_text("the process of another program: 123456789")
    before = contents(Path("new"))
    with pytest.raises(RunFolderError, match=r"new/\.lock: too long for the lock of a training"):
        run(SMALL, Path("new"))
    assert contents(Path("new")) == before


def test_a_lock_that_somebody_else_has_by_now_is_not_removed(small_runs):
    with folder.locked(Path()):
        Path(".lock").unlink()
        Path(".lock").write_text("7\n")
    assert Path(".lock").read_text() == "7\n"


def test_a_training_killed_before_its_first_checkpoint_can_begin_again(small_runs):
    for call in range(1000):
        with failing(call, for_good=True, every_piece=False) as calls, suppress(PowerCut):
            run(SMALL, Path(str(call)))
        if len(calls) <= call or list(Path(str(call)).glob("checkpoint.npz")):
            break
        run(SMALL, Path(str(call)))
    assert 5 < call < 40
    assert files.UNFINISHED not in str(list(Path().rglob("*")))
