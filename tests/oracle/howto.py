"""What the pages of the documentation define, for comparison with PyTorch."""

import contextlib
import io
import re
from pathlib import Path

HOWTO = Path(__file__).parent.parent.parent / "docs" / "howto"


def run_page(name, languages=("python",)):
    """The names that the code of a page defines."""
    names = {}
    text = (HOWTO / name).read_text(encoding="utf-8")
    with contextlib.redirect_stdout(io.StringIO()):
        for language, code in re.findall(r"```(\w+)\n(.*?)```", text, re.DOTALL):
            if language in languages:
                exec(code, names)
    return names
