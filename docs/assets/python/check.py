"""Judges a backward pass that a reader has written: each line by itself, with a sentence for each.

A line is judged with the right values of everything before it, so that one mistake is told once. A
function is taken apart, and its lines are judged like any others.
"""

import functions
from arrays import Array, ShapeError, asarray
from assignments import changed_in_place, in_place
from words import FILE, in_words, line_of, not_an_array, unreadable

from tinygrad_mnist.bridge.diagnosis import diagnose
from tinygrad_mnist.bridge.mistakes import Right

TOLERANCE = 1e-10  # as in `bridge.compare`


class Problem:
    """A network, a batch, and all its right terms.

    Built from what the package has written: `terms` with nested lists by name, `scale` with the
    largest sum of absolute values behind a term, by which errors are measured, `gradients`, the
    names that are asked for, in order, and depth, activation, loss and l2.
    """

    def __init__(self, told):
        terms = {name: asarray(value) for name, value in told["terms"].items()}
        self.gradients, self.scale, self.l2 = told["gradients"], told["scale"], told["l2"]
        self.activation, self.targets = told["activation"], asarray(told["targets"])
        self.right = Right(terms, self.targets, told["depth"], told["loss"], told["l2"])

    def given(self):
        """The names that a reader's lines may use, with fresh values."""
        names = {
            name: value.copy()
            for name, value in self.right.terms.items()
            if name[0] in "AZWb" and name[1:].isdigit()
        }
        B, C = self.targets.shape
        labels = asarray([row.data.index(1) for row in self.targets])
        names.update({"X": names["A0"].copy(), "Y": self.targets.copy(), "labels": labels})
        names.update({"B": B, "C": C, "lam": self.l2, "l2": self.l2, "λ": self.l2})
        for name in ("zeros", "ones", "zeros_like", "ones_like", "exp", "log", "tanh", "maximum"):
            names[name] = getattr(functions, name)
        names.update({"np": functions, "sigmoid": sigmoid, "relu": relu, "input": no_input})
        names["changed_in_place"] = changed_in_place
        names.update({"slope": SLOPES[self.activation], "sigmoid_slope": SLOPES["sigmoid"]})
        return names


def sigmoid(z):
    """1 / (1 + e^-z)."""
    return 1 / (1 + functions.exp(-asarray(z)))


def relu(z):
    """max(z, 0)."""
    return functions.maximum(z, 0)


def no_input(*_):
    """Nobody answers here."""
    raise ValueError("input() has nobody to ask in this page: write the value into the line")


SLOPES = {
    "sigmoid": lambda z: sigmoid(z) * (1 - sigmoid(z)),
    "tanh": lambda z: 1 - functions.tanh(z) ** 2,
    "relu": lambda z: 1.0 * (asarray(z) > 0),
}


# ---------------------------------------------------------------- the statements of a text


class Statement:
    """A statement at the left margin, with all lines that belong to it.

    Attributes
    ----------
    text : str
    line : int
        The number of its first line.
    targets : list of str
        The names that are assigned in it.
    """

    def __init__(self, lines, line):
        self.text, self.line = "\n".join(lines), line
        self.targets = [name for text in lines for name in assigned(text)]

    def within(self, word):
        """Whether it begins with a word such as def."""
        return self.text.split("(")[0].split(" ")[0] == word


def statements(source, first=1):
    """The statements of a text, in order."""
    found, lines, begun, depth = [], [], first, 0
    for number, line in enumerate(source.split("\n"), first):
        code = without_strings(line)
        margin = bool(code.strip()) and not code[0].isspace() and depth <= 0
        goes_on = code.split(" ")[0].strip(":") in ("else", "elif", "except", "finally")
        held = lines and (lines[-1].endswith("\\") or lines[0].startswith("@"))
        if margin and not goes_on and not held:
            if "".join(lines).strip():
                found.append(Statement(lines, begun))
            lines, begun, depth = [], number, 0
            *several, line = code.split(";") if ";" in code and "'" not in line else [line]
            found += [Statement([one.strip()], number) for one in several]
            line = line.strip() if several else line
        lines.append(line)
        depth += deeper(code)
    if "".join(lines).strip():
        found.append(Statement(lines, begun))
    return found


def deeper(code):
    """How many more brackets a line opens than it closes."""
    return sum([code.count(c) for c in "([{"]) - sum([code.count(c) for c in ")]}"])


def without_strings(line):
    """A line without its comment, and with empty strings."""
    kept, quote = "", ""
    for c in line:
        if quote:
            quote = "" if c == quote else quote
        elif c == "#":
            break
        elif c in "'\"":
            quote = c
            kept += c
        else:
            kept += c
    return kept


def assigned(line):
    """The names to the left of = in a line."""
    code, depth = without_strings(line), 0
    for i, c in enumerate(code):
        depth += (c in "([{") - (c in ")]}")
        if c == "=" and not depth:
            if code[i + 1 : i + 2] == "=" or code[i - 1 : i] in "!<>=":
                return []
            left = code[:i].rstrip("+-*/@|&% ")
            return [part.strip(" ()*").split("[")[0].strip() for part in left.split(",")]
    return []


def gradient_named(name, gradients):
    """The gradient that a reader's name means: dw2, dW_2, grad_W2 and dL_dW2 are dW2."""
    plain = name.replace("_", "").lower()
    for long, short in (("dldd", "d"), ("dld", "d"), ("grad", "d"), ("delta", "dz"), ("δ", "dz")):
        if plain.startswith(long):
            plain = short + plain[len(long) :]
    return next((known for known in gradients if known.lower() == plain), None)


def function_inside(parts, gradients):
    """The function among statements that computes gradients, if there is one."""
    for part in parts:
        if part.within("def") and any([gradient_named(n, gradients) for n in part.targets]):
            return part
    return None


def body(function):
    """The statements of a function, moved to the margin; `return` becomes an assignment."""
    lines, inner, depth = function.text.split("\n"), [], 0
    while lines:
        code = without_strings(lines.pop(0)).rstrip()
        inner.append(code)
        depth += deeper(code)
        if depth <= 0 and code.endswith(":"):
            break
    head, inner = len(inner), lines
    first = next((line for line in inner if without_strings(line).strip()), "")
    indent = first[: len(first) - len(first.lstrip())]
    moved = [line[len(indent) :] if line.startswith(indent) else line.lstrip() for line in inner]
    moved = ["returned = " + line[6:].strip() if line.startswith("return ") else line
             for line in moved]  # fmt: skip
    return statements("\n".join(moved), function.line + head)


# ---------------------------------------------------------------- judging


def check(source, problem):
    """Judge a backward pass.

    Parameters
    ----------
    source : str
        What a reader has written.
    problem : Problem
        The network and its right terms.

    Returns
    -------
    list of dict
        In the order of the lines: line, name (a gradient, or ""), verdict ("right", "wrong",
        "error"), text, mistakes (names), equation. A gradient without a line comes last, with
        line 0 and the verdict "missing".
    """
    run = begun(source, problem)
    for place in run.unexplained:
        run.explain(place)
    return run.verdicts


def begun(source, problem):
    """Judge a backward pass without looking for the causes of what is wrong, which takes longer."""
    parts = statements(source)
    function = function_inside(parts, problem.gradients)
    if function:
        i = parts.index(function)
        parts = parts[: i + 1] + body(function) + parts[i + 1 :]
    run = Run(parts, problem)
    run.through()
    return run


class Run:
    """One run through the statements, each with right values of what came before."""

    def __init__(self, parts, problem):
        self.parts, self.problem, self.names = parts, problem, problem.given()
        self.given = {k: v for k, v in problem.given().items() if isinstance(v, Array)}
        self.verdicts, self.failed = [], {}
        self.unexplained = {}  # place among the verdicts -> name and value of a wrong gradient
        self.last = {}  # gradient -> the statement in which it gets its last value
        for part in parts:
            for name in [] if part.within("def") else part.targets:
                if gradient_named(name, problem.gradients):
                    self.last[gradient_named(name, problem.gradients)] = part
        for name in problem.gradients:  # so that a single line can be tried
            if name not in self.last:
                self.names[name] = problem.right.terms[name].copy()

    def through(self):
        """Judge each line, and say which gradients are missing."""
        for part in self.parts:
            self.run(part)
        written = [verdict["name"] for verdict in self.verdicts]
        for name in self.problem.gradients:
            if name not in written:
                self.say(0, name, "missing", f"{name} is still to be written.")

    def run(self, part):
        """Run a statement and judge the gradients that are complete after it."""
        mine = []
        for name in [] if part.within("def") else part.targets:
            gradient = gradient_named(name, self.problem.gradients)
            if gradient and self.last[gradient] is part and (gradient, name) not in mine:
                mine.append((gradient, name))
        try:
            lines = "\n" * (part.line - 1) + in_place(part.text) + "\n"
            exec(compile(lines, FILE, "exec"), self.names)
        except SystemExit:
            self.error(part, part.line, mine, "exit() ends a program. Here, just leave it out.")
        except SyntaxError:
            self.error(part, part.line, mine, unreadable(part.text, part.line))
        except Exception as error:
            line = line_of(error) or part.line
            self.error(part, line, mine, in_words(error, part, line, self))
        else:
            for gradient, name in mine:
                self.judge(part.line, gradient, self.names.get(name))
        self.put_right(mine)

    def put_right(self, mine):
        """Give the gradients of a statement, and what it changed by accident, right values."""
        for gradient, name in mine:
            for each in (gradient, name):
                self.names[each] = self.problem.right.terms[gradient].copy()
        changed_on_purpose = [name for part in self.parts for name in part.targets]
        for name, value in self.given.items():
            if name not in changed_on_purpose:
                self.names[name] = value.copy()

    def judge(self, line, name, value):
        """Say whether a gradient is right, or which mistake explains it."""
        expected = self.problem.right.terms[name]
        try:
            value = asarray(value)
        except (TypeError, ShapeError):
            self.say(line, name, "error", not_an_array(name, value))
            return
        limit = TOLERANCE * self.problem.scale[name]
        if value.shape == expected.shape and abs(value - expected).max().item() <= limit:
            self.say(line, name, "right", "right")
        else:
            self.unexplained[len(self.verdicts)] = (name, value)
            self.say(line, name, "wrong", "not right")

    def explain(self, place):
        """Find the cause of a wrong gradient, and add it to its verdict."""
        name, value = self.unexplained[place]
        rounding = 0.01 * TOLERANCE * self.problem.scale[name]
        found = diagnose(self.problem.right, name, value, rounding)
        self.verdicts[place].update({"text": found.text, "mistakes": list(found.names)})
        return self.verdicts[place]

    def error(self, part, line, mine, text):
        """Say what stopped a statement, once, and remember the names that it did not make."""
        self.failed.update(dict.fromkeys(part.targets, line))
        for name in [gradient for gradient, _ in mine] or [""]:
            self.say(line, name, "error", text)

    def say(self, line, name, verdict, text):
        """Add to what is said."""
        equation = self.problem.right.equation(name) if name else ""
        self.verdicts.append(
            {"line": line, "name": name, "verdict": verdict, "text": text,
             "mistakes": [], "equation": equation}
        )  # fmt: skip
