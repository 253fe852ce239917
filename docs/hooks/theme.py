"""What a page needs besides what the theme writes: a description, and names for screen readers."""

from __future__ import annotations

import html
import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mkdocs.structure.files import Files

PARAGRAPH = re.compile(r"<p>(.*?)</p>", re.DOTALL)
SENTENCES = re.compile(r"[A-Z].{50,}?[.!?](?=\s|$)")

EARLY = r'<span class="o">\*</span><span class="n">early</span>'
UNKNOWN = r'<span class="p">,</span> <span class="o">\*\*</span><span class="n">unknown</span>'

REPAIRS = {
    re.compile(r'(<div class="md-search")(?=[^>]* role="dialog")'): r'\1 aria-label="Search"',
    re.compile(
        r'(<nav class="md-nav"[^>]*) aria-labelledby="[^"]*"([^>]*>'
        r"\s*<label [^>]*>\s*<span [^>]*></span>\s*)([^<]*?)(?=\s*</label>)"
    ): r'\1 aria-label="\3"\2\3',
    re.compile(r"<th([^>]*)></th>"): r"<td\1></td>",
    re.compile(EARLY + UNKNOWN): "",
    re.compile(EARLY): '<span class="o">*</span>',
    re.compile(r"<code>[\w.:/]{30,}</code>"): lambda found: found[0].replace("_", "_<wbr>"),
    re.compile(r"(<(?:image|use) [^>]*?)(?<= )href="): r"\1xlink:href=",
}
"""Dialogs and landmarks get names, and the empty corner of a table needs none. What a module takes
only to refuse it kindly is not shown in its signature. A long name may go on in the next line. And
instant navigation, which sets the `href` of all that has one, would stop at a drawing, where it
cannot be set."""


def on_env(env: Any, files: Files, **_: Any) -> Any:
    """Describe each page that does not describe itself, by its first sentences."""
    for file in files.documentation_pages():
        page = file.page
        if page and (found := first_sentences(page.content or "")):
            page.meta.setdefault("description", found)
    return env


def first_sentences(content: str) -> str:
    """Those of a page, without markup; more than one if the first is short."""
    for paragraph in PARAGRAPH.findall(content):
        text = html.unescape(re.sub(r"<[^>]*>", "", paragraph))
        if found := SENTENCES.match(" ".join(text.split())):
            return found[0]
    return ""


def on_post_page(output: str, **_: Any) -> str:
    """Repair the markup of a page."""
    for markup, repaired in REPAIRS.items():
        output = markup.sub(repaired, output)
    return output


def on_post_template(output_content: str, template_name: str, **_: Any) -> str:
    """The same for the page that says that there is none."""
    return on_post_page(output_content) if template_name == "404.html" else output_content
