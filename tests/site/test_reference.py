"""The reference: a page that puts names into an order of its own leaves out none."""

import importlib
import inspect
from pathlib import Path

import numpy as np
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


@pytest.mark.browser  # griffe comes with what the site is built with
@pytest.mark.parametrize(
    "name",
    ["nn.MLP", "optim.AdamW", "testing.assert_op", "autodiff.gradcheck", "testing.numbers"],
)
def test_every_parameter_has_the_default_of_its_own(name):
    griffe = pytest.importorskip("griffe")
    hook = importlib.import_module("parameters")
    package = griffe.load(
        "tinygrad_mnist", docstring_parser="numpy", extensions=griffe.Extensions(hook.Parameters())
    )
    told = [
        parameter
        for section in package[name].docstring.parsed
        if isinstance(section, griffe.DocstringSectionParameters)
        for parameter in section.value
    ]
    module, _, function = f"tinygrad_mnist.{name}".rpartition(".")
    signature = inspect.signature(getattr(importlib.import_module(module), function))
    assert len(told) > 2
    for parameter in told:
        default = signature.parameters[parameter.name].default
        found = (
            inspect.Parameter.empty
            if parameter.value is None
            else eval(str(parameter.value), {"np": np})
        )
        assert found == default, parameter.name
