"""The cause of a wrong gradient: the simplest mistakes of the table that give the same value."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tinygrad_mnist.bridge.mistakes import ADDED, FACTORS, MISTAKES, PENALTIES, WHOLE, Here

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tinygrad_mnist.bridge.mistakes import Array, Formula, Right

    Told = tuple[str, str]  # the name of a mistake, and its sentence
    Results = list[tuple[list[Told], Array]]


class Guess:
    """What mistakes would give, and what it has to equal, up to a sign and a factor.

    Attributes
    ----------
    made : list of (str, str)
        The mistakes, each with its name and sentence; none if only a sign or factor is wrong.
    guess, value : array
        The two that have to be equal.
    apart : str
        A description of what both of them leave out.
    """

    def __init__(self, made: list[Told], guess: Array, value: Array, apart: str = "") -> None:
        self.made, self.guess, self.value, self.apart = made, guess, value, apart

    def factor(self, limit: float) -> float | None:
        """The number that makes the guess equal to the value up to `limit`, if there is one."""
        if self.guess.shape != self.value.shape or not self.promising(limit):
            return None
        largest = abs(self.guess).max().item()
        if largest == 0:
            return 1.0 if abs(self.value).max() <= limit else None
        unit = self.guess / largest
        c = ((self.value * unit).sum() / (unit * unit).sum()).item() / largest
        return c if self.error(c) <= limit else None

    def promising(self, limit: float) -> bool:
        """Whether the first and the last entry have the same ratio; most guesses fail here."""
        a, b, x, y = [v.item(i) for v in (self.guess, self.value) for i in (0, -1)]
        apart, rounding = abs(a * y - b * x), 1e-9 * (abs(a * y) + abs(b * x))
        return not apart > limit * (abs(a) + abs(b)) + rounding

    def error(self, c: float) -> float:
        """How far c times the guess is from the value."""
        return abs(self.value - c * self.guess).max().item()


class Cause(Guess):
    """A guess that explains the value, with a sign and a factor if they are needed."""

    def __init__(self, guess: Guess, extra: list[Told], c: float) -> None:
        super().__init__(guess.made + extra, guess.guess, guess.value)
        told = [", and ".join([text for _, text in guess.made])] if guess.made else []
        told += [text for _, text in extra]
        self.text = (guess.apart if extra else "") + ", ".join(told)
        self.rest = guess.error(c)


class Diagnosis:
    """The simplest mistakes that explain a wrong gradient: a text, and their names."""

    def __init__(self, text: str, names: tuple[str, ...]) -> None:
        self.text, self.names = text, names


def diagnose(right: Right, name: str, value: Array, rounding: float) -> Diagnosis:
    """The simplest mistake, or mistakes, that would give the gradient `name` this `value`.

    Each known mistake is tried on the right terms, alone and together with a wrong sign or factor.
    It counts as the cause if its result is the value, up to a millionth of the difference to be
    explained.

    Parameters
    ----------
    right : Right
        The network's right terms.
    name : str
        Name of the gradient, such as dW2.
    value : array
        The wrong gradient.
    rounding : float
        The largest difference that rounding alone may cause.

    Returns
    -------
    Diagnosis
        Has the attributes ``text``, one or more sentences, and ``names``, those of the mistakes.
    """
    if strange := (1 * (value - value != 0)).sum().item():
        return not_finite(strange, value)
    expected, here = right.terms[name], Here(right, int(name[2:]))
    same_shape = value.shape == expected.shape
    limit = 1e-6 * abs(value - expected if same_shape else value).max().item() + rounding
    scaled, roles = list(unmistaken(here, name, value)), right.roles(name)
    scales = factors(roles, here.B, here.C)
    causes = []
    for guess in scaled + list(mistaken(here, roles, name, value)):
        causes += explained(guess, scales, limit)
    for find in (any_factor, another_term, addition):
        if not causes and same_shape:
            causes += find(here, scaled, name, limit)
    return simplest(causes, rounding) if causes else unknown(expected, value)


def not_finite(strange: int, value: Array) -> Diagnosis:
    """Describe a gradient with numbers that are none."""
    size = entries(0 * (value == 0) + 1)
    return Diagnosis(
        f"{strange} of {size} elements {'is' if strange == 1 else 'are'} NaN or infinite. "
        "Was there an overflow, a division by 0 or a logarithm of 0?",
        ("not-finite",),
    )


def unknown(expected: Array, value: Array) -> Diagnosis:
    """Describe a gradient that no known mistake explains."""
    if value.shape != expected.shape:
        text = f"its shape is {value.shape}, expected {expected.shape}."
        return Diagnosis(text, ("shape",))
    return Diagnosis(
        "no known mistake (factor, sign, transpose, axis, slope, upstream gradient, L2) "
        "explains it. Compare it with its equation.",
        (),
    )


def unmistaken(here: Here, name: str, value: Array) -> Iterator[Guess]:
    """The right value, and for dW also the part without the penalty: a factor may be wrong."""
    yield Guess([], here.right.terms[name], value)
    if name[:2] == "dW" and here.l2 and value.shape == here.W.shape:
        decay = here.l2 * here.W
        yield Guess([], here.dW - decay, value - decay, f"apart from λW{here.layer}, ")


def mistaken(here: Here, roles: list[str], name: str, value: Array) -> Iterator[Guess]:
    """What all known mistakes would give that can be made in a gradient of these roles."""
    for mistake, kinds, text, change in WHOLE:
        for bare in unmistaken(here, name, value) if roles[0] in kinds.split() else ():
            yield Guess([(mistake, bare.apart + text)], change(bare.guess), bare.value)
    rows = [
        (mistake, text, formula)
        for mistake, kinds, text, formula in MISTAKES
        if set(roles) & set(kinds.split())
    ]
    if roles[0] == "dW":
        yield from with_penalties(here, results(rows, here), value)
    else:
        for made, found in results(rows, here):
            yield Guess(made, found, value)


def with_penalties(here: Here, wrong: Results, value: Array) -> Iterator[Guess]:
    """Gradients of the weights without the penalty, completed by right and wrong penalties."""
    decay = here.l2 * here.W
    penalties = results(PENALTIES, here) if here.l2 else []
    right: Results = [([], here.dW - decay)]
    for made, found in right + wrong:
        if found.shape != decay.shape:
            yield Guess(made, found, value)
            continue
        yield Guess(made, found + decay, value)
        if here.l2 and value.shape == decay.shape:
            yield Guess(made, found, value - decay, f"apart from λW{here.layer}, ")
        for told, penalty in penalties:
            yield Guess(made + told, found + penalty, value)


def results(rows: list[tuple[str, str, Formula]], here: Here) -> Results:
    """What the formulas of a table give, each with its mistake, where they can be computed."""
    found = [([(name, placed(text, here))], result(f, here)) for name, text, f in rows]
    return [(made, value) for made, value in found if value is not None]


def result(formula: Formula, here: Here) -> Array | None:
    """What a formula gives, or None if a term is missing or the shapes do not fit."""
    try:
        return formula(here)
    except (LookupError, ValueError, ZeroDivisionError):
        return None


def placed(text: str, here: Here, c: float = 0.0) -> str:
    """A sentence with the numbers of the layers."""
    return text.format(l=here.layer, next=here.layer + 1, before=here.layer - 1, c=c)


def factors(roles: list[str], B: int, C: int) -> list[tuple[list[Told], float]]:
    """All signs and factors, with what is said of them."""
    found: list[tuple[list[Told], float]] = [([], 1.0)]
    for name, kinds, opening, label, hint, of in FACTORS:
        if roles[0] in kinds.split():
            c = of(B, C)
            size = f"{c:.6g} times too large" if c > 1 else f"{1 / c:.6g} times too small"
            found.append(([(name, f"{opening or 'it is '}{size}: a factor {label}. {hint}")], c))
    turned = [("sign", "its sign is wrong")]
    return found + [(turned + told, -c) for told, c in found]


def explained(guess: Guess, scales: list[tuple[list[Told], float]], limit: float) -> list[Cause]:
    """The causes that a guess gives with any of the known signs and factors."""
    c = guess.factor(limit)
    if c is None:
        return []
    largest = abs(guess.guess).max().item()
    least = limit / largest if largest > limit else 1.0
    fits = [(told, scale) for told, scale in scales if abs(c - scale) <= least]
    return [Cause(guess, told, scale) for told, scale in fits if guess.made or told]


def any_factor(here: Here, scaled: list[Guess], name: str, limit: float) -> list[Cause]:
    """The right value times a number that has no name; one element alone is no evidence."""
    found = []
    for guess in scaled:
        c = guess.factor(limit)
        if c is not None and entries(guess.guess) > 1:
            text = f"it is {c:.10g} times the right value"
            found.append(Cause(guess, [("any-factor", text)], c))
    return found


def another_term(here: Here, scaled: list[Guess], name: str, limit: float) -> list[Cause]:
    """Another term of the network that the value equals."""
    found = []
    for term in sorted(here.right.terms):
        right = here.right.terms[term]
        guess = Guess([("another-term", f"it equals {term}")], right, scaled[0].value)
        if term != name and "slope" not in term and entries(right) > 1:
            found += explained(guess, factors([""], here.B, here.C), limit)
    return found


def addition(here: Here, scaled: list[Guess], name: str, limit: float) -> list[Cause]:
    """A term, times any number, that was added to the right value."""
    known = [row for row in ADDED if name[:2] == row[1]]
    terms = [
        ("added-term", name[:2], "{c:.4g} " + term + " was added, which does not belong here",
         lambda h, term=term: h.right.terms[term])
        for term in sorted(here.right.terms)
        if "slope" not in term
    ]  # fmt: skip
    for rows in (known, terms):
        found = []
        for mistake, _, text, formula in rows:
            added = Guess([], result(formula, here), scaled[0].value - scaled[0].guess)
            c = None if added.guess is None else added.factor(limit)
            if c is not None and entries(added.guess) > 2:
                found.append(Cause(added, [(mistake, placed(text, here, c))], c))
        if found:
            return found
    return []


def entries(x: Array) -> int:
    """The number of entries other than 0."""
    return (1 * (x != 0)).sum().item()


def simplest(causes: list[Cause], rounding: float) -> Diagnosis:
    """The causes with the fewest mistakes, without those that fit much worse than the best."""
    fewest = min([len(cause.made) for cause in causes])
    causes = [cause for cause in causes if len(cause.made) == fewest]
    best = min([cause.rest for cause in causes])
    fitting: list[Cause] = []
    for cause in causes:
        known = [other.text for other in fitting]
        if cause.rest <= 1000 * best + rounding and cause.text not in known:
            fitting.append(cause)
    said = [c.text if c.text[-1] == "?" else f"{c.text}." for c in fitting]
    names = [name for cause in fitting for name, _ in cause.made]
    return Diagnosis(
        " Or: ".join(said), tuple([n for i, n in enumerate(names) if n not in names[:i]])
    )
