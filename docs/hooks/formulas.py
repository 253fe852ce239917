r"""Typesets the formulas of all pages when the site is built, so that no page has to.

KaTeX does it, in one process of Node for the whole site. It writes HTML to look at and MathML for
screen readers.

The search reads the pages in between, without drawings. Where a formula was, it finds plain text
such as dW1, or "…" if the formula cannot be written on a line.
"""

from __future__ import annotations

import html
import json
import re
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mkdocs.exceptions import PluginError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from mkdocs.structure.files import Files
    from mkdocs.structure.pages import Page

Formula = tuple[str, bool]
"""TeX, and whether it has a line of its own."""

FORMULA = re.compile(
    r'<(?P<tag>span|div) class="arithmatex">\s*\\(?P<open>[(\[])(?P<tex>.*?)\\[)\]]\s*</(?P=tag)>',
    re.DOTALL,
)
WAITING = re.compile(r'(<(span|div) class="arithmatex") data-formula="(\d+)">[^<]*(?=</\2>)')
BEFORE_A_STOP = re.compile(r'(data-formula="\d+">[^<]*</span>)(?=[.,;:?!)])')
ON_A_LINE = re.compile(r"</?(?:math|semantics|mstyle|mrow|msub|mi|mn|mo|mtext)\b[^>]*>")
"""The tags of MathML whose letters mean the same when they are written one after the other."""

TYPESET: list[str] = []
"""The HTML of all formulas; a page that waits for one has its position in this list."""


def on_env(env: Any, files: Files, **_: Any) -> Any:
    """Typeset all formulas, and put plain text in their places until the search has read it.

    Raises
    ------
    PluginError
        If KaTeX refuses a formula; the message says which, and on what page.
    """
    pages = [file.page for file in files.documentation_pages() if file.page]
    asked = {formula: page.file.src_uri for page in pages for formula in formulas(page)}
    TYPESET[:] = katex(asked)
    place = {formula: at for at, formula in enumerate(asked)}

    def waiting(found: re.Match[str]) -> str:
        tag, at = found["tag"], place[read(found)]
        text = plain(TYPESET[at])
        return f'<{tag} class="arithmatex" data-formula="{at}">{text}</{tag}>'

    for page in pages:
        content = FORMULA.sub(waiting, page.content or "")
        page.meta["formulas"] = content != page.content
        page.content = content.replace("<svg", '<svg data-search-exclude="true"')
    return env


def on_page_context(context: Any, page: Page, **_: Any) -> Any:
    """Put in the formulas: hooks come after plugins, so the search has read the page.

    A word joiner keeps a stop or a comma on the line of its formula.
    """
    joined = BEFORE_A_STOP.sub(r"\1&#8288;", page.content or "")
    page.content = WAITING.sub(lambda found: f"{found[1]}>{TYPESET[int(found[3])]}", joined)
    return context


def formulas(page: Page) -> Iterable[Formula]:
    """The formulas of a page."""
    return map(read, FORMULA.finditer(page.content or ""))


def read(found: re.Match[str]) -> Formula:
    """A formula as Markdown has left it."""
    return html.unescape(found["tex"]).strip(), found["open"] == "["


def katex(asked: dict[Formula, str]) -> list[str]:
    """Each formula as HTML."""
    given = [{"tex": tex, "display": display} for tex, display in asked]
    node = ["node", Path(__file__).with_suffix(".js")]
    answer = subprocess.run(
        node, input=json.dumps(given), capture_output=True, check=True, text=True, encoding="utf-8"
    )
    results = json.loads(answer.stdout)
    for ((tex, _), page), result in zip(asked.items(), results, strict=True):
        if "refused" in result:
            raise PluginError(f"{page}: {result['refused']}\nThe formula is: {tex}")
    return [result["html"] for result in results]


def plain(typeset: str) -> str:
    """A formula as it is written on a line: dW1, or "…" if that cannot be done."""
    text = ON_A_LINE.sub("", typeset[typeset.index("<math") : typeset.index("<annotation")])
    return "…" if "<" in text else text
