"""Windows, as far as another system can tell: names, commands, files in use, signals, pipes."""

import errno
import os
import shlex
import signal
import string
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinygrad_mnist import files, portable, runs, starter
from tinygrad_mnist.cli.stop import BROKEN_PIPE, StopOnSignal
from tinygrad_mnist.files import WriteError, prepare, refuse_names, write
from tinygrad_mnist.training import Recipe

PACKAGE = Path(portable.__file__).parent
IMPOSSIBLE = [
    "CON", "prn.txt", "Aux.tar.gz", "nul", "COM1", "lpt9.csv", "com¹", "CONIN$", "aux .csv",
    "ends.", "ends ", "a<b", "a>b", "a:b", 'a"b', "a|b", "a?b", "a*b", "a\\b", "a\nb", "a\0b",
]  # fmt: skip
NAMES = [
    "console",
    "com10",
    "lpt",
    "auxiliary.csv",
    "my.con",
    "seed a",
    "größe",
    ".hidden",
    "a.b.c",
]


@pytest.fixture
def windows(monkeypatch):
    """What the package does on Windows, without its files."""
    monkeypatch.setattr(portable, "WINDOWS", True)


# ---------------------------------------------------------------- names


@pytest.mark.parametrize("name", IMPOSSIBLE)
@pytest.mark.parametrize("make", [lambda path: write(path, b""), prepare])
def test_a_name_that_windows_cannot_have_is_refused_and_nothing_is_made(tmp_path, make, name):
    for path in (tmp_path / name, tmp_path / name / "deeper"):
        with pytest.raises(WriteError, match="is no name for a file or folder on Windows") as error:
            make(path)
        assert portable.fault(name) in str(error.value)
        assert str(error.value).isprintable()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", NAMES)
def test_other_names_are_taken_as_they_are(tmp_path, name):
    write(tmp_path / name, b"there")
    assert (tmp_path / name).read_bytes() == b"there"
    assert portable.possible(name) == name


def test_a_folder_that_somebody_has_already_may_be_called_anything(tmp_path):
    place = tmp_path / "4: aux" / "aux"
    place.mkdir(parents=True)
    write(place / "file", b"there")
    refuse_names(tmp_path / "new" / ".." / "other")
    assert (place / "file").read_bytes() == b"there"


@pytest.mark.parametrize(
    "arguments",
    [("train", "--out", "runs/aux"), ("reproduce", "--out", "con.json"), ("new", "nul"),
     ("tutorials", "books."), ("log", "--csv", "sevens?.csv"), ("predict", "run", "--db", "prn.db"),
     ("predict", "run", "--show", "a:b.png")],
    ids=lambda arguments: arguments[0] + arguments[-2],
)  # fmt: skip
def test_commands_refuse_such_a_name_before_they_do_anything(
    command, tmp_path, monkeypatch, arguments
):
    monkeypatch.chdir(tmp_path)
    code, out, err = command(*arguments)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert "is no name for a file or folder on Windows" in err
    assert list(tmp_path.iterdir()) == []


def test_export_refuses_such_a_name(command, tmp_path, monkeypatch):
    artifact = PACKAGE.parent / "artifacts" / "default"
    monkeypatch.chdir(tmp_path)
    code, _, err = command("export", str(artifact), "--out", "aux.npz")
    assert (code, err) == (
        2,
        (
            "error: 'aux.npz' is no name for a file or folder on Windows: AUX is a device there. "
            "Choose another, so that the result can be opened everywhere.\n"
        ),
    )
    assert list(tmp_path.iterdir()) == []


@given(st.from_regex(r"\w[\w .-]{0,59}", fullmatch=True) | st.sampled_from(IMPOSSIBLE))
def test_a_folder_named_after_a_recipe_can_stand_everywhere(name):
    found = portable.possible(name)
    assert found
    assert portable.fault(found) == portable.fault(f"{found}-2") == ""


def test_a_run_of_a_recipe_called_like_a_device_gets_a_folder_beside_it(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    name = Recipe(name="Aux", description="").name
    assert runs.free_folder(name) == Path("runs/run-Aux")
    Path("runs/run-Aux").mkdir(parents=True)
    assert runs.free_folder(name) == Path("runs/run-Aux-2")


def test_every_name_in_the_starting_point_and_in_a_run_can_stand_everywhere():
    run = (path.name for path in (PACKAGE.parent / "artifacts").rglob("*"))
    parts = {part for name in starter.starting_point() for part in name.split("/")}
    assert {name: portable.fault(name) for name in {*run, *parts} if portable.fault(name)} == {}


# ---------------------------------------------------------------- a file that is in use


def in_use(times, number):
    """A stand-in for `Path.replace` that is refused so many times, as Windows refuses."""
    replace, calls = Path.replace, []

    def refused(path, target):
        calls.append(target)
        if len(calls) <= times:
            error = PermissionError(errno.EACCES, "in use")
            error.winerror = number
            raise error
        return replace(path, target)

    return refused, calls


@pytest.mark.parametrize("number", files.IN_USE)
def test_a_file_that_another_program_has_open_is_replaced_when_it_is_closed(
    tmp_path, monkeypatch, number
):
    (tmp_path / "file").write_bytes(b"old")
    refused, calls = in_use(3, number)
    monkeypatch.setattr(Path, "replace", refused)
    write(tmp_path / "file", b"new", keep=tmp_path / "previous")
    assert len(calls) == 5
    assert (tmp_path / "file").read_bytes() == b"new"


def test_one_that_stays_open_is_left_as_it_was_after_two_seconds(tmp_path, monkeypatch):
    (tmp_path / "file").write_bytes(b"old")
    slept, (refused, _) = [0.0], in_use(1000, 32)
    monkeypatch.setattr(Path, "replace", refused)
    monkeypatch.setattr("time.sleep", slept.append)
    monkeypatch.setattr("time.monotonic", lambda: sum(slept))
    with pytest.raises(WriteError, match="cannot be written: in use"):
        write(tmp_path / "file", b"new")
    assert sum(slept) == pytest.approx(files.PATIENCE, abs=2 * files.PAUSE)
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [b"old"]


@pytest.mark.parametrize("number", [None, 19])
def test_a_file_that_may_not_be_written_is_no_such_case(tmp_path, monkeypatch, number):
    refused, calls = in_use(1000, number)
    monkeypatch.setattr(Path, "replace", refused)
    with pytest.raises(WriteError):
        write(tmp_path / "file", b"new")
    assert len(calls) == 1


# ---------------------------------------------------------------- commands


SHELL = string.ascii_letters + string.digits + " \"'\\&|<>^%$;()!`*?~#@+=:,./-_é\t"


@given(st.text(SHELL))
def test_elsewhere_a_command_is_quoted_as_its_shell_reads_it(text):
    assert shlex.split(f"cd {portable.quoted(text)}") == ["cd", text]


@given(st.text(SHELL))
def test_on_windows_a_program_gets_back_what_was_quoted(text):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(portable, "WINDOWS", True)
        found = portable.quoted(text)
    as_python = subprocess.list2cmdline([f" {text}"])  # with a space, so that it is quoted
    plain = portable.PLAIN.fullmatch(text)
    assert found == (text if plain else as_python.replace('" ', '"', 1))


def test_on_windows_commands_have_double_quotes_and_plain_paths_none(windows):
    assert portable.quoted(r"C:\runs\seed-a") == r"C:\runs\seed-a"
    assert runs.resume_command(Path("my folder")) == (
        'tinygrad-mnist train --resume "my folder"'
    )  # fmt: skip


def test_no_command_is_quoted_for_one_shell_only():
    users = {path.name for path in PACKAGE.rglob("*.py") if "shlex" in path.read_text("utf-8")}
    assert users == {"portable.py", "model_card.py"}  # a card is read on any system, and says sh


# ---------------------------------------------------------------- signals and pipes


def test_ctrl_break_asks_a_training_to_stop_where_there_is_one(monkeypatch):
    monkeypatch.setattr(signal, "SIGBREAK", signal.SIGURG, raising=False)
    before = signal.getsignal(signal.SIGURG)
    with StopOnSignal() as stop:
        assert not stop.asked()
        signal.raise_signal(signal.SIGURG)
        assert stop.requested == signal.SIGURG
    assert signal.getsignal(signal.SIGURG) == before


def closed_pipe(*_):
    raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))


def test_a_reader_that_is_gone_is_a_request_to_stop_on_windows_too(windows):
    stop = StopOnSignal()
    stop.guard(closed_pipe)("epoch 1")
    assert stop.requested == BROKEN_PIPE


def test_elsewhere_the_same_error_is_another_one_and_told():
    stop = StopOnSignal()
    with pytest.raises(OSError, match="Invalid argument"):
        stop.guard(closed_pipe)("epoch 1")
    assert not stop.asked()


def test_a_list_whose_reader_is_gone_ends_quietly_on_windows(command, monkeypatch, windows):
    monkeypatch.setattr("tinygrad_mnist.cli.exits.discard_output", lambda: None)
    monkeypatch.setattr("tinygrad_mnist.training.recipe_names", closed_pipe)
    assert command("recipes") == (128 + BROKEN_PIPE, "", "")
