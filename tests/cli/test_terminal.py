"""Streams, terminals and environments of others: no traceback, no forged line, no lost work."""

import os
import shlex
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
import zipfile
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

import tinygrad_mnist
from tinygrad_mnist.cli import streams
from tinygrad_mnist.cli.exits import fail
from tinygrad_mnist.data import DataError

COMMAND = [sys.executable, "-m", "tinygrad_mnist"]
TINY = shlex.split("train --data mine.npz --test-data test.npz --set epochs=1 hidden=[4]")
HOSTILE = "a\x1b[2Jb\x07c\nerror: all is lost\rd\u202eetats\u2066\udcfff"


@pytest.fixture(autouse=True)
def in_a_folder_with_images(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    for name in ("mine.npz", "test.npz"):
        images = rng.integers(0, 256, (40, 784), dtype=np.uint8)
        np.savez(name, images=images, labels=np.arange(40) % 10)


def bash(script, **environment):
    """What a shell makes of a script in which $T is the command."""
    names = {"T": shlex.join(COMMAND), **environment}
    env = {key: value for key, value in (os.environ | names).items() if value is not None}
    call = ["bash", "-c", script.replace("$T", names["T"])]
    return subprocess.run(call, env=env, capture_output=True, check=False, timeout=120)


# ---------------------------------------------------------------- texts of others


def test_a_line_stays_one_line_of_bounded_length_that_a_terminal_can_be_shown(capsys):
    streams.say(HOSTILE, "x" * 10_000)
    streams.tell(HOSTILE)
    said = capsys.readouterr()
    first, second = said.out.splitlines()
    assert first == "a?[2Jb?c?error: all is lost?d?etats??f"
    assert len(second) == streams.LONGEST
    assert said.err == f"{first}\n"


@pytest.mark.parametrize("asked", ["evaluate", "predict run", "log", "train", "export", "compare"])
def test_a_name_is_shown_as_text_by_every_command(command, asked):
    code, out, err = command(*asked.split(), HOSTILE)
    assert (code, out) == (2, "")
    lines = err.splitlines()
    assert lines[0].startswith("error: ")
    assert all(line.isprintable() for line in lines)
    assert not any(line.startswith("error: all") for line in lines)


def test_a_warning_about_a_file_shows_its_name_as_text(command):
    bright = 255 - np.load("mine.npz")["images"] // 5
    np.savez("in\x1b[2J\n.npz", images=bright, labels=np.arange(40) % 10)
    _, _, err = command(*TINY[:2], "in\x1b[2J\n.npz", *TINY[3:])
    assert "warning: in?[2J?.npz: " in err
    assert all(line.isprintable() for line in err.splitlines())


def test_advice_is_a_line_of_its_own_and_a_name_makes_none(capsys):
    try:
        raise DataError("a\nb: damaged.")
    except DataError as error:
        advised = DataError(f"{error}\nThe way out")
        advised.__cause__ = error
    with pytest.raises(SystemExit):
        fail(advised, 2)
    assert capsys.readouterr().err == "error: a?b: damaged.\nThe way out\n"


def test_nothing_in_the_commands_prints_but_through_the_gate():
    for path in Path(streams.__file__).parent.glob("*.py"):
        allowed = path.name in ("streams.py", "listing.py")
        assert allowed or "print(" not in path.read_text().replace("fingerprint(", ""), path


def test_names_that_are_no_text_end_no_training():
    for name in ("mine.npz", "test.npz"):
        Path(name).rename(f"{name}\udcff")
    asked = "train --set epochs=1 hidden=[4] --out $'out\\xff'"
    done = bash(f"$T {asked} --data $'mine.npz\\xff' --test-data $'test.npz\\xff'")
    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout.splitlines()[-1].endswith(b"Everything is in out?.")
    written = {path.name for path in Path("out\udcff").iterdir()}
    written = {path.name for path in Path("out\udcff").iterdir()}
    assert {"metrics.json", "report.html", "MODEL_CARD.md"} <= written


# ---------------------------------------------------------------- streams


@pytest.mark.usefixtures("logged")
def test_a_pipe_may_take_the_place_of_a_file():
    done = bash("$T log run --csv /dev/stdout | cat")
    assert (done.stderr, done.stdout.count(b"\n")) == (b"", 42)


@pytest.mark.parametrize("closed", [">&-", "2>&-", "<&-", "<&- >&- 2>&-"])
def test_with_closed_streams_a_training_is_done_and_its_files_are_whole(closed):
    done = bash(f"$T {shlex.join(TINY)} --out run {closed}")
    assert (done.returncode, done.stderr) == (0, b"")
    assert np.load("run/weights.npz")["W1"].shape == (784, 4)
    assert bash("$T evaluate run --data test.npz --json").returncode == 0


@pytest.mark.parametrize("encoding", ["ascii", "cp1252", "latin-1", "utf-16"])
def test_any_encoding_takes_any_text(encoding):
    script = "from tinygrad_mnist.cli.streams import ready, say\nready()\nsay('± 上衣 \\udcff')"
    done = bash(f"{sys.executable} -c {shlex.quote(script)}", PYTHONIOENCODING=encoding)
    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout


def test_a_table_of_plus_and_minus_is_printed_in_ascii():
    script = "import sys; from tinygrad_mnist.cli import main; main(['recipes'])"
    done = bash(f"{sys.executable} -c {shlex.quote(script)}", PYTHONIOENCODING="ascii:strict")
    assert (done.returncode, done.stderr) == (0, b"")


@pytest.fixture
def logged():
    """A run whose log holds forty predictions."""
    np.save("some.npy", np.load("test.npz")["images"])
    assert bash(f"$T {shlex.join(TINY)} --out run && $T predict run some.npy").returncode == 0


@pytest.mark.usefixtures("logged")
@pytest.mark.parametrize("asked", ["log run", "log run --json", "recipes", "train --help"])
def test_who_reads_only_the_first_line_sees_no_traceback(asked):
    done = bash(f"$T {asked} | head -1")
    assert (done.stderr, done.returncode) == (b"", 0)


def test_a_reader_of_errors_who_has_gone_loses_nothing():
    done = bash(f"$T {shlex.join(TINY)} --out run --json 2> >(exec 0<&-; sleep 1)")
    assert b'"out": "run"' in done.stdout
    assert Path("run/metrics.json").exists()


def test_a_full_disk_behind_standard_output_ends_no_training_without_its_checkpoint():
    done = bash(f"$T {shlex.join(TINY)} --out run > /dev/full")
    assert done.returncode == 2
    assert done.stderr.startswith(b"error: [Errno 28] No space left on device")
    assert Path("run/checkpoint.npz").exists()


# ---------------------------------------------------------------- environments


def pictures(folder):
    return {path.name: path.read_bytes() for path in Path(folder, "figures").iterdir()}


def test_settings_of_matplotlib_change_no_byte_of_a_figure():
    assert bash(f"$T {shlex.join(TINY)} --out plain", MPLBACKEND=None).returncode == 0
    Path("matplotlibrc").write_text("font.size: 20\naxes.facecolor: red\nsavefig.bbox: tight\n")
    done = bash(f"$T {shlex.join(TINY)} --out changed", MPLBACKEND="garbage")
    assert (done.returncode, done.stderr) == (0, b"")
    assert pictures("plain") == pictures("changed")


def test_the_backend_that_was_asked_for_stays_the_one_of_the_user():
    script = (
        "from tinygrad_mnist.evaluation.style import as_shipped\n"
        "with as_shipped(): pass\n"
        "import os, matplotlib\n"
        "print(os.environ['MPLBACKEND'], matplotlib.rcParams['backend'].lower())"
    )
    done = bash(f"{sys.executable} -c {shlex.quote(script)}", MPLBACKEND="svg")
    assert done.stdout == b"svg svg\n"


def test_a_file_of_settings_that_is_no_text_is_named():
    Path("matplotlibrc").write_bytes(b"\xff\xfe\x00")
    done = bash(f"$T {shlex.join(TINY)} --out run")
    last = done.stderr.decode().splitlines()[-1]
    assert (done.returncode, b"Traceback" in done.stderr) == (2, False)
    assert last.startswith("error: matplotlib cannot be loaded")
    assert "matplotlibrc" in last
    Path("matplotlibrc").unlink()
    named = "--data mine.npz --test-data test.npz"
    assert bash(f"$T train --resume run {named}").returncode == 0


STARTED = """
import builtins, os, signal, sys
load, left = builtins.__import__, [int(sys.argv.pop())]

def interrupted(name, *rest, **more):
    left[0] -= 1
    if left[0] == 0:
        os.kill(os.getpid(), signal.SIGINT)
    return load(name, *rest, **more)

builtins.__import__ = interrupted
from tinygrad_mnist.cli import main
main()
"""


@pytest.mark.parametrize("imports", [12, 40, 300, 1000, 2000])
def test_an_interrupt_while_the_command_is_loaded_ends_it_in_silence(imports):
    Path("tinygrad-mnist").write_text(STARTED)
    done = bash(f"{sys.executable} tinygrad-mnist recipes {imports}")
    assert (done.stdout, done.stderr) == (b"", b"")
    assert done.returncode in (130, -signal.SIGINT)


@pytest.mark.usefixtures("logged")
def test_an_interrupt_while_another_writes_the_log_is_silent():
    with closing(sqlite3.connect("run/predictions.db", isolation_level=None)) as holder:
        holder.execute("BEGIN EXCLUSIVE")
        asked = [*COMMAND, "predict", "run", "some.npy"]
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        process = subprocess.Popen(asked, **pipes)
        time.sleep(5)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=20)
        holder.execute("ROLLBACK")
    assert (process.returncode in (130, -signal.SIGINT), err) == (True, b"")
    assert bash("$T log run").stdout.count(b"\n") == 41


def test_from_an_archive_the_command_says_what_to_do():
    root = Path(tinygrad_mnist.__file__).parent
    with zipfile.ZipFile("package.zip", "w") as archive:
        for path in root.rglob("*.py"):
            archive.write(path, Path("tinygrad_mnist", path.relative_to(root)))
    done = bash("$T recipes", PYTHONPATH="package.zip")
    assert done.returncode == 2
    assert done.stderr.startswith(b"error: the package is run from an archive")
    assert done.stderr.count(b"\n") == 1


def test_without_metadata_the_command_works():
    shutil.copytree(Path(tinygrad_mnist.__file__).parent, "elsewhere/tinygrad_mnist")
    done = bash("cd elsewhere && $T --version", PYTHONPATH="elsewhere")
    assert (done.returncode, done.stdout.decode().strip()) == (0, tinygrad_mnist.__version__)


WITHOUT_METADATA = """
import importlib.metadata as metadata

def gone(name):
    raise metadata.PackageNotFoundError(name)

metadata.version = gone
from tinygrad_mnist.runs.environment import environment
print(environment()["tinygrad_mnist"])
"""


def test_a_run_without_metadata_knows_its_version():
    done = bash(f"{sys.executable} -c {shlex.quote(WITHOUT_METADATA)}")
    assert done.stdout.decode().strip() == tinygrad_mnist.__version__
