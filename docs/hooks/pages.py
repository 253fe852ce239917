"""What the site adds to Markdown: lines in double braces, filled in when a page is built.

    {{ equation NAME ... }}      an equation of the file beside the page: typeset, numbered, checked
    {{ reader FILE NAME ... }}   equations line by line, with shapes in numbers and a line of FILE
    {{ example NAME }}           what a function of that file returns, LaTeX with numbers
    {{ made NAME }}              what a function of that file returns, Markdown that took a while
    {{ source FILE NAME ... }}   functions or ops of a file, or its lines that end in (1), (2) ...
    {{ test FILE::NAME ... }}    tests that hold what the page says
    {{ results }}                the table of measured accuracies, and {{ chart }} as a figure
    {{ accuracy RECIPE }}        the mean test accuracy of a recipe, also within a line
    {{ download KIND }}          the file name of the wheel or the sdist that the site carries
    {{ course }}                 the units of the course, and {{ hours }} how long they take
    {{ minutes PAGE }}           how long a page takes, estimated from its length
    {{ there_and_back }}         the picture of a digit through the network, forward and back
    {{ exercises PAGE }}         the exercises and the self-test of a page, each with its answers

A page of derivations shows no other formula on a line of its own: what is displayed is checked.
Whatever is wrong or missing stops the build.
"""

from __future__ import annotations

import ast
import hashlib
import importlib.util
import inspect
import re
import sys
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING, Any

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
sys.path.insert(0, str(HERE))

import accuracies
import course
import reader
from equations import Derivation, EquationError
from equations.write import latex
from picture import there_and_back

from exercises import section
from tinygrad_mnist import __version__

if TYPE_CHECKING:
    from types import ModuleType

    from equations.check import Equation

DIRECTIVE = re.compile(r"\{\{ (\w+)(?: ([^{}]*?))? \}\}")
DISPLAY = re.compile(r"^\s*(\$\$|\\\[|\\begin\{)", re.MULTILINE)


def on_startup(**_: Any) -> None:
    """Let the figures of pages import from this folder."""
    if str(HERE) not in sys.path:
        sys.path.insert(0, str(HERE))


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Fill in a page."""
    from mkdocs.exceptions import PluginError

    if page.file.abs_src_path is None:  # made by another hook
        return markdown
    source = Path(page.file.abs_src_path)
    try:
        return kept(markdown, source)
    except (EquationError, LookupError, OSError, ValueError) as error:
        raise PluginError(f"{page.file.src_path}: {error}") from error


def kept(markdown: str, source: Path) -> str:
    """A page as it was filled in before, as long as nothing has changed that it is made from."""
    if not source.with_suffix(".py").exists():
        return fill(markdown, source)
    folders = [ROOT / folder for folder in ("docs", "exercises", "tests", "tinygrad_mnist")]
    ends = ("*.py", "*.toml")
    sources = [path for folder in folders for end in ends for path in sorted(folder.rglob(end))]
    content = [markdown.encode(), *map(Path.read_bytes, [accuracies.MEASURED, *sources])]
    digest = hashlib.sha256(b"".join(content)).hexdigest()
    page = ROOT / ".cache" / "pages" / f"{source.stem}-{digest[:16]}.md"
    if not page.exists():
        text = fill(markdown, source)
        page.parent.mkdir(parents=True, exist_ok=True)
        page.write_text(text, encoding="utf-8")
    return page.read_text(encoding="utf-8")


def fill(markdown: str, source: Path) -> str:
    """A page's Markdown with all directives filled in.

    Raises
    ------
    EquationError
        If an equation is wrong, not shown, shown out of order, or written without a check.
    LookupError
        If something is named that does not exist.
    OSError
        If a file or the exercises of a page are missing.
    ValueError
        If an exercise is not in order, or its check says something wrong.
    """
    twin = load(source.with_suffix(".py")) if source.with_suffix(".py").exists() else None
    if source.parent.name == "derivations" and (found := DISPLAY.search(markdown)):
        line = markdown[: found.end()].count("\n") + 1
        raise EquationError(
            f"line {line} displays a formula that nothing checks. "
            f"Put it into {source.stem}.py and name it here."
        )
    shown: list[str] = []

    def replace(match: re.Match[str]) -> str:
        kind, arguments = match[1], (match[2] or "").split()
        if kind == "equation":
            shown.extend(arguments)
            return equation(derivation(twin, source), *arguments)
        if kind == "reader":
            return reader.lines(derivation(twin, source), ROOT / arguments[0], *arguments[1:])
        if kind == "example":
            return display(getattr(twin, arguments[0])())
        if kind == "made":
            return getattr(twin, arguments[0])()
        if kind not in DIRECTIVES:
            known = ", ".join(["equation", "reader", "example", "made", *DIRECTIVES])
            raise LookupError(f"there is no directive {kind!r}, only {known}.")
        return DIRECTIVES[kind](*arguments)

    text = DIRECTIVE.sub(replace, markdown)
    if twin is None or not hasattr(twin, "page"):
        return text
    if shown != list(twin.page.equations):
        raise EquationError(
            f"{source.stem}.py has the equations {', '.join(twin.page.equations)}, "
            f"but the page shows {', '.join(shown)}."
        )
    return text


def load(path: Path) -> ModuleType:
    """The file beside a page, run anew."""
    spec = importlib.util.spec_from_file_location(f"derivations.{path.stem}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def derivation(twin: ModuleType | None, source: Path) -> Derivation:
    """The equations of a page."""
    if twin is None:
        raise LookupError(f"there is no {source.stem}.py beside it to take equations from.")
    return twin.page


# ---------------------------------------------------------------- equations


def equation(page: Derivation, *names: str) -> str:
    """A numbered equation, with a mark that says what was done and opens how."""
    for name in names:
        if name not in page.equations:
            raise LookupError(f"there is no equation {name}, only {', '.join(page.equations)}.")
    lines = [page.equations[name] for name in names]
    number, *others = dict.fromkeys(line.number for line in lines)
    if others:
        raise EquationError(f"{' and '.join(names)} are two equations, not lines of one.")
    mark = "; ".join(dict.fromkeys(line.check() for line in lines)).replace(" = ", "&nbsp;=&nbsp;")
    # A section, since the search would take up its text again after the first div in a div.
    at, proved = number.replace(".", "-"), " proved" * mark.startswith("proved")
    return (
        f'<div class="equation" id="eq-{at}" markdown>\n{formula(latex(*lines))}\n'
        f'<p data-search-exclude="true"><a class="number" href="#eq-{at}">({number})</a> '
        f'<button type="button" class="mark{proved}" popovertarget="check-{at}">{mark}</button>'
        "</p>\n"
        f'<section class="check" id="check-{at}" popover="auto" role="dialog" '
        f'data-search-exclude="true" aria-label="How ({number}) is checked" markdown>\n\n'
        f"{checked(number, mark, lines)}\n\n</section>\n</div>"
    )


CHECKED = """\
The formula is written by the function shown, which is also what was computed. The tests of the site
turn each sign in it, and the check has to fail (`tests/site/test_derivations.py`); and they read
the formula back (`tests/site/test_reading.py`)."""


def checked(number: str, mark: str, lines: list[Equation]) -> str:
    """What a mark opens: what was done, and the code of it."""
    how = " ".join(dict.fromkeys(line.how for line in lines))
    source = "\n\n\n".join(inspect.getsource(line.formula).strip() for line in lines)
    return f"**({number}) {mark}.** {how}\n\n```python\n{source}\n```\n\n{CHECKED}"


def display(latex: str) -> str:
    """LaTeX on a line of its own."""
    return f'<div class="equation" markdown>\n{formula(latex)}\n</div>'


def formula(latex: str) -> str:
    """LaTeX in the box that scrolls if it is wider than the page."""
    return f'<div class="formula" markdown>\n\n$$\n{latex}\n$$\n\n</div>'


# ---------------------------------------------------------------- code and numbers of the project


def source(file: str, *names: str) -> str:
    """Functions, ops with their rules, or numbered lines, as they are in a file.

    Of a docstring only the first line is among them; one that is longer is folded away below.
    """
    text = (ROOT / file).read_text(encoding="utf-8")
    numbers = [name for name in names if name.startswith("(")]
    blocks = [excerpt(text, name, file) for name in names if name not in numbers]
    if numbers:
        first = {line.rpartition("  # ")[2]: line.strip() for line in reversed(text.splitlines())}
        blocks.append("\n".join(first[number] for number in numbers))
    short = [DOCSTRING.sub(r'\1"""\2"""', block) for block in blocks]
    code = f'```python title="{file}"\n' + "\n\n\n".join(short) + "\n```"
    return "\n\n".join([code, *folded(blocks)])


DOCSTRING = re.compile(r'^( +)"""(.+)\n\n([\s\S]*?)^ +"""$', re.MULTILINE)
"""A docstring of several paragraphs: its indentation, its first line, and the rest."""


def folded(blocks: list[str]) -> list[str]:
    """The long docstrings of some code, in a box that opens when it is clicked."""
    long = [
        f"{first}\n\n{textwrap.dedent(rest).strip()}"
        for block in blocks
        for _, first, rest in DOCSTRING.findall(block)
    ]
    text = "\n\n\n".join(long)
    return [
        '??? quote "The docstring in full"\n\n' + textwrap.indent(f"```text\n{text}\n```", "    ")
    ] * bool(long)


def excerpt(text: str, name: str, file: str) -> str:
    """A function, method or class by its dotted name; an op with the statement of its rules."""
    body: list[ast.stmt] = ast.parse(text).body
    for part in name.split("."):
        found = [node for node in body if getattr(node, "name", None) == part]
        if not found:
            raise LookupError(f"{file} has no {name}.")
        body, siblings = found[0].body, body  # type: ignore[attr-defined]
    nodes = [*found, *(node for node in siblings if ast.unparse(node).startswith(f"{name}.vjp("))]
    lines = text.splitlines()
    parts = []
    for node in nodes:
        first = min(part.lineno for part in [node, *getattr(node, "decorator_list", [])])
        parts.append(textwrap.dedent("\n".join(lines[first - 1 : node.end_lineno])))
    return "\n\n\n".join(parts)


def test(*names: str) -> str:
    """Links to tests, folded open to their source."""
    parts = []
    for name in names:
        file, _, function = name.partition("::")
        text = excerpt((ROOT / file).read_text(encoding="utf-8"), function, file)
        sentence = function.removeprefix("test_").replace("_", " ")
        parts.append(f'??? success "Tested: {sentence}"')
        parts.append(textwrap.indent(f'```python title="{file}"\n{text}\n```', "    "))
    return "\n\n".join(parts)


def download(kind: str) -> str:
    """The file name of the wheel or of the sdist, or the folder that is in the sdist."""
    name = f"tinygrad_mnist-{__version__}"
    kinds = {"wheel": f"{name}-py3-none-any.whl", "sdist": f"{name}.tar.gz", "sdist_folder": name}
    return kinds[kind]


DIRECTIVES = {
    "source": source,
    "test": test,
    "results": accuracies.table,
    "chart": accuracies.chart,
    "accuracy": accuracies.accuracy,
    "download": download,
    "course": course.listed,
    "hours": course.hours,
    "minutes": lambda page: str(course.minutes(page)),
    "there_and_back": there_and_back,
    "exercises": section,
}
