"""Runs the JavaScript of the site in Node: numbers from Python in, what it computes out."""

import json
import shutil
import subprocess
from pathlib import Path

import pytest

ASSETS = Path(__file__).parents[1] / "docs" / "assets"
NODE = shutil.which("node")
needs_node = pytest.mark.skipif(NODE is None, reason="there is no Node")


def computed(files, expression, given=None):
    """The value of an expression with `code`, all that the modules export, and `given`."""
    modules = [f"await import({json.dumps((ASSETS / file).as_uri())})" for file in files.split()]
    program = (
        f"const code = Object.assign({{}}, {', '.join(modules)});\n"
        "let text = ''; process.stdin.on('data', (part) => (text += part));\n"
        "await new Promise((done) => process.stdin.on('end', done));\n"
        "const given = JSON.parse(text);\n"
        f"console.log(JSON.stringify({expression}));"
    )
    command = [NODE, "--input-type=module", "--eval", program]
    done = subprocess.run(
        command, input=json.dumps(given), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)
