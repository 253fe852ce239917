"""The page on leaving for PyTorch: what it says is different is, and it leaves nothing out."""

import inspect
import re
from typing import NamedTuple

import pytest

torch = pytest.importorskip("torch")

import differences as page

from tinygrad_mnist import Tensor, grad, nn, optim, tensor

SUBJECTS = ("### Arrays", "### Gradients", "### Modules and losses", "### Optimizers")
ROWS = [row for subject in SUBJECTS for row in page.table(page.section(subject))]
MISSING = page.table(page.section("### What is not here"))
SAME = page.table(page.section("## What is the same"))


def ids(row):
    return page.code(row[0])[0]


@pytest.mark.parametrize("row", ROWS, ids=ids)
def test_a_row_is_true_and_a_difference(row):
    left, right, why = row
    page.check_row(left, right)
    assert why


@pytest.mark.parametrize("row", SAME, ids=ids)
def test_what_is_the_same_is(row):
    page.check_same(row[0])


@pytest.mark.parametrize("row", MISSING, ids=ids)
def test_what_is_not_here_is_in_pytorch_only(row):
    theirs, ours = row
    page.check_missing(theirs)
    for program in page.code(ours):
        assert page.run(program, "here").kind == "→", program


@pytest.mark.parametrize(
    ("left", "right", "says"),
    [
        ("`v.var()` → `2.0`", "`v.var()` → `2.0`", "it Outcome"),
        ("`v.var()` → `1.0`", "`v.var()` → `1.0`", "it Outcome"),
        ("`x.T`", "`x.T`", "no difference"),
        ("`x.sum(axis=0)`", "`x.sum(0)`", "no difference"),
        ("`x.max(axis=1)`", "`x.amin(dim=1)`", "not the same"),
        ("`v.std()` → `1.0`", "`v.std()`", "not the same"),
        ("`v.var()`, `x.size`", "`v.var(correction=0)`, `x.T.numel()`, `6`", "more programs"),
        ("`v.var()` → `1.0`", "`v.mean()` → `2.0`", "does not begin with"),
        ("`x[0] = 0` raises `ValueError`", "`x[0] = 0`", "it Outcome"),
        ("`y.grad` → `None`", "`y.grad` → `None`", "it Outcome"),
        ("`x.T`", "`x.T` and warns", "it Outcome"),
        ("`tensor([0.0]).log()`", "`torch.log(tensor([0.0]))`", "it Outcome"),
        ("arrays mix freely", "`torch.from_numpy(x)`", "is no code"),
        ("", "`x.to`", "can be run"),
    ],
)
def test_a_false_row_is_refused(left, right, says):
    with pytest.raises(AssertionError, match=says):
        page.check_row(left, right)


@pytest.mark.parametrize(
    ("check", "text"),
    [
        (page.check_same, "`v.var()`"),
        (page.check_same, "`n // 2` → `[0, 2]`"),
        (page.check_missing, "`x.reshape`"),
        (page.check_missing, "`x.nothing`"),
    ],
)
def test_a_false_claim_that_all_is_the_same_or_missing_is_refused(check, text):
    with pytest.raises(AssertionError):
        check(text)


# ---------------------------------------------------------------- names and arguments


class Shared(NamedTuple):
    """Something callable that is in both libraries."""

    name: str
    ours: object
    theirs: object


def public(x):
    return [name for name in dir(x) if not name.startswith("_")]


def shared():
    """Every function, class and method of this package that PyTorch has too."""
    for name in public(Tensor):
        if hasattr(torch.Tensor, name) and callable(getattr(Tensor, name)):
            yield Shared(f"Tensor.{name}", getattr(Tensor, name), getattr(torch.Tensor, name))
    yield Shared("tensor", tensor, torch.tensor)
    yield Shared("grad", grad, torch.autograd.grad)
    for name, ours, theirs in members(of_modules=True):
        if theirs is None:
            continue
        yield Shared(name, ours, theirs)
        if isinstance(ours, type) and not issubclass(ours, Tensor):
            for method in vars(ours):
                if callable(getattr(ours, method)) and method in public(theirs):
                    yield Shared(f"{name}.{method}", getattr(ours, method), getattr(theirs, method))


def members(of_modules):
    """Name, ours and theirs (or None) of what the modules, or else the classes in them, define."""
    for ours, theirs in (
        (nn, torch.nn),
        (nn.functional, torch.nn.functional),
        (nn.init, torch.nn.init),
        (nn.utils, torch.nn.utils),
        (optim, torch.optim),
        (optim.lr_scheduler, torch.optim.lr_scheduler),
    ):
        for name in public(ours):
            member = getattr(ours, name)
            if not getattr(member, "__module__", "").startswith(ours.__name__):
                continue
            if of_modules:
                yield name, member, getattr(theirs, name, None)
            elif isinstance(member, type) and hasattr(theirs, name):
                for method in public(member):
                    yield method, getattr(member, method), getattr(theirs, name)


def parameters(f):
    """Parameter -> whether it has a default. Of a function in C, the docstring tells."""
    try:
        found = inspect.signature(f).parameters.values()
    except ValueError:
        line = re.match(r"\s*\w+\((.*?)\)(?: ->|\n)", f.__doc__ or "")
        texts = [text.strip() for text in line[1].split(",")] if line else []
        return {text.split("=")[0].strip("* "): "=" in text for text in texts if text != "*"}
    named = [p for p in found if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)]
    return {p.name: p.default is not p.empty for p in named}


def by_position(f):
    """The names of parameters that can be given by position; None for a function in C."""
    try:
        found = inspect.signature(f).parameters.values()
    except ValueError:
        return None
    return [p.name for p in found if p.kind is p.POSITIONAL_OR_KEYWORD]


def missing_arguments():
    """Every optional argument of PyTorch's that the same function of this package does not have."""
    return {
        name
        for function in shared()
        for name, optional in parameters(function.theirs).items()
        if optional and not name.startswith("_") and name not in parameters(function.ours)
    }


def listed_arguments():
    """The arguments in the page's list of those that are not here."""
    (text,) = re.findall(
        r"Nor are these arguments:.*", page.section("### What is not here"), re.DOTALL
    )
    return set(page.code(re.sub(r"\([^)]*\)|Of [^:]*:", "", text)))


def words_in_code():
    return set(re.findall(r"\w+", " ".join(page.code(page.section("## What is different")))))


def keywords_in_code():
    return set(re.findall(r"(\w+)=", " ".join(page.code(page.section("## What is different")))))


def test_the_page_lists_the_arguments_that_are_not_here():
    missing = missing_arguments()
    assert len(missing) > 30
    assert listed_arguments() <= missing
    assert (
        missing - listed_arguments() == {"dim", "keepdim", "correction", "p"} <= keywords_in_code()
    )


def test_the_page_names_everything_that_only_this_package_has():
    names = {name for name in public(Tensor) if not hasattr(torch.Tensor, name)}
    names |= {name for name, _, theirs in members(of_modules=True) if theirs is None}
    names |= {
        name for name, _, theirs in members(of_modules=False) if not hasattr(theirs, name)
    } - {"training"}  # PyTorch's instances have it
    assert {"astype", "MLP", "update"} <= names
    unnamed = names - words_in_code()
    assert not unnamed, f"name them on the page, or begin them with an underscore: {unnamed}"


def test_the_page_names_the_arguments_that_only_this_package_has():
    ours = {
        name
        for function in shared()
        for name, optional in parameters(function.ours).items()
        if optional and name not in parameters(function.theirs)
    }
    assert {"rng", "ddof"} <= ours <= keywords_in_code()


def test_what_is_given_by_position_means_the_same():
    compared = 0
    for function in shared():
        ours, theirs = by_position(function.ours), by_position(function.theirs)
        if ours and theirs and "axis" not in ours:  # the tables say what becomes of axes
            assert ours == theirs[: len(ours)], function.name
            compared += 1
    assert compared > 50
