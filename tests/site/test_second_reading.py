"""A second reading of the site's equations: what each says of numbers, found without the hook.

What is printed is read back as LaTeX, with letters that are drawn here. What it should be is
computed here, too, from what the equation means: by central differences of a loss that is written
out anew, by loops over examples, or by trying all cases. No check of the pages takes part.
"""

from functools import cache
from itertools import product
from pathlib import Path

import numpy as np
import pages
import pytest
from equations.write import lines
from reading import read

DERIVATIONS = Path(__file__).parents[2] / "docs" / "derivations"
PAGES = {page.number: page for page in (pages.load(f).page for f in DERIVATIONS.glob("*.py"))}
FUNCTIONS = {r"\tanh": np.tanh, r"\max": max, r"\min": min, r"\operatorname{diag}": np.diag}


def slope(f, x, h=1e-5):
    """The derivative of every entry of f(x) with respect to every entry of x: shape of f, of x."""
    x = np.asarray(x, float)
    found = np.empty((*np.shape(f(x)), *x.shape))
    for place in np.ndindex(x.shape):
        step = np.zeros(x.shape)
        step[place] = h
        found[(..., *place)] = (f(x + step) - f(x - step)) / (2 * h)
    return found


def curvature(f, x):
    return slope(lambda x: slope(f, x, 1e-3), x, 1e-3)


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def softmax(z):
    return np.exp(z) / np.exp(z).sum(axis=-1, keepdims=True)


SIGMOID = {
    r"\sigma": sigmoid,
    r"\sigma'": lambda x: np.vectorize(lambda entry: slope(sigmoid, entry))(x),
}


@cache
def printed(number):
    """The right sides of all lines of an equation."""
    page = PAGES[int(number.split(".")[0])]
    found = [line for x in page.equations.values() if x.number == number for line in lines(x)]
    assert found, f"there is no ({number})"
    return [right for _, right in found]


def chain_rule(draw):
    u, v = draw(), draw()
    a, c = u * v, u * v + u
    letters = {"u": u, "v": v, "a": a, "c": c, "a_{u}": v, "c_{u}": v + 1, "dc": a}
    letters["da"] = slope(lambda a: a * (a + u), a)
    yield "1.4", slope(lambda u: u * v, u), letters
    yield "1.5", slope(lambda u: u * v + u, u), letters
    yield "1.6", slope(lambda u: u * v * (u * v + u), u), letters
    yield "1.7", slope(lambda c: a * c, c), letters
    yield "1.8", letters["da"], letters
    yield "1.9", slope(lambda u: u * v * (u * v + u), u), letters
    yield "1.10", slope(lambda v: u * v * (u * v + u), v), letters
    W, x, dy = draw(3, 2), draw(3), draw(2)
    J = slope(lambda x: x**2 @ W, x)
    letters = {"W": W, "x": x, "J": J, "dy": dy, "n": 3, "m": 2}
    yield "1.11", x**2 @ W, letters, "i"
    yield "1.12", J, letters, "ij"
    yield "1.13", slope(lambda x: dy @ (x**2 @ W), x), letters, "j"
    yield "1.14", slope(lambda x: dy @ (x**2 @ W), x), letters


def linear(draw):
    X, W, b, dZ = draw(2, 3), draw(3, 4), draw(4), draw(2, 4)
    letters = {"X": X, "W": W, "b": b, "dZ": dZ, "B": 2, "n": 3, "m": 4}
    Z = np.array(
        [[sum(X[i, k] * W[k, j] for k in range(3)) + b[j] for j in range(4)] for i in range(2)]
    )

    def loss(X, W, b):
        return np.sum(dZ * (X @ W + b))

    yield "2.1", Z, letters
    yield "2.2", Z, letters, "ij"
    yield "2.3", slope(lambda W: loss(X, W, b), W), letters, "kj"
    yield "2.4", slope(lambda W: loss(X, W, b), W), letters
    yield "2.5", slope(lambda X: loss(X, W, b), X), letters
    yield "2.6", slope(lambda b: loss(X, W, b), b), letters, "j"


def activations(draw):
    z, Z, dA = draw(), draw(2, 3), draw(2, 3)
    letters = {"z": z, "s": sigmoid(z), "t": np.tanh(z)} | SIGMOID
    for number in ("3.2", "3.3", "3.6"):
        yield number, slope(sigmoid, z), letters
    yield "3.4", 1 - 4 * slope(sigmoid, z), letters
    yield "3.5", slope(sigmoid, z), letters
    yield "3.7", np.tanh(z), letters
    yield "3.8", np.tanh(z), letters
    yield "3.9", slope(np.tanh, z), letters
    yield "3.11", slope(lambda z: max(z, 0), z), letters
    letters = {"Z": Z, "dA": dA, "B": 2, "n": 3} | SIGMOID
    row = slope(sigmoid, Z[0])
    for k in range(3):
        yield "3.13", row[:, k], letters | {"i": 1, "k": k + 1}, "j"
    yield "3.14", slope(lambda Z: np.sum(dA * sigmoid(Z)), Z), letters


def classes(draw):
    z, c, g, y = draw(3), draw(), draw(3), np.array([0, 1, 0])
    p = softmax(z)
    letters = {"z": z, "c": c, "g": g, "y": y, "p": p, "C": 3}

    def loss(z):
        return -np.log(softmax(z)[1])

    for number in ("4.1", "4.3"):
        yield number, p, letters, "i"
    yield "4.2", 1, letters
    yield "4.4", np.log(p), letters, "i"
    yield "4.5", slope(lambda z: np.log(softmax(z)), z), letters, "ij"
    yield "4.6", slope(softmax, z), letters, "ij"
    yield "4.7", slope(lambda z: g @ softmax(z), z), letters, "j"
    yield "4.8", loss(z), letters
    yield "4.9", slope(lambda p: -np.log(p[1]), p), letters, "i"
    yield "4.10", slope(loss, z), letters, "j"
    yield "4.11", slope(loss, z), letters, "j"
    Z, Y = draw(2, 3), np.eye(3)[[2, 0]]
    letters = {"A": softmax(Z), "Y": Y, "B": 2, "C": 3}

    def mean(Z):
        return np.mean([-np.log(softmax(row)[k]) for row, k in zip(Z, (2, 0), strict=True)])

    yield "4.13", mean(Z), letters
    yield "4.14", slope(mean, Z), letters


def squares(draw):
    Z, Y = draw(2, 3), np.eye(3)[[2, 0]]
    A = sigmoid(Z)
    dA = slope(lambda A: np.mean((A - Y) ** 2), A)
    letters = {"A": A, "Y": Y, "dA": dA, "B": 2, "C": 3}
    yield "5.2", np.mean((A - Y) ** 2), letters
    yield "5.3", dA, letters
    yield "5.4", slope(lambda Z: np.mean((sigmoid(Z) - Y) ** 2), Z), letters
    z, y = draw(), draw()
    a = sigmoid(z)

    def entropy(a):
        return -y * np.log(a) - (1 - y) * np.log(1 - a)

    letters = {"a": a, "y": y, "z": z}
    yield "5.7", slope(lambda z: (sigmoid(z) - y) ** 2, z), letters
    yield "5.8", slope(lambda a: a * (1 - a) ** 2, a), letters
    yield "5.10", slope(entropy, a), letters
    yield "5.11", slope(lambda z: entropy(sigmoid(z)), z), letters


def network(draw):
    A0, W1, b1, W2, b2 = draw(2, 3), draw(3, 4), draw(4), draw(4, 5), draw(5)
    Y, l2 = np.eye(5)[[4, 1]], 0.3
    Z1 = A0 @ W1 + b1
    A1, Z2 = sigmoid(Z1), sigmoid(Z1) @ W2 + b2

    def from_Z2(Z2):
        return np.mean([-np.log(softmax(row)[k]) for row, k in zip(Z2, (4, 1), strict=True)])

    def loss(W1=W1, b1=b1, W2=W2, b2=b2):
        return from_Z2(sigmoid(A0 @ W1 + b1) @ W2 + b2) + l2 / 2 * ((W1**2).sum() + (W2**2).sum())

    dZ2 = slope(from_Z2, Z2)
    dA1 = slope(lambda A1: from_Z2(A1 @ W2 + b2), A1)
    dZ1 = slope(lambda Z1: from_Z2(sigmoid(Z1) @ W2 + b2), Z1)
    letters = {"X": A0, "A_{1}": A1, "A_{2}": softmax(Z2), "Z_{1}": Z1, "Z_{2}": Z2, "Y": Y}
    letters |= {"W_{1}": W1, "W_{2}": W2, "b_{1}": b1, "b_{2}": b2, r"\lambda": l2}
    letters |= {
        "dZ_{2}": dZ2,
        "dA_{1}": dA1,
        "dZ_{1}": dZ1,
        "f": sigmoid,
        "f'": SIGMOID[r"\sigma'"],
    }
    letters |= {"B": 2, "C": 5, "n_{0}": 3, "n_{1}": 4} | SIGMOID
    yield "6.4", from_Z2(Z2), letters
    yield "6.6", loss(), letters | {r"\mathrm{data}": from_Z2(Z2)}
    yield "6.7", dZ2, letters
    yield "6.10", [slope(lambda W: loss(W2=W), W2), slope(lambda W: loss(W1=W), W1)], letters
    yield "6.11", [slope(lambda b: loss(b2=b), b2), slope(lambda b: loss(b1=b), b1)], letters
    yield "6.12", dA1, letters
    yield "6.13", dZ1, letters
    yield (
        "6.16",
        slope(lambda Z2: sum(row[k] for row, k in zip(Z2, (4, 1), strict=True)), Z2),
        letters,
    )
    A2 = sigmoid(Z2)
    dA2 = slope(lambda A2: np.mean((A2 - Y) ** 2), A2)
    letters |= {"A_{2}": A2, "dA_{2}": dA2}
    yield "6.5", np.mean((A2 - Y) ** 2), letters
    yield "6.8", dA2, letters
    yield "6.9", slope(lambda Z2: np.mean((sigmoid(Z2) - Y) ** 2), Z2), letters


def tape(draw):
    x = draw()
    u = x * x
    letters = {
        "x": x,
        "a": 2 * u,
        "b": 3 * u,
        "da": 3 * u,
        "db": 2 * u,
        "du": 12 * u,
        "dx": 24 * x**3,
    }
    yield "7.5", slope(lambda a: a * 3 * u, 2 * u), letters
    yield "7.6", slope(lambda b: 2 * u * b, 3 * u), letters
    yield "7.7", slope(lambda u: 6 * u**2, u), letters
    yield "7.8", slope(lambda x: 6 * x**4, x), letters
    yield "7.9", slope(lambda x: 6 * x**4, x), letters
    yield "7.12", sum(2**n for n in range(1, 7)), {"k": 6}
    yield "7.13", 2 * 3 * 4 + 2 * 4 * 5, {"B": 2, "n_{0}": 3, "n_{1}": 4, "n_{2}": 5}
    yield "7.14", 2 * 3 * 4 + 2 * 2 * 4 * 5, {"B": 2, "n_{0}": 3, "n_{1}": 4, "F": 64}


def broadcasting(draw):
    X, b, c, r, V, G, g = draw(2, 3), draw(3), draw(2), draw(3), draw(2, 3), draw(2, 3), draw(2)
    letters = {"X": X, "b": b, "c": c, "r": r, "V": V, "B": 2, "m": 3}
    letters |= {"dE": G, "ds": g, "dP": G, "dD": G}
    yield "8.2", np.broadcast_to(b, (2, 3)), letters | {"u": np.ones(2)}, "ij"
    yield "8.3", np.sum(G * np.broadcast_to(b, (2, 3))), letters
    yield "8.4", slope(lambda b: np.sum(G * np.broadcast_to(b, (2, 3))), b), letters, "j"
    yield "8.6", slope(lambda X: np.sum(g * X.sum(axis=1)), X), letters, "ij"
    yield "8.8", slope(lambda c: np.sum(G * np.outer(c, r)), c), letters, "i"
    yield "8.9", slope(lambda r: np.sum(G * np.outer(c, r)), r), letters, "j"
    yield "8.11", slope(lambda V: np.sum(G * (V - V.mean(axis=1)[:, None])), V), letters, "ij"


def second(draw):
    x, z, v, y = draw(), draw(3), draw(3), np.array([0, 0, 1])
    p = softmax(z)

    def loss(z):
        return -np.log(softmax(z)[2])

    H = slope(lambda z: softmax(z) - y, z)
    letters = {"x": x, "p": p, "y": y, "v": v, "H": H, "C": 3, r"\bar{v}": p @ v}
    yield "9.2", slope(lambda x: x**3, x), letters
    yield "9.3", slope(lambda x: 3 * x**2, x), letters
    yield "9.6", slope(loss, z), letters, "i"
    yield "9.7", H, letters | FUNCTIONS
    yield "9.8", curvature(loss, z), letters, "ij"
    yield "9.9", v @ H @ v, letters
    yield "9.10", H @ v, letters, "i"
    yield "9.11", slope(lambda z: (softmax(z) - y) @ v, z), letters, "i"
    g, J = draw(3), slope(lambda z: np.log(softmax(z)), z)
    yield "9.16", g @ J, letters | {"g": g}, "j"
    yield "9.17", J @ v, letters, "i"
    yield "9.18", slope(lambda g: (g @ J) @ v, g), letters, "i"
    w, h = draw(2), draw(2)
    letters = {"w": w, "h": h, "m": 2, r"\eta": 0.3}
    yield "9.13", slope(lambda w: np.sum(h * w**2) / 2, w), letters, "k"
    yield "9.15", slope(lambda w: np.sum(h * w**2) / 2, w) / h, letters, "k"
    yield "9.14", w - 0.3 * slope(lambda w: np.sum(h * w**2) / 2, w), letters, "k"


def optimizers(draw):
    mu, eta, h, g, q = 0.9, 0.3, draw(), draw(5), [draw()]
    v, m = [0], [0]
    for gradient in g:
        q.append(q[-1] - eta * h * q[-1])
        v.append(mu * v[-1] + gradient)
        m.append(mu * m[-1] + (1 - mu) * gradient)
    letters = {r"\mu": mu, r"\beta_{1}": mu, r"\eta": eta, "h": h, "g": g, "q": lambda t: q[t]}
    letters |= {"v": lambda t: v[t], "m": lambda t: m[t]}
    for t in range(1, 6):
        at = letters | {"t": t}
        yield "10.3", q[t], at
        yield "10.5", v[t], at
        yield "10.6", sum(mu**n for n in range(t)), at
        yield "10.10", m[t], at
        yield "10.11", sum((1 - mu) * mu**n for n in range(t)), at
    yield "10.15", np.sign(g[0]), letters


def spread(values, chances, n):
    """The variance of Σ w x over n terms, in all cases: w is 2 or twice as often -1, x in `values`.

    So w has mean 0 and variance 2, and x has any mean.
    """
    terms = np.concatenate([2 * values, -values])
    weights = np.concatenate([chances / 3, chances * 2 / 3])
    sums = np.array([sum(case) for case in product(terms, repeat=n)])
    likely = np.array([np.prod(case) for case in product(weights, repeat=n)])
    return likely @ sums**2 - (likely @ sums) ** 2


def initialisation(draw):
    values, chances = draw(3), np.array([0.5, 0.2, 0.3])
    square = chances @ values**2
    letters = {"n": 3, "m": 3, r"\mathrm{Var}(w)": 2, r"\mathrm{E}(x^2)": square}
    letters |= {r"\mathrm{E}(dz^2)": square, "r": 1.7, r"\mathrm{Var}(z)": 2 * square}
    yield "11.2", spread(values, chances, 3), letters
    yield "11.3", spread(values, chances, 3), letters
    inside = (np.arange(10_000) + 0.5) / 5_000 - 1  # evenly from -1 to 1
    yield "11.4", np.mean((1.7 * inside) ** 2), letters
    yield "11.6", np.mean((np.sqrt(6 / (3 + 4)) * inside) ** 2), {"n": 3, "m": 4}
    yield "11.9", np.mean((np.sqrt(6 / 3) * inside) ** 2), {"n": 3}
    even = np.array([*values, *-values])
    relu = np.mean(np.maximum(even, 0) ** 2)
    yield "11.7", relu, {r"\mathrm{Var}(z)": np.var(even)}


def regularisation(draw):
    W, x, G, p = draw(2, 3), draw(2), draw(2), 0.3
    letters = {"W": W, r"\lambda": 0.7, r"\eta": 0.2, "n": 2, "m": 3}
    yield "12.1", 0.35 * (W**2).sum(), letters
    yield "12.2", slope(lambda W: 0.35 * (W**2).sum(), W), letters, "ij"
    w = [draw()]
    for _ in range(4):
        w.append(w[-1] - 0.2 * slope(lambda w: 0.35 * w**2, w[-1]))
    for t in range(1, 5):
        yield "12.5", w[t], letters | {"t": t, "w": lambda t: w[t]}
    g, after = draw(), w[3] - 0.2 * slope(lambda w: 0.35 * w**2, w[3])
    letters |= {"w": lambda t: w[t], "t": 4, "g": lambda t: g}
    yield "12.3", after - 0.2 * g, letters
    yield "12.4", after - 0.2 * g, letters
    kept = np.array([x[0] / (1 - p), 0])
    yield "12.7", np.average(kept, weights=[1 - p, p]), {"x": x[0]}
    yield "12.8", np.average((kept - x[0]) ** 2, weights=[1 - p, p]), {"x": x[0], "p": p}
    mask = np.array([1, 0])
    letters = {"m": mask, "dy": G, "p": p}
    yield "12.9", slope(lambda x: G @ (mask * x / (1 - p)), x), letters, "k"


def saliency(draw):
    q, p = 0.3, 0.6
    entropy = slope(lambda p: -(q * np.log(p) + (1 - q) * np.log(1 - p)), p)
    yield "13.2", entropy, {"p": p, "q": q}
    x, W1, b1, W2, b2 = draw(2), draw(2, 3), draw(3), draw(3, 4), draw(4)
    y = np.array([0, 0, 1, 0])

    def logits(x):
        return np.tanh(x @ W1 + b1) @ W2 + b2

    letters = {"W_{1}": W1, "W_{2}": W2, "A_{1}": np.tanh(x @ W1 + b1), "y": y}
    letters |= {"n": 2, "h": 3, "C": 4}
    yield "13.6", slope(logits, x), letters, "ki"
    yield "13.7", abs(slope(lambda x: logits(x)[2], x)), letters


def stability(draw):
    x, z, c, v = draw(), draw(3), draw(), draw(3)
    letters = {"x": x, "z": z, "c": c, "v": v, "C": 3, "s": 1.9} | FUNCTIONS
    letters |= {"p": softmax(z), r"\bar{v}": v.mean()}
    yield "14.1", sigmoid(x), letters
    yield "14.2", softmax(z), letters, "i"
    yield "14.4", np.log(softmax(z)), letters, "i"
    yield "14.5", np.log(1 + np.exp(x)), letters
    yield "14.6", slope(sigmoid, x), letters
    yield "14.8", softmax(z) - 1, letters, "i"
    yield "14.10", v.var(), letters
    yield "14.12", np.linalg.norm(v), letters


READINGS = (
    chain_rule, linear, activations, classes, squares, network, tape, broadcasting, second,
    optimizers, initialisation, regularisation, saliency, stability,
)  # fmt: skip


def found(text, letters, meaning, indices=""):
    """What a text says: at all values of its indices, in the shape of the meaning."""
    counts = [range(1, n + 1) for n in np.shape(meaning)] if indices else []
    values = [read(text, letters | dict(zip(indices, at, strict=True))) for at in product(*counts)]
    return np.reshape(values, np.shape(meaning))


@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize("readings", READINGS, ids=lambda readings: readings.__name__)
def test_what_is_printed_is_what_it_means(readings, seed):
    rng = np.random.default_rng(seed)
    for number, meaning, letters, *indices in readings(
        lambda *shape: rng.normal(size=shape or None)
    ):
        texts = printed(number)
        several = meaning if isinstance(meaning, list) else [meaning] * len(texts)
        for text, meant in zip(texts, several, strict=True):
            said = found(text, letters, meant, *indices)
            np.testing.assert_allclose(said, meant, 1e-6, 1e-8, err_msg=f"({number}) {text}")


def test_every_equation_that_is_proved_is_read_a_second_time():
    draw = np.random.default_rng(0).normal
    readings = [x for each in READINGS for x in each(lambda *shape: draw(size=shape or None))]
    equations = [x for page in PAGES.values() for x in page.equations.values()]
    assert {x.number for x in equations if x.mark == "proved"} - {x[0] for x in readings} == set()
