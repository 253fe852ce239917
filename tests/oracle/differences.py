"""The tables of the page on leaving for PyTorch, read and run under both libraries.

Every cell is code. A row claims three things: that each program gives what is written behind it;
that one on the right with nothing behind it gives what its neighbour on the left gives (the others
are the same program, or go on from it); and that the two are a difference at all.
"""

import ast
import math
import re
import warnings
from typing import Any, NamedTuple

import numpy as np
import torch
from howto import HOWTO

import tinygrad_mnist

PAGE = (HOWTO / "pytorch.md").read_text(encoding="utf-8")
LIBRARIES = {"here": tinygrad_mnist, "there": torch}


# ---------------------------------------------------------------- reading


class Cell(NamedTuple):
    """A program, and what the page says about it: a value or an error, and whether it warns."""

    program: str
    kind: str = ""  # "→", "raises", or nothing
    value: Any = None
    warns: bool = False


def section(heading):
    """The text beneath a heading, up to the next of the same level or a higher one."""
    level, _, _ = heading.partition(" ")
    _, found, rest = PAGE.partition(f"\n{heading}\n")
    assert found, f"the page has no {heading!r}"
    return re.split(rf"\n#{{1,{len(level)}}} ", rest)[0]


def table(text):
    """The rows of all tables in a text, each a list of cells, without the heads."""
    lines = [line for line in text.splitlines() if line.startswith("|")]
    rules = {i for i, line in enumerate(lines) if set(line) <= set("|-")}
    return [
        [cell.strip() for cell in line.strip("|").split("|")]
        for i, line in enumerate(lines)
        if i not in rules and i + 1 not in rules
    ]


def code(text):
    """Everything in the running text and the tables that is set as code."""
    return re.findall(r"`([^`]+)`", re.sub(r"```.*?```", "", text, flags=re.DOTALL))


def cells(text):
    """The programs in a cell of a table. "then" carries a program on."""
    found: list[Cell] = []
    tokens = re.findall(r"`[^`]+`|→|raises|(?:and )?warns|then|[^\s,]+", text.replace("<br>", " "))
    while tokens:
        word = tokens.pop(0)
        if word in ("→", "raises"):
            written = tokens.pop(0).strip("`")
            value = written if word == "raises" else constant(written)
            found[-1] = found[-1]._replace(kind=word, value=value)
        elif word.endswith("warns"):
            found[-1] = found[-1]._replace(warns=True)
        elif word == "then":
            program = f"{found[-1].program}\n{tokens.pop(0).strip('`')}"
            found[-1] = found[-1]._replace(program=program)
        elif word.startswith("`"):
            found.append(Cell(word.strip("`")))
        else:
            raise AssertionError(f"{word!r} in {text!r} is no code, so nothing can test it")
    assert found, f"nothing in {text!r} can be run"
    return found


def constant(written):
    """What the page writes as the value of a program; other names than nan and inf as text."""
    try:
        return eval(written, {"nan": math.nan, "inf": math.inf})
    except NameError:
        return written


# ---------------------------------------------------------------- running


class Outcome(NamedTuple):
    """What a program did: gave a value, or raised an error of this name."""

    kind: str
    value: Any
    warned: bool


def names(where):
    """The names that the page's code may use, made anew under one of the libraries."""
    blocks = re.findall(r"```\w+\n(.*?)```", section("## What is different"), re.DOTALL)
    ours, theirs, definitions = blocks
    found = {"np": np, "torch": LIBRARIES[where]}
    exec(ours if where == "here" else theirs, found)
    exec(definitions, found)
    return found


def run(program, where):
    """Run a program anew under one of the libraries."""
    found = names(where)
    always = torch.is_warn_always_enabled()
    torch.set_warn_always(True)
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            kind, value = "→", plain(evaluate(program, found))
    except Exception as error:  # noqa: BLE001 - whatever it raises is what it does
        kind, value = "raises", type(error).__name__
    finally:
        torch.set_warn_always(always)
    # NumPy's deprecations depend on its version, and are meant for those who write PyTorch.
    warned = any(not issubclass(w.category, DeprecationWarning) for w in caught)
    return Outcome(kind, value, warned)


def evaluate(program, found):
    """The value of a program: that of its last line, if it is an expression."""
    *_, last = lines = ast.parse(program).body
    if isinstance(last, ast.Expr):
        lines.pop()
        exec(compile(ast.Module(lines, []), "program", "exec"), found)
        return eval(compile(ast.Expression(last.value), "program", "eval"), found)
    return exec(program, found)


def plain(value):
    """A value in Python's own types: of tensors the numbers, of other objects the class."""
    if isinstance(value, torch.Tensor | tinygrad_mnist.Tensor | np.ndarray):
        return (value if isinstance(value, np.ndarray) else value.detach()).tolist()
    if isinstance(value, torch.dtype | np.dtype):
        return str(value).removeprefix("torch.")
    if isinstance(value, list | tuple):
        return [plain(v) for v in value]
    if isinstance(value, dict):
        return {name: plain(v) for name, v in value.items()}
    if value is None or isinstance(value, bool | int | float | str):
        return value
    return value.__name__ if isinstance(value, type) else type(value).__name__


def same(a, b):
    """Whether two plain values or outcomes are the same, numbers to four digits."""
    if isinstance(a, list | tuple) and isinstance(b, list | tuple):
        return len(a) == len(b) and all(map(same, a, b))
    if isinstance(a, dict) and isinstance(b, dict):
        return a.keys() == b.keys() and all(same(a[name], b[name]) for name in a)
    if float in (type(a), type(b)) and {type(a), type(b)} <= {float, int}:
        both_nan = math.isnan(a) and math.isnan(b)
        return both_nan or math.isclose(a, b, rel_tol=1e-4, abs_tol=1e-15)
    return type(a) is type(b) and a == b


# ---------------------------------------------------------------- judging


def check_written(cell, outcome):
    """A program gives what is written behind it, and warns only if that is written."""
    kind, value = (cell.kind, cell.value) if cell.kind else ("→", outcome.value)
    assert same(outcome, Outcome(kind, value, cell.warns)), f"{cell.program}: it {outcome}"


def check_row(left, right):
    """The three claims of a row."""
    ours, theirs = cells(left), cells(right)
    count = max(len(ours), len(theirs))
    assert {len(ours), len(theirs)} <= {1, count}, f"{left!r} has more programs than {right!r}"
    for a, b in zip(ours * (count // len(ours)), theirs * (count // len(theirs)), strict=True):
        here, there = run(a.program, "here"), run(b.program, "there")
        check_written(a, here)
        check_written(b, there)
        if b.kind:
            claim = f"{b.program!r} has a result of its own, but does not begin with {a.program!r}"
            assert b.program.startswith(a.program), claim
        else:
            assert same(here[:2], there[:2]), (
                f"not the same: {a.program}: {here}; {b.program}: {there}"
            )
        unchanged = same(here, run(a.program, "there")) and same(there, run(b.program, "here"))
        assert not unchanged, f"no difference: {a.program} and {b.program} do the same under both"


def check_same(text):
    """Every program in a cell does the same under both, and what is written behind it."""
    for cell in cells(text):
        here, there = run(cell.program, "here"), run(cell.program, "there")
        check_written(cell, here)
        assert same(here, there), f"not the same: {cell.program}: {here}; {there}"


def check_missing(text):
    """Every program in a cell works in PyTorch, and here fails since something is not there."""
    for cell in cells(text):
        here, there = run(cell.program, "here"), run(cell.program, "there")
        assert there.kind == "→", f"{cell.program}: in PyTorch it {there}"
        gone = here.kind == "raises" and here.value in ("AttributeError", "TypeError")
        assert gone, f"{cell.program}: here it {here}"
