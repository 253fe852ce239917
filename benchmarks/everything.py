"""Measures everything and writes docs/performance.md: about half an hour on an idle machine."""

import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
MEASURES = (
    ["step.py"], ["step.py", "2"], ["epoch.py"], ["op.py"], ["process.py"], ["curvature.py"],
    ["lenet.py"], ["inference.py"], ["growth.py"], ["page.py"],
)  # fmt: skip


def main():
    for script, *arguments in MEASURES:
        print(f"--- {script} {' '.join(arguments)}", flush=True)
        subprocess.run([sys.executable, HERE / script, *arguments], check=True)


if __name__ == "__main__":
    main()
