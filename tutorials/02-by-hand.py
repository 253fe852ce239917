# %% [markdown]
# # A network by hand, on real handwriting
#
# **How few lines of NumPy does it take to read handwriting?** About twenty: four for the way
# forward, seven for the way back, and a loop. We go forward together, and you write the way back.
# We find out whether it is right before anything is trained, and then look at what was learned.
#
# *You will be able to*: turn the equations of a network into code, test a gradient by moving one
# weight, and choose a learning rate by looking. *You need*:
# [the whole network by hand](../derivations/network.md), where every equation below is derived.
# *Time*: 60 minutes.
#
# ## The digits
#
# MNIST ships with the package. Each image has 28 × 28 pixels between 0 and 1, and is one row of 784
# numbers. We train on 20,000 of them, and keep 5,000 others to find out what the network has
# learned.

# %%
#| The first ten images: handwritten digits, black on white, each with its label
#| above it.
import numpy as np

from tinygrad_mnist.data import load_mnist, minibatches, one_hot
from tinygrad_mnist.evaluation import plots

images, labels = load_mnist()
X, y = images[:20_000], labels[:20_000]
held_out, held_out_labels = images[-5000:], labels[-5000:]

plots.images(X[:10], y[:10])

# %% [markdown]
# ## Forward
#
# 784 pixels go in, 64 hidden units look at them, 10 numbers come out, one for each digit. Two
# weight matrices and two rows of biases are all that the network will ever know. We begin with
# small random weights, and biases of 0:

# %%
rng = np.random.default_rng(0)


def fresh(hidden=64):
    """The weights before training."""
    bound1, bound2 = np.sqrt(6 / (784 + hidden)), np.sqrt(6 / (hidden + 10))
    return {
        "W1": rng.uniform(-bound1, bound1, (784, hidden)),
        "b1": np.zeros(hidden),
        "W2": rng.uniform(-bound2, bound2, (hidden, 10)),
        "b2": np.zeros(10),
    }


# %% [markdown]
# A whole batch of images goes through together, one image per row. The comment after each line
# gives the shape. With matrices, a shape that does not fit is the first sign of a mistake.


# %%
def sigmoid(z):
    return 1 / (1 + np.exp(-z))


def softmax(z):
    e = np.exp(z - z.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


def forward(p, A0):
    Z1 = A0 @ p["W1"] + p["b1"]  # (B, 64)
    A1 = sigmoid(Z1)  # (B, 64)
    Z2 = A1 @ p["W2"] + p["b2"]  # (B, 10)
    A2 = softmax(Z2)  # (B, 10): a probability for each digit
    return {"A0": A0, "Z1": Z1, "A1": A1, "Z2": Z2, "A2": A2}


# %% [markdown]
# How wrong is it? We take minus the logarithm of the probability that it gave to the right digit,
# averaged over the batch. Before training it can only guess. So that probability is about a tenth,
# and the loss about $\ln 10$. If yours is not, stop and look.


# %%
def loss(t, Y):
    return -(Y * np.log(t["A2"])).sum() / len(Y)


p = fresh()
at_first = loss(forward(p, X[:500]), one_hot(y[:500], 10))
print(f"loss {at_first:.2f}, guessing {np.log(10):.2f}")

# %% [markdown]
# ## Backward
#
# Every line of the forward pass has a counterpart, and they come in the opposite order. These seven
# lines are the heart of the matter, so they are yours. The first is given: it is softmax and
# cross-entropy in one. This is the order of the way back:

# %%
GRADIENTS = ("dZ2", "dW2", "db2", "dA1", "dZ1", "dW1", "db1")

# %% [markdown] exercise="by-hand.backward"
# ### Exercise 1: the way back
#
# Fill in the other six lines. `dW2` is the derivative of the loss with respect to `W2`, and has its
# shape; the comments say which. The terms of the forward pass are in `t`, the weights in `p`. The
# check compares your gradients with those of a tape, in the order of the way back, stops at the
# first that is wrong, and says what is wrong with it.


# %% tags=["stub"]
def backward(p, t, Y):
    dZ2 = (t["A2"] - Y) / len(Y)  # (B, 10)
    dW2 = ...  # (64, 10)
    db2 = ...  # (10,)
    dA1 = ...  # (B, 64)
    dZ1 = ...  # (B, 64): what is the slope of the sigmoid?
    dW1 = ...  # (784, 64)
    db1 = ...  # (64,)
    return dZ2, dW2, db2, dA1, dZ1, dW1, db1


# %% [markdown] tags=["hint"]
# `Z2 = A1 @ W2 + b2` is a linear layer, and `dZ2` has arrived at its output. Its three gradients
# have the shapes of `W2`, `b2` and `A1`. For each there is only one product of the matrices at
# hand, or one sum, that has this shape.

# %% [markdown] tags=["hint"]
# The weights receive `A1.T @ dZ2`, the biases the sum of `dZ2` over the batch, and the input
# receives `dZ2 @ W2.T`. The first layer does the same with `dZ1` and its own input.

# %% [markdown] tags=["hint"]
# From `dA1` to `dZ1` we go back through the sigmoid: multiply each entry by the slope, which is
# $a (1 - a)$ at the output $a$ of the sigmoid.


# %% tags=["check"]
def check(backward):
    from tinygrad_mnist import bridge, byhand

    draw = np.random.default_rng(1)
    paper = byhand.MLP((5, 4, 3), dtype=np.float64, rng=draw)
    A0, digits = draw.normal(size=(6, 5)), draw.integers(0, 3, 6)
    terms = forward(paper.params, A0)
    found = backward(paper.params, terms, one_hot(digits, 3))
    assert found is not None, "Nothing was returned: return all gradients."
    assert len(found) == len(GRADIENTS), f"Return {', '.join(GRADIENTS)}."
    mine = dict(zip(GRADIENTS, found, strict=True))
    still = ", ".join(name for name in mine if mine[name] is ...)
    assert not still, f"These are still to be written: {still}."
    compared = bridge.compare(paper, A0, digits, gradients=mine)
    wrong = compared.first_divergence
    assert wrong is None, f"In {wrong.name}: {compared.diagnosis}"


# %% tags=["solution"]
def backward(p, t, Y):
    dZ2 = (t["A2"] - Y) / len(Y)
    dW2 = t["A1"].T @ dZ2
    db2 = dZ2.sum(axis=0)
    dA1 = dZ2 @ p["W2"].T
    dZ1 = dA1 * t["A1"] * (1 - t["A1"])
    dW1 = t["A0"].T @ dZ1
    db1 = dZ1.sum(axis=0)
    return dZ2, dW2, db2, dA1, dZ1, dW1, db1


# %% tags=["misconception"]
# In dW2: it is transposed.
def backward(p, t, Y):
    dZ2 = (t["A2"] - Y) / len(Y)
    dW2 = dZ2.T @ t["A1"]
    db2 = dZ2.sum(axis=0)
    dA1 = dZ2 @ p["W2"].T
    dZ1 = dA1 * t["A1"] * (1 - t["A1"])
    dW1 = t["A0"].T @ dZ1
    db1 = dZ1.sum(axis=0)
    return dZ2, dW2, db2, dA1, dZ1, dW1, db1


# %% tags=["misconception"]
# In dZ1: it equals dA1: the slope f'(Z1), the activation's derivative, is missing.
def backward(p, t, Y):
    dZ2 = (t["A2"] - Y) / len(Y)
    dW2 = t["A1"].T @ dZ2
    db2 = dZ2.sum(axis=0)
    dA1 = dZ2 @ p["W2"].T
    dZ1 = dA1
    dW1 = t["A0"].T @ dZ1
    db1 = dZ1.sum(axis=0)
    return dZ2, dW2, db2, dA1, dZ1, dW1, db1


# %% tags=["misconception"]
# In dZ1: the slope f' was taken at A1 instead of Z1.
def backward(p, t, Y):
    dZ2 = (t["A2"] - Y) / len(Y)
    dW2 = t["A1"].T @ dZ2
    db2 = dZ2.sum(axis=0)
    dA1 = dZ2 @ p["W2"].T
    dZ1 = dA1 * sigmoid(t["A1"]) * (1 - sigmoid(t["A1"]))
    dW1 = t["A0"].T @ dZ1
    db1 = dZ1.sum(axis=0)
    return dZ2, dW2, db2, dA1, dZ1, dW1, db1


# %% tags=["misconception"]
# In dW1: dA1 was used in place of dZ1, without the slope f'(Z1).
def backward(p, t, Y):
    dZ2 = (t["A2"] - Y) / len(Y)
    dW2 = t["A1"].T @ dZ2
    db2 = dZ2.sum(axis=0)
    dA1 = dZ2 @ p["W2"].T
    dZ1 = dA1 * t["A1"] * (1 - t["A1"])
    dW1 = t["A0"].T @ dA1
    db1 = dZ1.sum(axis=0)
    return dZ2, dW2, db2, dA1, dZ1, dW1, db1


# %% [markdown]
# ## Is it right?
#
# The check says so. But you need no tape to find out: a derivative is what happens to the loss when
# one weight is moved a little. So let us move one, and see. A network with a wrong gradient often
# still learns, a little worse than it should, and nobody notices. This test does.


# %%
def moved(p, name, place, h=1e-5):
    """The derivative with respect to one parameter, from two forward passes."""
    A0, Y = X[:50], one_hot(y[:50], 10)
    there, back = ({k: v.copy() for k, v in p.items()} for _ in range(2))
    there[name][place] += h
    back[name][place] -= h
    return (loss(forward(there, A0), Y) - loss(forward(back, A0), Y)) / (2 * h)


found = backward(p, forward(p, X[:50]), one_hot(y[:50], 10))
d = dict(zip(GRADIENTS, found, strict=True))
print("            by hand         by moving it")
for name, place in (
    ("W1", (400, 5)),
    ("b1", (5,)),
    ("W2", (5, 3)),
    ("b2", (3,)),
):
    print(
        f"{name:4}{d[f'd{name}'][place]:15.10f}  {moved(p, name, place):15.10f}"
    )
    assert np.isclose(d[f"d{name}"][place], moved(p, name, place), rtol=1e-6)

# %% [markdown]
# ## Train
#
# 32 images, one step against the gradient, the next 32. Once every image has had its turn, one
# *epoch* is over.


# %%
def accuracy(p):
    """The share of the held-out images that are read correctly."""
    return (forward(p, held_out)["A2"].argmax(axis=1) == held_out_labels).mean()


def train(p, lr, epochs=1):
    """Train p in place, and return the loss of every batch."""
    losses = []
    for _ in range(epochs):
        for rows in minibatches(len(X), 32, rng):
            t, Y = forward(p, X[rows]), one_hot(y[rows], 10)
            losses.append(loss(t, Y))
            d = dict(zip(GRADIENTS, backward(p, t, Y), strict=True))
            for name in p:
                p[name] -= lr * d[f"d{name}"]
    return losses


# %% [markdown]
# `lr` is the *learning rate*: how far to step. Nobody can tell you the right one, but three runs
# show it. Each curve is the mean of the last 25 batches.

# %%
#| The loss over 600 steps for three learning rates. With 0.01 it falls slowly
#| and stays high, with 0.5 it falls quickly and stays low, and with 20 it jumps
#| up and down near the top, and beyond it.
losses = {}
for lr in (0.01, 0.5, 20.0):
    p = fresh()
    with np.errstate(
        all="ignore"
    ):  # the last one jumps so far that numbers overflow
        curve, read = train(p, lr), accuracy(p)
    losses[f"lr = {lr:g}: {read:.1%}"] = curve
plots.curves(losses, mean=25, ylim=(0, 4))

# %% [markdown]
# Too small a step creeps, too large a step jumps from one slope to the opposite one. With 0.5, let
# it go on:

# %%
p = fresh()
train(p, lr=0.5, epochs=4)
f"{accuracy(p):.1%} of the held-out images"

# %% [markdown]
# ## What it learned
#
# Each hidden unit has a weight for every pixel, so its weights can be shown as an image: blue where
# ink speaks for it, red where ink speaks against it.

# %%
#| At the head. The incoming weights of ten hidden units, each as a picture of
#| 28 by 28. In the middle are blurred strokes and spots of both signs, around them noise
#| near 0.
strongest = np.abs(p["W2"]).sum(axis=1).argsort()[::-1][:10]
limit = np.abs(p["W1"]).max() / 2
plots.images(p["W1"].T[strongest], columns=5, signed=True, limit=limit)

# %% [markdown]
# And these are the mistakes of which it was most certain. Each title says what the image is, and
# what the network took it for. Would you have read all of them?

# %%
#| Digits that the network reads wrongly, each with its label and with what was
#| read. Many are written so that a person hesitates too.
found = forward(p, held_out)["A2"]
wrong = np.flatnonzero(found.argmax(axis=1) != held_out_labels)
wrong = wrong[found[wrong].max(axis=1).argsort()[::-1]][:10]
titles = [f"{held_out_labels[i]}, read as {found[i].argmax()}" for i in wrong]
plots.images(held_out[wrong], titles, columns=5)

# %% [markdown]
# ## The package's own
#
# `tinygrad_mnist.byhand` is this network for any number of layers, with three activation functions
# and two losses. Its `backward` returns the same names, and more layers are a loop.
#
# ## Exercises

# %% [markdown] exercise="by-hand.tanh-backward"
# ### Exercise 2: tanh instead of sigmoid
#
# If the hidden units are `A1 = np.tanh(Z1)`, one line of `backward` changes. Write it: compute the
# gradient `dZ1` from `dA1` and `A1`.


# %% tags=["stub"]
def back_through_tanh(dA1, A1):
    return None  # your turn


# %% [markdown] tags=["hint"]
# Look at the line `dZ1 = ...` of `backward`. Which part of it belongs to the sigmoid?

# %% [markdown] tags=["hint"]
# The slope of tanh is $1 - \tanh^2 Z_1$, and `A1` is $\tanh Z_1$ already.


# %% tags=["check"]
def check(back_through_tanh):
    draw = np.random.default_rng(1)
    Z1, dA1, h = draw.normal(size=(3, 4)), draw.normal(size=(3, 4)), 1e-6
    A1 = np.tanh(Z1)
    dZ1 = back_through_tanh(dA1, A1)
    assert dZ1 is not None, (
        "Nothing was returned: return an array of the shape of A1."
    )
    assert np.shape(dZ1) == (3, 4), (
        "dZ1 has the shape of A1: multiply element by element."
    )
    for wrong, sentence in (
        (
            1 - A1**2,
            "That is the slope alone. Multiply it by dA1, the gradient that arrives.",
        ),
        (
            dA1 * A1 * (1 - A1),
            "That is still the slope of the sigmoid, A1 (1 - A1).",
        ),
        (
            dA1 * (1 - A1),
            "The square is missing: the slope of tanh is 1 - A1².",
        ),
        (
            dA1 * (1 - np.tanh(A1) ** 2),
            "A1 is tanh(Z1) already: do not apply tanh again.",
        ),
    ):
        assert not np.allclose(dZ1, wrong), sentence
    slope = (np.tanh(Z1 + h) - np.tanh(Z1 - h)) / (2 * h)
    assert np.allclose(dZ1, dA1 * slope, atol=1e-8), (
        "Moving Z1 a little gives another gradient."
    )


# %% tags=["solution"]
def back_through_tanh(dA1, A1):
    return dA1 * (1 - A1**2)


# %% tags=["misconception"]
# That is the slope alone. Multiply it by dA1, the gradient that arrives.
def back_through_tanh(dA1, A1):
    return 1 - A1**2


# %% tags=["misconception"]
# That is still the slope of the sigmoid, A1 (1 - A1).
def back_through_tanh(dA1, A1):
    return dA1 * A1 * (1 - A1)


# %% tags=["misconception"]
# The square is missing: the slope of tanh is 1 - A1².
def back_through_tanh(dA1, A1):
    return dA1 * (1 - A1)


# %% tags=["misconception"]
# A1 is tanh(Z1) already: do not apply tanh again.
def back_through_tanh(dA1, A1):
    return dA1 * (1 - np.tanh(A1) ** 2)


# %% [markdown] exercise="by-hand.weight-penalty"
# ### Exercise 3: a penalty on large weights
#
# Add $\tfrac{\lambda}{2}$ times the sum of all squared weights to the loss, of both matrices, not
# of the biases. Two functions: what is added to the loss, and what is added to the gradient of the
# parameter `name`.


# %% tags=["stub"]
def penalty(p, lam):
    return None  # your turn: a number


def penalty_gradient(p, name, lam):
    return None  # your turn: an array of the shape of p[name]


# %% [markdown] tags=["hint"]
# The penalty has one term per weight, $\tfrac{\lambda}{2} w^2$. What is the derivative of that term
# with respect to its own $w$, and what with respect to another one, or to a bias?

# %% [markdown] tags=["hint"]
# The names of the weights begin with a W. For a bias, return zeros: `np.zeros_like(p[name])`.


# %% tags=["check"]
def check(penalty, penalty_gradient):
    draw, h = np.random.default_rng(2), 1e-6
    q = {name: draw.normal(size=value.shape) for name, value in p.items()}
    W1, W2, b1, b2 = (np.square(q[name]) for name in ("W1", "W2", "b1", "b2"))
    right, found = 0.15 * (W1.sum() + W2.sum()), penalty(q, 0.3)
    assert found is not None, "penalty returned nothing: return a number."
    for wrong, sentence in (
        (2 * right, "The penalty is λ/2 times the squares, not λ times."),
        (
            right + 0.15 * (b1.sum() + b2.sum()),
            "The biases are not penalised: only W1 and W2 are.",
        ),
        (
            0.15 * (W1.mean() + W2.mean()),
            "The penalty is the sum of the squares, not their mean.",
        ),
    ):
        assert not np.isclose(found, wrong), sentence
    assert np.isclose(found, right), (
        f"Here the penalty should be {right:.2f}, not {found:.2f}."
    )
    for name, place in (
        ("W1", (7, 5)),
        ("W2", (5, 3)),
        ("b1", (5,)),
        ("b2", (3,)),
    ):
        there, back = ({k: v.copy() for k, v in q.items()} for _ in range(2))
        there[name][place] += h
        back[name][place] -= h
        slope = (penalty(there, 0.3) - penalty(back, 0.3)) / (2 * h)
        found = penalty_gradient(q, name, 0.3)
        assert found is not None, (
            "penalty_gradient returned nothing: return an array."
        )
        assert np.shape(found) == q[name].shape, (
            f"The gradient of {name} has its shape."
        )
        assert slope == 0 or not np.isclose(
            found[place], 2 * slope, atol=1e-4
        ), (
            "The 2 that comes from the square cancels the half of λ/2: the gradient is λ W."
        )
        assert slope != 0 or not np.allclose(found, 0.3 * q[name]), (
            "The biases are not in the penalty, so it adds nothing to their gradients."
        )
        assert np.isclose(found[place], slope, atol=1e-4), (
            f"Wrong for {name}: moving one element gives {slope:.4f}, not {found[place]:.4f}."
        )


# %% tags=["solution"]
def penalty(p, lam):
    return lam / 2 * ((p["W1"] ** 2).sum() + (p["W2"] ** 2).sum())


def penalty_gradient(p, name, lam):
    return lam * p[name] if name.startswith("W") else np.zeros_like(p[name])


# %% tags=["misconception"]
# The penalty is λ/2 times the squares, not λ times.
def penalty(p, lam):
    return lam * ((p["W1"] ** 2).sum() + (p["W2"] ** 2).sum())


def penalty_gradient(p, name, lam):
    return lam * p[name] if name.startswith("W") else np.zeros_like(p[name])


# %% tags=["misconception"]
# The biases are not penalised: only W1 and W2 are.
def penalty(p, lam):
    return lam / 2 * sum((value**2).sum() for value in p.values())


def penalty_gradient(p, name, lam):
    return lam * p[name]


# %% tags=["misconception"]
# The penalty is the sum of the squares, not their mean.
def penalty(p, lam):
    return lam / 2 * ((p["W1"] ** 2).mean() + (p["W2"] ** 2).mean())


def penalty_gradient(p, name, lam):
    return (
        lam * p[name] / p[name].size
        if name.startswith("W")
        else np.zeros_like(p[name])
    )


# %% tags=["misconception"]
# The 2 that comes from the square cancels the half of λ/2: the gradient is λ W.
def penalty(p, lam):
    return lam / 2 * ((p["W1"] ** 2).sum() + (p["W2"] ** 2).sum())


def penalty_gradient(p, name, lam):
    return 2 * lam * p[name] if name.startswith("W") else np.zeros_like(p[name])


# %% tags=["misconception"]
# The biases are not in the penalty, so it adds nothing to their gradients.
def penalty(p, lam):
    return lam / 2 * ((p["W1"] ** 2).sum() + (p["W2"] ** 2).sum())


def penalty_gradient(p, name, lam):
    return lam * p[name]


# %% [markdown] exercise="by-hand.momentum"
# ### Exercise 4: momentum
#
# A ball that rolls downhill keeps part of its speed. Keep a velocity for every parameter:
# $v \leftarrow \mu v + g$, then $\theta \leftarrow \theta - \eta v$. Write one such step for all
# parameters; change `p` and `v`. The names in `v` are those in `p`, and `d` holds the gradients by
# their names, as in `train`: `d["dW1"]` belongs to `p["W1"]`.


# %% tags=["stub"]
def step(p, v, d, lr, momentum):
    return None  # your turn: change p and v, return nothing


# %% [markdown] tags=["hint"]
# `p` and `v` are dicts with the same names, so one loop does it: `for name in p`. The gradient is
# then `d[f"d{name}"]`.

# %% [markdown] tags=["hint"]
# Two lines: first the new `v[name]`, then the new `p[name]`, which uses it.


# %% tags=["check"]
def check(step):
    draw = np.random.default_rng(3)
    mine, first, second = (
        {"W": draw.normal(size=(2, 3)), "b": draw.normal(size=3)}
        for _ in range(3)
    )
    start = {name: value.copy() for name, value in mine.items()}
    v = {name: np.zeros_like(value) for name, value in mine.items()}
    for gradients in (first, second):
        d = {f"d{name}": g.copy() for name, g in gradients.items()}
        try:
            step(mine, v, d, lr=0.1, momentum=0.9)
        except KeyError as error:
            as_in_p = error.args[0] in mine
            assert not as_in_p, (
                "The gradients are in d by their own names, such as dW1 for W1."
            )
            raise
    for name, value in start.items():
        moved, g, then = mine[name] - value, first[name], second[name]
        assert not np.allclose(moved, 0), (
            "No parameter has moved: assign to p[name]."
        )
        for wrong, sentence in (
            (
                0.1 * (1.9 * g + then),
                "The step goes uphill: subtract the velocity.",
            ),
            (-0.1 * g, "p moves by the old velocity: compute the new v first."),
            (
                -0.1 * (0.19 * g + 0.1 * then),
                "The gradient enters v with its full weight, not 1 - μ.",
            ),
        ):
            assert not np.allclose(moved, wrong), sentence
        plain = np.allclose(moved, -0.1 * (g + then))
        assert not plain or np.any(v[name]), (
            "The velocity is forgotten: keep it in v[name]."
        )
        assert not plain, "p moves along the gradient: move it along v instead."
        # the first gradient counts 1 + 0.9 times, the second once
        assert np.allclose(moved, -0.1 * (1.9 * g + then)), (
            f"Two steps lead {name} elsewhere."
        )
        assert np.allclose(v[name], 0.9 * g + then), (
            "p is right, but v is not μ v + g: the learning rate belongs to p's line."
        )


# %% tags=["solution"]
def step(p, v, d, lr, momentum):
    for name in p:
        v[name] = momentum * v[name] + d[f"d{name}"]
        p[name] = p[name] - lr * v[name]


# %% tags=["misconception"]
# The gradients are in d by their own names, such as dW1 for W1.
def step(p, v, d, lr, momentum):
    for name in p:
        v[name] = momentum * v[name] + d[name]
        p[name] = p[name] - lr * v[name]


# %% tags=["misconception"]
# The step goes uphill: subtract the velocity.
def step(p, v, d, lr, momentum):
    for name in p:
        v[name] = momentum * v[name] + d[f"d{name}"]
        p[name] = p[name] + lr * v[name]


# %% tags=["misconception"]
# The velocity is forgotten: keep it in v[name].
def step(p, v, d, lr, momentum):
    for name in p:
        velocity = momentum * v[name] + d[f"d{name}"]
        p[name] = p[name] - lr * velocity


# %% tags=["misconception"]
# p moves along the gradient: move it along v instead.
def step(p, v, d, lr, momentum):
    for name in p:
        v[name] = momentum * v[name] + d[f"d{name}"]
        p[name] = p[name] - lr * d[f"d{name}"]


# %% tags=["misconception"]
# p moves by the old velocity: compute the new v first.
def step(p, v, d, lr, momentum):
    for name in p:
        p[name] = p[name] - lr * v[name]
        v[name] = momentum * v[name] + d[f"d{name}"]


# %% tags=["misconception"]
# p is right, but v is not μ v + g: the learning rate belongs to p's line.
def step(p, v, d, lr, momentum):
    for name in p:
        v[name] = momentum * v[name] - lr * d[f"d{name}"]
        p[name] = p[name] + v[name]


# %% tags=["misconception"]
# The gradient enters v with its full weight, not 1 - μ.
def step(p, v, d, lr, momentum):
    for name in p:
        v[name] = momentum * v[name] + (1 - momentum) * d[f"d{name}"]
        p[name] = p[name] - lr * v[name]
