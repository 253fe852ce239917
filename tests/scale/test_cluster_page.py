"""The page about several cores and machines: its commands and its job are run, on few images."""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/howto/cluster.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```bash(?: title=\"(.*?)\")?\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
BIN = Path(sys.executable).parent
SHORT = f"""#!/bin/bash
[ "$2" = --resume ] || set -- "$@" --set examples=400
exec {sys.executable} {Path(__file__).parent / "rank.py"} none "$@"
"""
pytestmark = pytest.mark.skipif(not (BIN / "mpiexec").exists(), reason="needs the extra mpi")


@pytest.fixture
def shell(tmp_path, monkeypatch):
    """Start a line or a script in an empty folder, where trainings have few images."""
    monkeypatch.chdir(tmp_path)
    short = tmp_path / "bin" / "tinygrad-mnist"
    short.parent.mkdir()
    short.write_text(SHORT)
    short.chmod(0o755)
    path = os.pathsep.join(map(str, (short.parent, BIN, os.environ["PATH"])))
    return lambda *told: subprocess.Popen(["bash", *told], env=os.environ | {"PATH": path})


def test_the_commands_run_in_order(shell):
    lines = [line for title, text in BLOCKS if not title for line in text.splitlines()]
    commands = [line for line in lines if not line.startswith("pip install ")]
    assert len(commands) == 2
    for command in commands:
        assert shell("-c", command).wait(60) == 0
    assert Path("runs/default/metrics.json").exists()


def test_the_job_is_stopped_by_a_signal_and_goes_on_when_it_is_submitted_again(shell):
    ((name, script),) = [block for block in BLOCKS if block[0]]
    Path(name).write_text(script)
    job, deadline = shell(name), time.monotonic() + 60
    while not Path("rank-0.txt").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    job.send_signal(signal.SIGTERM)
    assert job.wait(60) == 128 + signal.SIGTERM
    assert '"test": null' in Path("runs/wide/metrics.json").read_text()
    assert shell(name).wait(60) == 0
    assert '"test": null' not in Path("runs/wide/metrics.json").read_text()
