"""The JavaScript of the site keeps the types that its comments name."""

import subprocess
from pathlib import Path

import pytest

pytestmark = pytest.mark.browser

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
TSC = HERE / "node_modules" / ".bin" / "tsc"


def faults(*arguments):
    command = [TSC, "--project", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False).stdout


def test_no_type_is_wrong():
    assert faults("docs") == ""


def test_a_wrong_type_is_seen(tmp_path):
    page = (ROOT / "docs/assets/random.js").as_uri().removeprefix("file://")
    (tmp_path / "wrong.js").write_text(f'import {{ uniform }} from "{page}";\nuniform("seed");\n')
    settings = '{ "compilerOptions": { "checkJs": true, "noEmit": true }, "files": ["wrong.js"] }'
    (tmp_path / "tsconfig.json").write_text(settings)
    assert "not assignable to parameter of type 'number'" in faults(tmp_path)
