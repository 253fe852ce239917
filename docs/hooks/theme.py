"""What the theme leaves out of a page: a description of its own, and names for screen readers."""

from __future__ import annotations

import html
import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mkdocs.structure.files import Files

PARAGRAPH = re.compile(r"<p>(.*?)</p>", re.DOTALL)
SENTENCE = re.compile(r"[A-Z].{20,}?[.!?:](?=\s|$)")

NAMES = {
    re.compile(r'(<div class="md-search")(?=[^>]* role="dialog")'): r'\1 aria-label="Search"',
    re.compile(
        r'(<nav class="md-nav"[^>]*) aria-labelledby="[^"]*"([^>]*>'
        r"\s*<label [^>]*>\s*<span [^>]*></span>\s*)([^<]*?)(?=\s*</label>)"
    ): r'\1 aria-label="\3"\2\3',
}
"""Markup whose name is missing or empty, and the same with its name."""


def on_env(env: Any, files: Files, **_: Any) -> Any:
    """Describe each page that does not describe itself, by its first sentence."""
    for file in files.documentation_pages():
        page = file.page
        if page and (found := first_sentence(page.content or "")):
            page.meta.setdefault("description", found)
    return env


def first_sentence(content: str) -> str:
    """That of a page, without markup."""
    for paragraph in PARAGRAPH.findall(content):
        text = html.unescape(re.sub(r"<[^>]*>", "", paragraph))
        if found := SENTENCE.match(" ".join(text.split())):
            return found[0]
    return ""


def on_post_page(output: str, **_: Any) -> str:
    """Give names."""
    for markup, named in NAMES.items():
        output = markup.sub(named, output)
    return output


def on_post_template(output_content: str, template_name: str, **_: Any) -> str:
    """The same for the page that says that there is none."""
    return on_post_page(output_content) if template_name == "404.html" else output_content
