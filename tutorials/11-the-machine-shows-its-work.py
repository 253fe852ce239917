# %% [markdown]
# # The machine shows its work
#
# **The tape gives you a gradient. Can you see how it got there?** After one step the tape knows
# every operation, of the forward pass and of the backward pass. In this tutorial it writes them
# down as a program, and you lay that program beside the derivation on paper, line by line.
#
# *You will be able to*: print the gradient computation of any network, read it, compare it with a
# derivation of your own, and say which results a training step has to keep in memory. *You need*:
# [modules](03-modules.md) and [the derivation of the network](../derivations/network.md). *Time*:
# 30 minutes.
#
# ## The listing
#
# We take the network of the derivation, 784 inputs, 64 sigmoid units and 10 classes, with a batch
# of 32 images. Its weights come from the network on paper, so that we can compare the two later.

# %%
import ast
import inspect
import re

import numpy as np

from tinygrad_mnist import byhand, grad, nn, program, tensor
from tinygrad_mnist.data import load_mnist
from tinygrad_mnist.evaluation import plots

images, labels = load_mnist()
X, y = images[:32].astype(np.float64), labels[:32]

rng = np.random.default_rng(0)
paper = byhand.MLP((784, 64, 10), dtype=np.float64, rng=rng)
model = nn.MLP((784, 64, 10), "sigmoid", dtype=np.float64)
for p, array in zip(model.parameters(), paper.params.values(), strict=True):
    p.data = array.copy()

listing = program(nn.CrossEntropyLoss(), model, X, y)
print(listing)

# %% [markdown]
# Read it from the top. The first line says what has to be there: a batch, and four parameters with
# their shapes. Then come the ops, each with the shape of its result behind it.
#
# The backward pass starts from `dloss`, the derivative of the loss with respect to itself, which
# is 1. Every name with a `d` in front is the derivative of the loss with respect to the term of
# that name, and has its shape. Nobody wrote these lines. The tape walked back through the forward
# pass, asked each op for its rule, and the rules consist of ops too, so they were recorded like
# everything else.
#
# ## Beside the paper
#
# In `byhand/mlp.py` each equation of the derivation is one numbered line. Which equation belongs
# to which line of the machine?

# %%
equations = {}
for method in (byhand.MLP.forward, byhand.MLP.loss, byhand.MLP.backward):
    for line in inspect.getsource(method).splitlines():
        if numbered := re.fullmatch(r" *(.*)  # (\(\d+\))", line):
            equations[numbered[2]] = numbered[1]

kinds = {"Z": "(1)", "A": "(2)", "loss": "(4)", "dZ2": "(7)"}
kinds |= {"dW": "(10)", "db": "(11)", "dA": "(12)", "dZ": "(13)"}
for line in listing.source.splitlines():
    name, _, work = line.partition("  #")[0].rstrip().partition(" = ")
    number = kinds.get(name) or kinds.get(name[:-1])
    if number:
        print(f"{name} = {work}\n{number:>6}  {equations[number]}\n")

# %% [markdown]
# Let us go through them.
#
# - **(1) and (2)** are the same on both sides. What the paper calls `A0` is the batch, `X`.
# - **(4)**: the paper multiplies with one-hot rows, to pick the logarithm of one probability per
#   image. The machine picks it directly, and `mean` divides by B.
# - **(7)** looks different, and is the same. `cross_entropy_slope` is softmax(Z2) - Y. The factor
#   before it, `reshape_1`, is `dloss / 32`, once per image: a division by B = 32. The paper has
#   softmax and logarithm cancelled in advance. The machine has one op for both, so its rule is that
#   cancelled form.
# - **(10)**: `A1.mT @ dZ2`. The term with `l2` is missing, because this loss has no penalty.
# - **(11)**: the bias was repeated for each row on the way forward. So on the way back its copies
#   are added up.
# - **(12)** and **(13)**: through the weights, then through the slope of the sigmoid.
#
# And what is on neither side? The derivative with respect to `X`. Nobody trains the images, so the
# machine never forms it.
#
# ## The same numbers?
#
# The listing is a program, so it can be run. `listing.given` holds the arrays it starts from:

# %%
found = listing.run()
t = paper.forward(X)
d = paper.backward(t, y)
for name in ("Z1", "A1", "Z2", "dZ2", "dW2", "db2", "dA1", "dZ1", "dW1", "db1"):
    other = (t | d)[name]
    error = np.abs(found[name] - other).max() / np.abs(other).max()
    print(f"{name:4} {error:.0e}")

# %% [markdown]
# All differences are rounding: in float64 there are about 16 digits. And compared with what
# `backward` leaves in the parameters, there is no difference at all, not in the last bit:

# %%
loss = nn.CrossEntropyLoss()(model(X), y)
loss.backward()
assert found["loss"] == loss.item()
assert np.array_equal(found["dW1"], model[0].weight.grad.data)
assert np.array_equal(found["db2"], model[2].bias.grad.data)

# %% [markdown]
# You can also run it on other arrays. What would happen if all weights of the first layer were 0?
# Then no image would matter, and all hidden units would be equal:

# %%
equal = listing.run(W1=np.zeros((784, 64)))
print("units differ in A1 by", np.ptp(equal["A1"], axis=1).max())
print("and in dW2 by", np.ptp(equal["dW2"], axis=0).max())

# %% [markdown]
# Equal units receive equal gradients for their outgoing weights. This is why weights are not
# initialised to 0, and here you can point to the line: `dW2 = A1.mT @ dZ2` has the same row for
# equal columns of `A1`.

# %% [markdown]
# ## What must be kept
#
# Here is a question that the listing can answer. Why does a training step need so much more memory
# than a prediction? Look at the last line that reads each result. In a prediction, `Z1` can go as
# soon as `A1` is there. In training it is read again, near the very end. For a network with six
# hidden layers we count the numbers that have to be kept after each line:


# %%
#| At the head. Two curves of the numbers kept in memory over the lines of the
#| program. That of a prediction stays low and level, and ends early. That of
#| training climbs with every layer of the forward pass, and falls with every
#| layer of the backward pass.
def kept(source, sizes):
    """How many numbers are kept after each line of a program."""
    body = ast.parse(source).body
    lines = [line for line in body if isinstance(line, ast.Assign)]
    made, last = [line.targets[0].id for line in lines], {}
    for number, line in enumerate(lines):
        for node in ast.walk(line):
            if isinstance(node, ast.Name):
                last[node.id] = number
    return [
        sum(sizes[name] for name in made[: number + 1] if last[name] > number)
        for number in range(len(lines))
    ]


six = nn.MLP((784, *6 * [64], 10), "sigmoid", rng=rng)
both = program(nn.CrossEntropyLoss(), six, images[:32], y)
forward, _, _ = both.source.partition("# backward")
sizes = {name: array.size for name, array in both.run().items()}
memory = {
    "training": kept(both.source, sizes),
    "prediction": kept(forward, sizes),
}
plots.curves(memory, xlabel="line of the program", ylabel="numbers kept")

# %% [markdown]
# On the way forward each layer leaves something behind, and it stays until the walk back has come
# by again. So the memory of a step grows with depth, and with the size of the batch.
#
# ## Where there is no paper
#
# Nobody derives every network by hand. Here is a block with a way around, $x + f(x)$, as in
# [exercise 2 of the modules](03-modules.md). Its parameters are called after their places in the
# model, and the results after their ops:


# %%
class Block(nn.Module):
    def __init__(self, width, rng):
        self.inner = nn.Linear(width, width, rng=rng)
        self.scale = nn.Parameter(np.ones(width, np.float32))

    def forward(self, x):
        return x + nn.functional.relu(self.inner(x * self.scale))


first, last = nn.Linear(784, 8, rng=rng), nn.Linear(8, 10, rng=rng)
deep = nn.Sequential(first, Block(8, rng), last)
print(program(nn.CrossEntropyLoss(), deep, images[:32], y))

# %% [markdown]
# Find the line in which `d_linear_1` is computed. It is a sum of two terms, because the result of
# the first layer went two ways: around the block and through it. The first term, `d_add_1`, came
# back unchanged. *Over several paths, add*: this is that rule, at work.
#
# ## Exercises

# %% [markdown] exercise="program.derive"
# ### Exercise 1: your derivation, and the machine's
#
# Take another network: tanh in place of the sigmoid, and the mean of the squared error,
#
# $$Z_1 = XW_1 + b_1 \qquad A_1 = \tanh Z_1 \qquad Z_2 = A_1W_2 + b_2 \qquad
# L = \tfrac{1}{BC}\sum (Z_2 - Y)^2$$
#
# where `Y` is (B, C). Write its backward pass in NumPy, and return the derivatives with respect to
# the four parameters. The check prints nothing of the machine's program: derive first, then look.


# %% tags=["stub"]
def backward(X, Y, W1, b1, W2, b2):
    return None  # your turn: {"dW1": ..., "db1": ..., "dW2": ..., "db2": ...}


# %% [markdown] tags=["hint"]
# Only two lines differ from the listing above: the one for `dZ2`, and the slope in the one for
# `dZ1`. What is the derivative of the mean of B C squares with respect to one of the Z2?

# %% [markdown] tags=["hint"]
# `dZ2 = 2 * (Z2 - Y) / Y.size`, and tanh' = 1 - tanh², which is `1 - A1**2`.


# %% tags=["check"]
def check(backward):
    draw = np.random.default_rng(3)
    X, Y = draw.normal(size=(5, 4)), draw.normal(size=(5, 3))
    model = nn.MLP((4, 6, 3), "tanh", dtype=np.float64)
    for p in model.parameters():
        p.data = draw.normal(size=p.shape)
    made = program(nn.MSELoss(), model, X, Y)
    given = {name: made.given[name] for name in ("W1", "b1", "W2", "b2")}
    right, found = made.run(), backward(X, Y, **given)
    assert found is not None, (
        "Nothing was returned: return a dict of four arrays."
    )
    assert isinstance(found, dict), "Return a dict of four arrays."
    for name in ("db2", "dW2", "db1", "dW1"):
        assert name in found, (
            f"{name} is missing: all four parameters have a derivative."
        )
        shape = np.shape(found[name])
        assert shape == right[name].shape, (
            f"{name} has shape {shape}: it is that of its parameter."
        )
    for factor, sentence in (
        (1 / 2, "The factor 2 of the square's derivative is missing."),
        (
            3,
            "The mean runs over all B C elements, not over the B rows: divide by Y.size.",
        ),
        (15, "The mean is missing: divide by Y.size."),
        (-1, "The sign is wrong: the square of Z2 - Y grows with Z2."),
    ):
        assert not np.allclose(found["db2"], factor * right["db2"]), sentence
    assert np.allclose(found["db2"], right["db2"]), (
        "db2 is not the sum of dZ2 over the rows."
    )
    assert np.allclose(found["dW2"], right["dW2"]), "dW2 is not A1.T @ dZ2."
    for slope, sentence in (
        (1, "The slope of tanh is missing: dZ1 is dA1 times 1 - A1**2."),
        (
            right["A1"] * (1 - right["A1"]),
            "a (1 - a) is the slope of the sigmoid: tanh's is 1 - a².",
        ),
        (
            1 - np.tanh(right["A1"]) ** 2,
            "tanh was taken twice: the slope is 1 - A1**2.",
        ),
    ):
        wrong = (right["dA1"] * slope).sum(axis=0)
        assert not np.allclose(found["db1"], wrong), sentence
    assert np.allclose(found["db1"], right["db1"]), (
        "db1 is not the sum of dZ1 over the rows."
    )
    assert np.allclose(found["dW1"], right["dW1"]), "dW1 is not X.T @ dZ1."


# %% tags=["solution"]
def backward(X, Y, W1, b1, W2, b2):
    A1 = np.tanh(X @ W1 + b1)
    dZ2 = 2 * (A1 @ W2 + b2 - Y) / Y.size
    dZ1 = (dZ2 @ W2.T) * (1 - A1 * A1)
    return {
        "dW1": X.T @ dZ1,
        "db1": dZ1.sum(axis=0),
        "dW2": A1.T @ dZ2,
        "db2": dZ2.sum(axis=0),
    }


# %% tags=["misconception"]
# The factor 2 of the square's derivative is missing.
def backward(X, Y, W1, b1, W2, b2):
    A1 = np.tanh(X @ W1 + b1)
    dZ2 = (A1 @ W2 + b2 - Y) / Y.size
    dZ1 = (dZ2 @ W2.T) * (1 - A1 * A1)
    return {
        "dW1": X.T @ dZ1,
        "db1": dZ1.sum(0),
        "dW2": A1.T @ dZ2,
        "db2": dZ2.sum(0),
    }


# %% tags=["misconception"]
# The mean runs over all B C elements, not over the B rows: divide by Y.size.
def backward(X, Y, W1, b1, W2, b2):
    A1 = np.tanh(X @ W1 + b1)
    dZ2 = 2 * (A1 @ W2 + b2 - Y) / len(Y)
    dZ1 = (dZ2 @ W2.T) * (1 - A1 * A1)
    return {
        "dW1": X.T @ dZ1,
        "db1": dZ1.sum(0),
        "dW2": A1.T @ dZ2,
        "db2": dZ2.sum(0),
    }


# %% tags=["misconception"]
# The slope of tanh is missing: dZ1 is dA1 times 1 - A1**2.
def backward(X, Y, W1, b1, W2, b2):
    A1 = np.tanh(X @ W1 + b1)
    dZ2 = 2 * (A1 @ W2 + b2 - Y) / Y.size
    dZ1 = dZ2 @ W2.T
    return {
        "dW1": X.T @ dZ1,
        "db1": dZ1.sum(0),
        "dW2": A1.T @ dZ2,
        "db2": dZ2.sum(0),
    }


# %% tags=["misconception"]
# a (1 - a) is the slope of the sigmoid: tanh's is 1 - a².
def backward(X, Y, W1, b1, W2, b2):
    A1 = np.tanh(X @ W1 + b1)
    dZ2 = 2 * (A1 @ W2 + b2 - Y) / Y.size
    dZ1 = (dZ2 @ W2.T) * A1 * (1 - A1)
    return {
        "dW1": X.T @ dZ1,
        "db1": dZ1.sum(0),
        "dW2": A1.T @ dZ2,
        "db2": dZ2.sum(0),
    }


# %% [markdown] exercise="program.two-paths"
# ### Exercise 2: two paths
#
# On paper now: a layer with a way around, $A = X + \mathrm{relu}(XW)$. You are given `dA`, the
# derivative of the loss with respect to A. Return those with respect to `X` and `W`, as a pair.


# %% tags=["stub"]
def backward_around(X, W, dA):
    return None  # your turn: dX, dW


# %% [markdown] tags=["hint"]
# Call the product Z. First go back through relu, to `dZ`: which of its elements receive nothing?

# %% [markdown] tags=["hint"]
# From A, two paths lead back to X: directly, and through relu and W. Along a path, multiply; over
# the two paths, add.


# %% tags=["check"]
def check(backward_around):
    draw = np.random.default_rng(4)
    X, W, dA = (
        draw.normal(size=(5, 4)),
        draw.normal(size=(4, 4)),
        draw.normal(size=(5, 4)),
    )
    X[0] = 0  # here the product is 0, and so is the slope of relu
    x, w = tensor(X, requires_grad=True), tensor(W, requires_grad=True)
    dX, dW = grad(x + nn.functional.relu(x @ w), [x, w], grad_outputs=dA)
    found = backward_around(X, W, dA)
    assert found is not None, "Nothing was returned: return the pair dX, dW."
    assert isinstance(found, tuple), "Return a pair: dX, dW."
    through = dX.data - dA
    for wrong, sentence in (
        (dA, "Only the path around is there: add the one through relu and W."),
        (through, "Only the path through W is there: add the one around."),
        (
            dA + dA @ W.T,
            "relu passes nothing back where its input was not positive.",
        ),
    ):
        assert not np.allclose(found[0], wrong), sentence
    assert np.allclose(found[0], dX.data), (
        "dX is not the sum over the two paths."
    )
    assert np.allclose(found[1], dW.data), "dW is not X.T @ dZ."


# %% tags=["solution"]
def backward_around(X, W, dA):
    dZ = dA * (X @ W > 0)
    return dA + dZ @ W.T, X.T @ dZ


# %% tags=["misconception"]
# Only the path around is there: add the one through relu and W.
def backward_around(X, W, dA):
    dZ = dA * (X @ W > 0)
    return dA, X.T @ dZ


# %% tags=["misconception"]
# Only the path through W is there: add the one around.
def backward_around(X, W, dA):
    dZ = dA * (X @ W > 0)
    return dZ @ W.T, X.T @ dZ


# %% tags=["misconception"]
# relu passes nothing back where its input was not positive.
def backward_around(X, W, dA):
    return dA + dA @ W.T, X.T @ dA
