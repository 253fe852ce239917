"""Windows, as far as another system can tell: names that are refused, files in use, commands."""

import errno
import os
import shlex
import string
import subprocess
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tinygrad_mnist import files, runs, starter
from tinygrad_mnist.cli.stop import BROKEN_PIPE, StopOnSignal
from tinygrad_mnist.files import WriteError, prepare, refuse_names, write
from tinygrad_mnist.words import fault, file_name, quoted

PACKAGE = Path(files.__file__).parent
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


# ---------------------------------------------------------------- names


@pytest.mark.parametrize("name", IMPOSSIBLE)
@pytest.mark.parametrize("make", [lambda path: write(path, b""), prepare])
def test_a_name_that_windows_cannot_have_is_refused_and_nothing_is_made(tmp_path, make, name):
    for path in (tmp_path / name, tmp_path / name / "deeper"):
        with pytest.raises(WriteError, match="is no name for a file or folder on Windows") as error:
            make(path)
        assert fault(name) in str(error.value)
        assert str(error.value).isprintable()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", NAMES)
def test_other_names_are_taken_as_they_are(tmp_path, name):
    write(tmp_path / name, b"there")
    assert (tmp_path / name).read_bytes() == b"there"


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


@given(st.text(max_size=60) | st.sampled_from(IMPOSSIBLE))
def test_a_name_of_ours_is_never_refused(text):
    found = file_name(text)
    assert fault(found) == fault(f"{found}-2") == ""


def test_every_name_in_the_starting_point_and_in_a_run_can_stand_everywhere():
    run = (path.name for path in (PACKAGE.parent / "artifacts").rglob("*"))
    parts = {part for name in starter.starting_point() for part in name.split("/")}
    assert {name: fault(name) for name in {*run, *parts} if fault(name)} == {}


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
@example("my folder\\")
@example('say \\"so\\"')
def test_a_program_gets_back_what_was_quoted(text):
    with pytest.MonkeyPatch.context() as windows:
        windows.setattr(os, "name", "nt")
        found = quoted(text)
    as_python = subprocess.list2cmdline([f" {text}"])  # with a space, so that it is quoted
    assert found in (text, as_python.replace('" ', '"', 1))
    assert shlex.split(f"cd {quoted(text)}") == ["cd", text]


def test_how_to_go_on_is_quoted_for_the_shell_of_the_system(monkeypatch):
    monkeypatch.setattr("tinygrad_mnist.runs.folder.quoted", lambda text: f"<{text}>")
    said = runs.resume_command(Path("my folder"), files={"test_data": "my file"})
    assert said == "tinygrad-mnist train --resume <my folder> --test-data <my file>"


def test_no_command_is_quoted_for_one_shell_only():
    users = {path.name for path in PACKAGE.rglob("*.py") if "shlex" in path.read_text("utf-8")}
    assert users == {"words.py", "model_card.py"}  # a card is read on any system, and says sh


# ---------------------------------------------------------------- pipes


def closed_pipe(*_):
    raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))


def test_a_reader_that_is_gone_is_a_request_to_stop_on_windows_too(monkeypatch):
    stop = StopOnSignal()
    monkeypatch.setattr(os, "name", "nt")
    stop.guard(closed_pipe)("epoch 1")
    assert stop.requested == BROKEN_PIPE


def test_elsewhere_the_same_error_is_another_one_and_told():
    stop = StopOnSignal()
    with pytest.raises(OSError, match="Invalid argument"):
        stop.guard(closed_pipe)("epoch 1")
    assert not stop.asked()
