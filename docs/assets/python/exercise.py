"""Runs a reader's code with what a page has prepared, and the check of an exercise."""

import math

from arrays import Array
from assignments import changed_in_place, in_place
from words import FILE, in_words, line_of, unreadable


class Output:
    """What print has written; cut off when it becomes too long to read."""

    def __init__(self):
        self.text = ""

    def print(self, *values, sep=" ", end="\n", **_):
        """Write values as Python's print does."""
        if len(self.text) < 10_000:
            self.text += sep.join([str(value) for value in values]) + end


class Part:
    """A reader's code as one statement, for the sentences in `words`."""

    def __init__(self, text, names):
        self.text, self.line, self.names, self.failed = text, 1, names, {}


builtin_zip = zip


def zip_like(*lists, strict=False):
    """Python's zip; that of MicroPython takes no `strict`."""
    return builtin_zip(*lists)


def prepared(output):
    """The names that code begins with."""
    names = {"math": math, "print": output.print, "zip": zip_like}
    names["changed_in_place"] = changed_in_place
    return names


def printed(before, source):
    """Run code after what a page has prepared: its output, or what stopped it, and where.

    The value of a last line that is an expression is printed, as in a notebook.
    """
    output = Output()
    names = prepared(output)
    try:
        exec(compile(before, "<page>", "exec"), names)
        run(source, names)
    except SystemExit:
        return {"output": output.text, "error": "exit() ends a program. Leave it out.", "line": 0}
    except SyntaxError:
        return {"output": output.text, "error": unreadable(source, 1), "line": 0}
    except Exception as error:
        line = line_of(error) or 0
        part = Part(source, names)
        return {"output": output.text, "error": in_words(error, part, line, part), "line": line}
    return {"output": output.text, "error": "", "line": 0}


def run(source, names):
    """Run code; the value of a last line at the margin that is an expression is printed."""
    lines = source.rstrip().split("\n")
    if lines[-1] and not lines[-1][0].isspace() and is_expression(lines[-1]):
        lines[-1] = "shown_at_the_end = " + lines[-1]
    exec(compile(in_place("\n".join(lines)) + "\n", FILE, "exec"), names)
    if names.get("shown_at_the_end") is not None:
        names["print"](repr(names["shown_at_the_end"]))


def is_expression(line):
    """Whether a line has a value."""
    try:
        compile(line, FILE, "eval")
    except SyntaxError:
        return False
    return True


def answered(before, source, check, wanted):
    """Grade an answer: run it, then `check` with the names that it wants.

    An answer that stops in a line of its own is not judged: with all of NumPy it might be right.
    """
    output = Output()
    names = prepared(output)
    part = Part(source, names)
    try:
        exec(compile(before, "<page>", "exec"), names)
        exec(compile(in_place(source) + "\n", FILE, "exec"), names)
        for name in wanted:
            if names.get(name, ...) is ...:
                return said(False, f"There is no {name} yet: write it.", output)
        exec(compile(check, "<check>", "exec"), names)
        names["check"](*[working_on_copies(names[name]) for name in wanted])
    except AssertionError as error:
        return said(False, str(error) or "An assertion in your code fails.", output)
    except SyntaxError:
        return said(False, unreadable(source, 1), output, stopped=True)
    except SystemExit:
        return said(False, "exit() ends a program. Leave it out.", output, stopped=True)
    except Exception as error:
        line = line_of(error)
        where = f"Line {line}: " if line else ""
        words = where + in_words(error, part, line or 0, part)
        return said(False, words, output, stopped=bool(line))
    return said(True, "right", output)


def working_on_copies(answer):
    """A reader's function that may work in place: the arrays of the check stay as they are."""
    if isinstance(answer, type) or not callable(answer):
        return answer

    def called(*given, **named):
        return answer(*map(own, given), **{name: own(value) for name, value in named.items()})

    return called


def own(value):
    """An array with the same numbers; anything else as it is."""
    return value.copy() if isinstance(value, Array) else value


def said(right, sentence, output, stopped=False):
    """A verdict."""
    return {"right": right, "sentence": sentence, "output": output.text, "stopped": stopped}
