"""The course: its units are those of the nav, and each of its pages says where it stands.

Questions are in docs/course.toml. Times are never typed: they follow what the pages hold.
"""

from __future__ import annotations

import re
import sys
import tomllib
from dataclasses import dataclass
from functools import cache
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from tinygrad_mnist.exercises import cells
from tinygrad_mnist.tutorials import scripts

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
sys.path.insert(0, str(HERE))

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mkdocs.structure.pages import Page

WORD, LINE, COMMAND, EQUATION = 1 / 150, 1 / 10, 1, 2
QUESTION, SHORT, LONG = 1, 5, 10
"""Minutes that each takes: a question of a self-test, and an exercise, which is short with a
derivation and long in a tutorial."""
QUARTER = 15

FENCE = re.compile(r"^( *)```(.*)\n([\s\S]*?)^\1```$", re.MULTILINE)
DIRECTIVE = re.compile(r"\{\{ (\w+)(?: ([^{}]*?))? \}\}")


@dataclass(frozen=True)
class Unit:
    """A unit of the course: its number, title and question, and its pages with their titles."""

    number: int
    title: str
    question: str
    pages: dict[str, str]

    @property
    def minutes(self) -> int:
        """How long all its pages take together."""
        return sum(map(minutes, self.pages))


# ---------------------------------------------------------------- what the nav says


@cache
def nav() -> dict[str, Any]:
    """The tabs of the site, and what is in them."""
    _, _, text = (ROOT / "mkdocs.yml").read_text(encoding="utf-8").partition("\nnav:\n")
    found: dict[str, Any] = {}
    for entry in yaml.safe_load(text):
        found.update(entry)
    return found


@cache
def units() -> tuple[Unit, ...]:
    """The units of the course in order."""
    asked = tomllib.loads((ROOT / "docs" / "course.toml").read_text(encoding="utf-8"))["questions"]
    sections = [entry for entry in nav()["Course"] if isinstance(entry, dict)]
    found = []
    for number, section in enumerate(sections, 1):
        ((title, entries),) = section.items()
        pages = {path: name for entry in entries for name, path in entry.items()}
        title = title.removeprefix(f"{number} ")
        found.append(Unit(number, title, asked[title], pages))
    return tuple(found)


def deeper() -> set[str]:
    """The derivations and tutorials that the course leaves out."""
    return {path for path in _paths(nav()["Deeper"]) if not path.endswith("index.md")}


def _paths(entries: Any) -> Iterator[str]:
    """All pages of a part of the nav."""
    if isinstance(entries, str):
        yield entries
    else:
        for entry in entries.values() if isinstance(entries, dict) else entries:
            yield from _paths(entry)


# ---------------------------------------------------------------- how long a page takes


@cache
def minutes(page: str) -> int:
    """How long a page takes, to a quarter of an hour: its text, its code and its exercises."""
    (script,) = [script for script in scripts() if f"tutorials/{script.stem}.md" == page] or [None]
    time = of_tutorial(script) if script else of_page(ROOT / "docs" / page)
    return max(QUARTER, QUARTER * round(time / QUARTER))


def of_tutorial(script: Path) -> float:
    """Minutes for a tutorial; what is folded away is not counted."""
    every = cells(script.read_text(encoding="utf-8"))
    shown = [cell for cell in every if cell.role in ("", "stub", "hint")]
    words = " ".join(cell.source for cell in shown if cell.markdown)
    code = "\n".join(cell.source for cell in shown if not cell.markdown)
    return reading(words, code) + LONG * sum(bool(cell.exercise) for cell in every)


def of_page(path: Path) -> float:
    """Minutes for a page in Markdown, with the exercises that belong to it."""
    from pages import source  # which needs this file for its directives

    text = path.read_text(encoding="utf-8")
    fences, directives = FENCE.findall(text), DIRECTIVE.findall(text)
    commands = sum(len(body.splitlines()) for _, kind, body in fences if kind == "bash")
    code = [body for _, kind, body in fences if kind == "python"]
    code += [source(*names.split()) for kind, names in directives if kind == "source"]
    equations = sum(kind == "equation" for kind, _ in directives)
    words = DIRECTIVE.sub("", FENCE.sub("", text))
    doing = COMMAND * commands + EQUATION * equations + exercises(path)
    return reading(words, "\n".join(code)) + doing


def reading(words: str, code: str) -> float:
    """Minutes to read words and code."""
    lines = sum(bool(line.strip()) for line in code.splitlines())
    return WORD * len(words.split()) + LINE * lines


def exercises(path: Path) -> int:
    """Minutes for the exercises and the self-test at the end of a page."""
    script = ROOT / "exercises" / f"{path.stem}.py"
    if path.parent.name != "derivations" or not script.exists():
        return 0
    asked = [cell.exercise for cell in cells(script.read_text(encoding="utf-8")) if cell.exercise]
    return sum(QUESTION if ".self-" in name else SHORT for name in asked)


def in_hours(minutes: int) -> str:
    """A time in words, such as "about 1 h 15 min"."""
    hours, rest = divmod(minutes, 60)
    parts = [f"{hours} h"] * bool(hours) + [f"{rest} min"] * bool(rest)
    return "about " + " ".join(parts)


# ---------------------------------------------------------------- on the pages


def listed() -> str:
    """The units as a list: each with its question, its pages, and how long it takes."""
    return '<ol class="course-units" markdown>\n' + "\n".join(map(_entry, units())) + "\n</ol>"


def _entry(unit: Unit) -> str:
    links = " · ".join(f"[{title}]({path})" for path, title in unit.pages.items())
    return (
        f'<li markdown="span"><strong>{unit.title}</strong> '
        f'<span class="course-time">{in_hours(unit.minutes).removeprefix("about ")}</span><br>'
        f'<em>{unit.question}</em><br><span class="course-pages">{links}</span></li>'
    )


def hours() -> str:
    """How long the whole course takes, to the hour."""
    return f"{round(sum(unit.minutes for unit in units()) / 60)} hours"


def on_page_content(html: str, page: Page, files: Any, **_: Any) -> str:
    """Say below the title of a page where in the course it stands, and how long it takes."""
    path = page.file.src_uri

    def link(to: str, text: str, current: str = "") -> str:
        address = files.get_file_from_path(to).url_relative_to(page.file)
        return f'<a href="{address}"{current}>{text}</a>'

    line = ""
    for unit in units():
        if path in unit.pages:
            line = _place(unit, path, link)
    if path in deeper():
        course = link("course.md", "the course")
        line = _line(f"Deeper: {course} does without it · {in_hours(minutes(path))}")
    return html.replace("</h1>", f"</h1>\n{line}", 1)


def _place(unit: Unit, path: str, link: Any) -> str:
    """The line of a page of the course: the units, and what comes before this one."""
    every, nth = units(), [*unit.pages].index(path) + 1
    dots = "".join(
        f"<li>{link(next(iter(one.pages)), str(one.number), _current(one, unit))}</li>"
        for one in every
    )
    parts = [link("course.md", f"Unit {unit.number} of {len(every)}")]
    parts[0] += f", page {nth} of {len(unit.pages)}" * (len(unit.pages) > 1)
    parts.append(in_hours(minutes(path)))
    if unit.number > 1:
        before = every[unit.number - 2]
        parts.append(f"needs {link(next(iter(before.pages)), f'unit {before.number}')}")
    return _line(" · ".join(parts), f"<ol>{dots}</ol>")


def _current(one: Unit, here: Unit) -> str:
    """The attributes of a link to a unit: its title, and whether we are in it."""
    return f' title="{escape(one.title)}"' + ' aria-current="step"' * (one is here)


def _line(text: str, dots: str = "") -> str:
    return (
        f'<nav class="course-place" aria-label="Where this page stands" '
        f'data-search-exclude="true">{dots}<p>{text}</p></nav>'
    )
