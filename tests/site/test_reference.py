"""The reference: a page that puts names into an order of its own leaves out none."""

import importlib
from pathlib import Path

import pytest
import yaml

PAGES = Path(__file__).parents[2].glob("docs/reference/*.md")


def ordered():
    """The modules of such pages, and the names as they are ordered there."""
    for page in PAGES:
        _, _, block = page.read_text(encoding="utf-8").partition("\n::: ")
        module, *rest = block.split("\n\n")[0].split("\n")
        options = yaml.safe_load("\n".join(rest))
        if options and hasattr(importlib.import_module(module), "__all__"):
            yield module, options["options"]["members"]


@pytest.mark.parametrize(("module", "names"), list(ordered()))
def test_every_public_name_is_on_the_page_of_its_module(module, names):
    assert sorted(names) == sorted(importlib.import_module(module).__all__)
