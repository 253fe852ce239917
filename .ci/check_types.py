"""Checks what users see of the package's types, by mypy --strict and by pyright.

Nothing is found in `tests/typing/user.py`, which also runs. In `tests/typing/mistakes.py` exactly
the lines marked "# wrong" are reported.
"""

import json
import subprocess
import sys
from pathlib import Path

folder = Path(__file__).parents[1] / "tests" / "typing"
Found = set[tuple[str, int]]


def marked() -> Found:
    """The lines that a checker should report."""
    return {
        (path.name, number)
        for path in folder.glob("*.py")
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if "# wrong" in line
    }


def output(*command: str) -> str:
    """What a checker prints; it exits with 1 when it has found something."""
    command = (sys.executable, "-m", *command, *map(str, sorted(folder.glob("*.py"))))
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    if ended.returncode != 1:
        sys.exit(f"{' '.join(command)}: code {ended.returncode}\n{ended.stdout}{ended.stderr}")
    return ended.stdout


def mypy() -> Found:
    """The lines that mypy reports."""
    lines = output("mypy", "--strict", "--output", "json").splitlines()
    reports = [json.loads(line) for line in lines if line.startswith("{")]
    return {
        (Path(report["file"]).name, report["line"])
        for report in reports
        if report["severity"] == "error"
    }


def pyright() -> Found:
    """The lines that pyright reports."""
    reports = json.loads(output("pyright", "--outputjson", "--pythonpath", sys.executable))
    return {
        (Path(report["file"]).name, report["range"]["start"]["line"] + 1)
        for report in reports["generalDiagnostics"]
    }


subprocess.run([sys.executable, folder / "user.py"], check=True)
failed = False
for name, found in (("mypy", mypy()), ("pyright", pyright())):
    for kind, lines in (("missed", marked() - found), ("reported too much", found - marked())):
        for file, number in sorted(lines):
            failed = True
            print(f"{name}: {kind}: tests/typing/{file}:{number}")
    print(f"{name} reports {len(found)} lines, of {len(marked())} mistakes.")
sys.exit(failed)
