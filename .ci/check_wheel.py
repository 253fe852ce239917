"""Checks an installed wheel from outside the checkout: its files, its tutorials, a training."""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

import tinygrad_mnist

package = Path(tinygrad_mnist.__file__).parent
assert "site-packages" in package.parts, f"the checkout is imported, not the wheel: {package}"
expected = ["py.typed", "recipes/default.toml", "data/mnist/NOTICE.md", "data/mnist/SHA256SUMS"]
expected += [
    f"data/mnist/{part}-{kind}.gz"
    for part in ("train", "t10k")
    for kind in ("images-idx3-ubyte", "labels-idx1-ubyte")
]
missing = [name for name in expected if not (package / name).is_file()]
assert not missing, f"not in the wheel: {missing}"


def run(*arguments: str) -> str:
    """What a command prints."""
    command = [sys.executable, "-m", "tinygrad_mnist", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


with tempfile.TemporaryDirectory() as folder:
    run("tutorials", folder)
    notebooks = sorted(path.stem for path in Path(folder).rglob("*.ipynb"))
beside = Path(__file__).parents[1]
scripts = [*(beside / "tutorials").glob("[0-9]*.py"), *(beside / "exercises").glob("*.py")]
there = sorted(path.stem for path in scripts)
assert notebooks == there, f"notebooks from the wheel: {notebooks}, scripts: {there}"

with tempfile.TemporaryDirectory() as folder:
    run("new", folder)
    written = {path.relative_to(folder) for path in Path(folder).rglob("*") if path.is_file()}
start = Path(__file__).parents[1] / "starter"
listed = {Path(name) for name in (start / "FILES").read_text().split()}
assert written == listed, f"new writes {written} from the wheel, and the checkout lists {listed}"

metrics = json.loads(run("train", "--set", "epochs=1", "--json"))
accuracy = metrics["test"]["accuracy"]
assert accuracy > 0.9, f"one epoch reached only {accuracy}"
print(f"The wheel holds its files, and writes {len(there)} notebooks.")
print(f"It reaches {100 * accuracy:.2f} % after one epoch.")
