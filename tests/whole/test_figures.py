"""The figures of the site: in the page's colours, with names of their own, small."""

import re
from itertools import pairwise
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
import rooms
from figures import INK, curves, inline, subplots, svg
from test_architecture import ARROWS

from tinygrad_mnist.exercises import cells

DOCS = Path(__file__).parents[2] / "docs"
WHITE = """<svg viewBox="0 0 9 9"><g id="figure_1"> <g id="patch_1"> <path d="M0 0
" style="fill: #ffffff"/></g><g id="patch_2"><path d="" style="fill: #ffffff"/></g></g></svg>"""


def draw(*panels):
    for axes in panels:
        axes.plot([0, 1, 2], [1, 0, 1], "--", label="a")
        axes.plot([0, 1], [-1, 1])
        axes.legend()


@pytest.fixture
def html():
    return curves("one", draw, 'a "valley" & a line', "A caption.", panels=2)


def test_a_figure_takes_the_colour_of_the_text_around_it(html):
    assert INK not in html
    assert "currentColor" in html
    assert "#000000" not in html


def test_what_is_drawn_without_a_colour_has_that_of_the_text():
    figure, axes = subplots()
    axes.plot([0, 1], color="black")
    axes.text(0, 0, "black", color="black")
    html = svg(figure, "a line", caption="")
    assert not re.search(r"#000000|black;|fill: *#0", html)
    drawing = ET.fromstring(html.replace("xlink:", "")).find("svg")
    assert "fill:currentColor" in drawing.attrib["style"]


def test_the_white_ground_of_a_file_is_left_out_and_white_in_it_is_not():
    assert inline(WHITE, "").count("#ffffff") == 1
    assert "fill: none" in inline(WHITE, "")


def test_behind_a_text_is_the_ground_of_the_page():
    figure, axes = subplots()
    axes.text(0, 0, "a", bbox={"facecolor": "white"})
    drawing = svg(figure, "a letter", caption="")
    assert "#ffffff" not in drawing
    assert drawing.count("var(--md-default-bg-color)") == 1


PAGES = [*DOCS.glob("*.md"), *DOCS.glob("derivations/*.md"), *DOCS.glob("howto/*.md")]
DRAWING = re.compile(r'```python exec="true" html="true"\n(.*?)```', re.DOTALL)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_drawing_of_a_page_has_a_name_and_every_figure_a_caption(page):
    for block in DRAWING.findall(page.read_text(encoding="utf-8")):
        assert block.count("<svg") == block.count('role="img"') == block.count("aria-label=")
        assert block.count("</figure>") == block.count("<figcaption>")
        assert block.count("print(svg(") == block.count(", caption=caption))")


def test_the_words_for_a_picture_are_no_part_of_the_code():
    (cell,) = cells("# %%\n#| A line\n#| that rises.\nplot()  #| not this\n")
    assert (cell.source, cell.alt) == ("plot()  #| not this", "A line that rises.")


def test_a_figure_has_no_style_that_would_hold_for_the_whole_page(html):
    assert "<style" not in html


def test_a_figure_is_as_wide_as_there_is_room_and_says_what_it_shows(html):
    svg = ET.fromstring(re.sub(r"xlink:", "", html)).find("svg")
    assert "width" not in svg.attrib
    assert svg.attrib["style"].startswith("width:100%")
    assert svg.attrib["aria-label"] == 'a "valley" & a line'


def test_letters_are_text_of_the_page(html):
    assert ">A caption.<" in html
    assert re.search(r"<text[^>]*font-family: inherit[^>]*>a</text>", html)
    assert "DejaVu" not in html


def test_names_inside_two_figures_differ(html):
    both = (html, curves("two", draw, "", ""))
    names = [set(re.findall(r' id="([^"]+)"', text)) for text in both]
    assert all(names)
    assert not names[0] & names[1]


def test_a_figure_is_the_same_at_each_build(html):
    assert curves("one", draw, 'a "valley" & a line', "A caption.", panels=2) == html


# ---------------------------------------------------------------- the figure of rooms


def beneath(found, room):
    return found[room].union(*(beneath(found, name) for name in found[room]))


def test_the_figure_of_rooms_is_read_from_the_sources():
    found = rooms.arrows()
    assert found == {here: ARROWS[here] & found.keys() for here in found}
    assert ARROWS.keys() - found.keys() == {"recipes"}  # TOML alone


def test_arrows_left_out_are_paths_of_those_that_are_shown():
    found, shown = rooms.arrows(), rooms.shown(rooms.arrows())
    for here, names in shown.items():
        assert beneath(shown, here) == beneath(found, here) - {"words"}
        assert not any(beneath(shown, name) & names for name in names)


def test_boxes_of_rooms_do_not_touch_and_arrows_lead_down():
    place, paths = rooms.places(rooms.shown(rooms.arrows()))
    boxes = sorted((y, x) for room, (x, y) in place.items() if ">" not in room)
    for (y, x), (below, right) in pairwise(boxes):
        assert below > y or right - x > rooms.BOX_WIDTH
    assert all(place[above][1] < place[down][1] for p in paths for above, down in pairwise(p))
    assert all(f">{room}</text>" in rooms.picture() for room in ARROWS.keys() & place.keys())
