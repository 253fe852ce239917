"""Formulas in the build: KaTeX sets them or stops it, and the search finds them plain."""

import pytest

pytestmark = pytest.mark.browser
formulas = pytest.importorskip("formulas")
plugins = pytest.importorskip("mkdocs.exceptions")


@pytest.mark.parametrize("tex", [r"\frac{1}", r"\unheard", "x^2 and é"])
def test_a_formula_that_katex_refuses_stops_the_build_and_is_named_with_its_page(tex):
    with pytest.raises(plugins.PluginError) as refused:
        formulas.katex({(tex, False): "a/page.md"})
    assert str(refused.value).startswith("a/page.md: ")
    assert str(refused.value).endswith(tex)


@pytest.mark.parametrize(
    ("tex", "text"),
    [("dW_1", "dW1"), (r"n \times m", "n×m"), (r"\frac{1}{2}", "…"), ("x^2", "…")],
)
def test_the_search_finds_a_formula_as_it_is_written_on_a_line(tex, text):
    (typeset,) = formulas.katex({(tex, False): "page.md"})
    assert formulas.plain(typeset) == text


def test_formulas_are_found_as_markdown_leaves_them():
    content = '<p>If <span class="arithmatex">\\(a &lt; b\\)</span></p>'
    (found,) = formulas.FORMULA.finditer(content)
    assert formulas.read(found) == ("a < b", False)
