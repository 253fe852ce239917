"""Other systems than this one, as far as they can be imitated: names, shells, signals, pipes."""

import errno
import importlib
import os
import shlex
import signal
from pathlib import Path

import pytest

from tinygrad_mnist.cli import stop, streams
from tinygrad_mnist.cli.app import make_room
from tinygrad_mnist.words import file_name, quoted

RESERVED = [
    "CON", "con", "nul", "NUL.txt", "aux.tar.gz", "COM1", "lpt9.toml", "CONOUT$", "nul ", "prn .x",
    "a.", "a ", "a. .", ".hidden", " a", "a<b", "a>b", "a:b", 'a"b', "a|b", "a?b", "a*b", "a/b",
    "a\\b", "..", ".", "", " ", "a\nb", "a\x1bb", "\u202ea", "\udcff",
]  # fmt: skip
NO_NAMES = {"con", "prn", "aux", "nul", "com1", "lpt9", "conout$"}


@pytest.mark.parametrize("text", RESERVED)
def test_a_text_of_others_becomes_a_file_name_on_every_system(text):
    name = file_name(text)
    assert name == name.strip(" .")
    assert name.isprintable()
    assert not set(name) & set('<>:"/\\|?*')
    assert name.split(".")[0].strip().lower() not in NO_NAMES | {""}


@pytest.mark.parametrize("text", ["default", "seed-a", "my run 2", "v1.5", "console", "nullable"])
def test_an_ordinary_name_stays_as_it_is(text):
    assert file_name(text) == text


def test_a_recipe_that_is_called_like_a_device_gets_another_folder(command, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("r.toml").write_text('name = "nul"\nepochs = 1\nhidden = []\nexamples = 100\n')
    assert command("train", "r.toml")[0] == 0
    assert [path.name for path in Path("runs").iterdir()] == ["_nul"]


AWKWARD = ["a b", "a&b", "a|b", "a^b", "$(a)", "a;b", "a'b", "(a)", "100%"]


@pytest.mark.parametrize("text", AWKWARD)
def test_a_word_is_quoted_for_the_shell_of_the_system(text, monkeypatch):
    assert shlex.split(quoted(text)) == [text]
    with monkeypatch.context() as windows:
        windows.setattr(os, "name", "nt")
        assert quoted(text) == f'"{text}"'
        assert quoted("C:\\runs\\default-2") == "C:\\runs\\default-2"


@pytest.mark.parametrize("system", [("SIGINT",), ("SIGINT", "SIGTERM", "SIGBREAK")])
def test_a_training_stops_on_the_signals_that_there_are(system, monkeypatch):
    for name in ("SIGINT", "SIGTERM", "SIGBREAK"):
        monkeypatch.delattr(signal, name, raising=False)
    for number, name in enumerate(system, 1):
        monkeypatch.setattr(signal, name, number, raising=False)
    try:
        assert tuple(range(1, len(system) + 1)) == importlib.reload(stop).StopOnSignal.SIGNALS
    finally:
        monkeypatch.undo()
        importlib.reload(stop)


@pytest.mark.skipif(not Path("/dev/null").exists(), reason="there are no devices in this system")
def test_beside_a_device_nothing_is_made_or_tried(monkeypatch, tmp_path):
    monkeypatch.setattr("tinygrad_mnist.files.prepare", lambda folder: pytest.fail("tried"))
    make_room(Path("/dev/null"))
    with pytest.raises(pytest.fail.Exception, match="tried"):
        make_room(tmp_path / "new" / "file.csv")


def test_a_pipe_without_a_reader_is_known_on_windows_too(monkeypatch):
    error = OSError(errno.EINVAL, "Invalid argument")
    assert not streams.nobody_reads(error)
    monkeypatch.setattr(os, "name", "nt")
    assert streams.nobody_reads(error)
    assert not streams.nobody_reads(OSError(errno.ENOSPC, "No space"))
