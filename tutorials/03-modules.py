# %% [markdown]
# # The same network with modules, compared term by term
#
# **What does a tape take off your hands, and how do you know that it is right?** You will build the
# network of the last tutorial from modules, see what the tape records, and compare every gradient
# with the one on paper. Then you derive a deeper network yourself, with the tape to name your
# mistakes, and see a network learn in spite of one.
#
# *You will be able to*: write a model and a training loop as in PyTorch, get the gradient of
# anything in between, and test a derivation of your own. *You need*: [the
# tape](../derivations/tape.md) and [a network by hand](02-by-hand.md). *Time*: 45 minutes.
#
# ## Modules
#
# A module is a function with parameters. `Linear` holds a weight matrix and biases, `Sigmoid` holds
# nothing, and `Sequential` applies one after the other.

# %%
import numpy as np

from tinygrad_mnist import bridge, byhand, grad, nn, no_grad, optim, tensor
from tinygrad_mnist.data import load_mnist, minibatches
from tinygrad_mnist.evaluation import plots

rng = np.random.default_rng(0)
model = nn.Sequential(
    nn.Linear(784, 64, rng=rng),
    nn.Sigmoid(),
    nn.Linear(64, 10, rng=rng),
)
model

# %% [markdown]
# There is no softmax at the end, because the loss works with the numbers before it, which are
# called *logits*. So it need not take the logarithm of a probability that was rounded to 0.

# %%
images, labels = load_mnist()
X, y = images[:20_000], labels[:20_000]
held_out, held_out_labels = images[-5000:], labels[-5000:]

cross_entropy = nn.CrossEntropyLoss()
loss = cross_entropy(model(X[:32]), y[:32])
loss

# %% [markdown]
# ## What the tape recorded
#
# The loss is a number that remembers how it came about. Ask it for its graph. So that it fits on a
# page, here is that of a network with two inputs, one hidden unit and two classes:

# %%
small = nn.Sequential(
    nn.Linear(2, 1, rng=rng), nn.Sigmoid(), nn.Linear(1, 2, rng=rng)
)
small_loss = cross_entropy(small(tensor([[1.0, -0.5]])), np.array([1]))
small_loss.graph(gradients=True)

# %% [markdown]
# `backward` walks this graph from the loss to the parameters and leaves its gradient in each of
# them, drawn here in orange. We did not have to write a line of the backward pass. Go with it, step
# by step, forward and back:

# %%
small_loss.player()

# %% [markdown]
# ## Train
#
# This loop is the same in PyTorch, except that there `X` and `y` would be tensors:


# %%
def train(model, optimizer, epochs, rng):
    for _ in range(epochs):
        for rows in minibatches(len(X), 32, rng):
            loss = cross_entropy(model(X[rows]), y[rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()


def accuracy(model):
    """The share of the held-out images that are read correctly."""
    with no_grad():  # nothing will be differentiated, so nothing is recorded
        return (model(held_out).data.argmax(axis=1) == held_out_labels).mean()


train(model, optim.SGD(model.parameters(), lr=0.5), epochs=3, rng=rng)
f"{accuracy(model):.1%} of the held-out images"

# %% [markdown]
# ## The gradient of anything
#
# `backward` fills the parameters. For a term in between, ask `grad`. Here is the gradient of the
# loss with respect to the hidden pre-activations, which the derivation on paper calls $dZ_1$:

# %%
Z1 = model[0](X[:32])
loss = cross_entropy(model[2](model[1](Z1)), y[:32])
(dZ1,) = grad(loss, Z1)
dZ1.shape

# %% [markdown]
# ## Term by term
#
# So we can compare each term on paper with the same term of the tape. `bridge.compare` does that
# for all of them: it runs the network on paper, builds the same one from modules, and shows the
# largest difference in each term.

# %%
paper = byhand.MLP(
    (784, 64, 10), dtype=np.float64, l2=1e-3, rng=np.random.default_rng(1)
)
batch, batch_labels = X[:32].astype(np.float64), y[:32]
comparison = bridge.compare(paper, batch, batch_labels)
comparison

# %% [markdown]
# The two share no code. One was derived on paper for this very network. The other knows only how to
# differentiate an addition, a product, a sigmoid. If they agree to the last digits on random
# weights, then either both are right, or both are wrong in the same way.

# %%
assert comparison.first_divergence is None

# %% [markdown]
# ## Your own derivation
#
# `compare` also takes gradients that somebody else has computed. So it can name the mistake in
# yours, and that is worth more than a curve that looks right.

# %% [markdown] exercise="modules.three-layers"
# ### Exercise 1: one layer more
#
# Write the way back through a network with *two* hidden layers of tanh, softmax and cross-entropy,
# and an L2 penalty of weight `l2`. The forward pass has left its terms in `t`, from `A0` to `A3`.
# The weights are in `p`, from `W1` to `W3`. `compare` is the check.


# %% tags=["stub"]
def backward(p, t, Y, l2):
    dZ3 = (t["A3"] - Y) / len(Y)
    dW3 = ...
    db3 = ...
    dA2 = ...
    dZ2 = ...
    dW2 = ...
    db2 = ...
    dA1 = ...
    dZ1 = ...
    dW1 = ...
    db1 = ...
    return dZ3, dW3, db3, dA2, dZ2, dW2, db2, dA1, dZ1, dW1, db1


# %% [markdown] tags=["hint"]
# Layers 3 and 2 do the same, each with its own input. Write one of them, and the other is the same
# with other numbers: equations (6.10) to (6.13) of
# [the whole network](../derivations/network.md).

# %% [markdown] tags=["hint"]
# The slope of tanh is $1 - a^2$ at its output $a$. The penalty adds `l2` times the weights to the
# gradient of the weights, and nothing to that of the biases.


# %% tags=["check"]
def check(backward):
    draw = np.random.default_rng(1)
    paper = byhand.MLP((5, 4, 6, 3), "tanh", l2=0.1, dtype=np.float64)
    for name, value in paper.params.items():
        paper.params[name] = draw.normal(size=value.shape)
    A0, digits = draw.normal(size=(7, 5)), draw.integers(0, 3, 7)
    found = backward(paper.params, paper.forward(A0), np.eye(3)[digits], 0.1)
    assert found is not None, "Nothing was returned: return all gradients."
    names = [
        "dZ3",
        "dW3",
        "db3",
        "dA2",
        "dZ2",
        "dW2",
        "db2",
        "dA1",
        "dZ1",
        "dW1",
        "db1",
    ]
    assert len(found) == len(names), f"Return {', '.join(names)}."
    mine = dict(zip(names, found, strict=True))
    still = ", ".join(name for name in mine if mine[name] is ...)
    assert not still, f"These are still to be written: {still}."
    compared = bridge.compare(paper, A0, digits, gradients=mine)
    wrong = compared.first_divergence
    assert wrong is None, f"In {wrong.name}: {compared.diagnosis}"


# %% tags=["solution"]
def backward(p, t, Y, l2):
    dZ3 = (t["A3"] - Y) / len(Y)
    dW3 = t["A2"].T @ dZ3 + l2 * p["W3"]
    db3 = dZ3.sum(axis=0)
    dA2 = dZ3 @ p["W3"].T
    dZ2 = dA2 * (1 - t["A2"] ** 2)
    dW2 = t["A1"].T @ dZ2 + l2 * p["W2"]
    db2 = dZ2.sum(axis=0)
    dA1 = dZ2 @ p["W2"].T
    dZ1 = dA1 * (1 - t["A1"] ** 2)
    dW1 = t["A0"].T @ dZ1 + l2 * p["W1"]
    db1 = dZ1.sum(axis=0)
    return dZ3, dW3, db3, dA2, dZ2, dW2, db2, dA1, dZ1, dW1, db1


# %% tags=["misconception"]
# In dW3: λW3, the derivative of the L2 penalty, is missing.
def backward(p, t, Y, l2):
    dZ3 = (t["A3"] - Y) / len(Y)
    dW3 = t["A2"].T @ dZ3
    db3 = dZ3.sum(axis=0)
    dA2 = dZ3 @ p["W3"].T
    dZ2 = dA2 * (1 - t["A2"] ** 2)
    dW2 = t["A1"].T @ dZ2 + l2 * p["W2"]
    db2 = dZ2.sum(axis=0)
    dA1 = dZ2 @ p["W2"].T
    dZ1 = dA1 * (1 - t["A1"] ** 2)
    dW1 = t["A0"].T @ dZ1 + l2 * p["W1"]
    db1 = dZ1.sum(axis=0)
    return dZ3, dW3, db3, dA2, dZ2, dW2, db2, dA1, dZ1, dW1, db1


# %% tags=["misconception"]
# In db3: λb3 was added, but L2 holds for weights only.
def backward(p, t, Y, l2):
    dZ3 = (t["A3"] - Y) / len(Y)
    dW3 = t["A2"].T @ dZ3 + l2 * p["W3"]
    db3 = dZ3.sum(axis=0) + l2 * p["b3"]
    dA2 = dZ3 @ p["W3"].T
    dZ2 = dA2 * (1 - t["A2"] ** 2)
    dW2 = t["A1"].T @ dZ2 + l2 * p["W2"]
    db2 = dZ2.sum(axis=0)
    dA1 = dZ2 @ p["W2"].T
    dZ1 = dA1 * (1 - t["A1"] ** 2)
    dW1 = t["A0"].T @ dZ1 + l2 * p["W1"]
    db1 = dZ1.sum(axis=0)
    return dZ3, dW3, db3, dA2, dZ2, dW2, db2, dA1, dZ1, dW1, db1


# %% tags=["misconception"]
# In dZ2: it equals dA2: the slope f'(Z2), the activation's derivative, is missing.
def backward(p, t, Y, l2):
    dZ3 = (t["A3"] - Y) / len(Y)
    dW3 = t["A2"].T @ dZ3 + l2 * p["W3"]
    db3 = dZ3.sum(axis=0)
    dA2 = dZ3 @ p["W3"].T
    dZ2 = dA2
    dW2 = t["A1"].T @ dZ2 + l2 * p["W2"]
    db2 = dZ2.sum(axis=0)
    dA1 = dZ2 @ p["W2"].T
    dZ1 = dA1 * (1 - t["A1"] ** 2)
    dW1 = t["A0"].T @ dZ1 + l2 * p["W1"]
    db1 = dZ1.sum(axis=0)
    return dZ3, dW3, db3, dA2, dZ2, dW2, db2, dA1, dZ1, dW1, db1


# %% tags=["misconception"]
# In dA1: dA2 was used in place of dZ2, without the slope f'(Z2).
def backward(p, t, Y, l2):
    dZ3 = (t["A3"] - Y) / len(Y)
    dW3 = t["A2"].T @ dZ3 + l2 * p["W3"]
    db3 = dZ3.sum(axis=0)
    dA2 = dZ3 @ p["W3"].T
    dZ2 = dA2 * (1 - t["A2"] ** 2)
    dW2 = t["A1"].T @ dZ2 + l2 * p["W2"]
    db2 = dZ2.sum(axis=0)
    dA1 = dA2 @ p["W2"].T
    dZ1 = dA1 * (1 - t["A1"] ** 2)
    dW1 = t["A0"].T @ dZ1 + l2 * p["W1"]
    db1 = dZ1.sum(axis=0)
    return dZ3, dW3, db3, dA2, dZ2, dW2, db2, dA1, dZ1, dW1, db1


# %% [markdown]
# ## A mistake that learns
#
# Now let us forget the slope of the sigmoid, and train on paper, once right and once wrong:


# %%
#| At the head. The loss over 400 steps, with the right gradient and without
#| the slope. Both curves fall, and after the first hundred steps they can hardly be told apart.
def curve(wrong, steps=400, lr=0.5):
    """Train on paper, and return the loss of each step."""
    paper = byhand.MLP((784, 64, 10), rng=np.random.default_rng(2))
    losses = []
    for step in range(steps):
        rows = slice(32 * step, 32 * step + 32)
        t = paper.forward(X[rows])
        losses.append(paper.loss(t, y[rows]))
        d = paper.backward(t, y[rows])
        if wrong:
            d["dW1"] = t["A0"].T @ d["dA1"]  # dA1 in place of dZ1
            d["db1"] = d["dA1"].sum(axis=0)
        paper.step(d, lr)
    return losses, (paper.predict_label(held_out) == held_out_labels).mean()


losses = {}
for name, wrong in (("right", False), ("without the slope", True)):
    curve_of, read = curve(wrong)
    losses[f"{name}: {read:.1%}"] = curve_of
plots.curves(losses, mean=15, ylim=(0, None))

# %% [markdown]
# It learns. Looking at this curve alone, nobody would suspect a mistake. Give the wrong gradient to
# `compare`:

# %%
t = paper.forward(batch)
d = paper.backward(t, batch_labels)
print(
    bridge.compare(
        paper,
        batch,
        batch_labels,
        gradients=d | {"dW1": t["A0"].T @ d["dA1"] + 1e-3 * paper.params["W1"]},
    ).verdict
)

# %% [markdown]
# Other mistakes of the same kind, and what it makes of them:

# %%
mistakes = {
    "transposed": {"dW2": d["dW2"].T.copy()},
    "summed over the units": {"db1": d["dZ1"].sum(axis=1)},
    "not divided by the batch size": {"dZ2": d["dZ2"] * 32},
    "penalty forgotten": {"dW2": d["dW2"] - 1e-3 * paper.params["W2"]},
}
for name, wrong in mistakes.items():
    found = bridge.compare(paper, batch, batch_labels, gradients=d | wrong)
    print(f"{name}:\n    {found.diagnosis}\n")

# %% [markdown]
# ## Your own module
#
# `Sequential` is for chains. For anything else, subclass `Module`. Parameters and modules become
# known when you assign them, and `forward` is ordinary Python.


# %%
class Network(nn.Module):
    def __init__(self, hidden, rng):
        self.read = nn.Linear(784, hidden, rng=rng)
        self.decide = nn.Linear(hidden, 10, rng=rng)

    def forward(self, x):
        return self.decide(nn.functional.sigmoid(self.read(x)))


network = Network(64, rng)
[(name, p.shape) for name, p in network.named_parameters()]

# %% [markdown]
# ## Exercises

# %% [markdown] exercise="modules.training-step"
# ### Exercise 2: an optimizer is three lines
#
# Carry out one step of gradient descent without `optim`: clear the gradients, go backward, and move
# each parameter against its gradient. `p.data` is the array in a parameter, `p.grad.data` that of
# its gradient.


# %% tags=["stub"]
def training_step(model, x, labels, lr):
    return None  # your turn: change the model, return the loss


# %% [markdown] tags=["hint"]
# Compare with `train` above. `model.zero_grad()` clears the gradients. What else does the optimizer
# do there?

# %% [markdown] tags=["hint"]
# `optimizer.step()` becomes a loop over `model.parameters()`. Give each `p.data` a new value.


# %% tags=["check"]
def check(training_step):
    model, twin = (
        nn.Linear(5, 3, rng=np.random.default_rng(4)) for _ in range(2)
    )
    optimizer = optim.SGD(twin.parameters(), lr=0.3)
    draw, old = (
        np.random.default_rng(5),
        np.nan,
    )  # before the first step there is no gradient
    for _ in range(2):
        x, labels = (
            draw.normal(size=(4, 5)).astype(np.float32),
            draw.integers(0, 3, 4),
        )
        optimizer.zero_grad()
        loss = cross_entropy(twin(x), labels)
        loss.backward()
        g = twin.weight.grad.data
        optimizer.step()
        try:
            found = training_step(model, x, labels, lr=0.3)
        except AttributeError as error:
            missing = "NoneType" in str(error)  # p.grad is None
            assert not missing, (
                "A gradient is None: clear first, then go backward, then move."
            )
            raise
        moved = model.weight.data - (
            twin.weight.data + 0.3 * g
        )  # the twin has moved already
        for wrong, sentence in (
            (
                0 * g,
                "No parameter has moved: assign to p.data. p = ... only gives a new name.",
            ),
            (0.3 * g, "The step goes uphill: subtract the gradient."),
            (
                -g,
                "The learning rate is missing: the step is lr times the gradient.",
            ),
            (
                -0.3 * (g + old),
                "Old gradients are added to the new: clear them first.",
            ),
        ):
            assert not np.allclose(moved, wrong, atol=1e-6), sentence
        for mine, theirs in zip(
            model.parameters(), twin.parameters(), strict=True
        ):
            assert np.allclose(mine.data, theirs.data, atol=1e-6), (
                "That is not where SGD arrives."
            )
        assert found is not None, (
            "The model is right, but nothing was returned: return the loss."
        )
        found = found.item() if hasattr(found, "item") else found
        assert np.isclose(found, loss.item()), (
            "Return the loss before the step."
        )
        old = g


# %% tags=["solution"]
def training_step(model, x, labels, lr):
    loss = cross_entropy(model(x), labels)
    model.zero_grad()
    loss.backward()
    for p in model.parameters():
        p.data = p.data - lr * p.grad.data
    return loss


# %% tags=["misconception"]
# Old gradients are added to the new: clear them first.
def training_step(model, x, labels, lr):
    loss = cross_entropy(model(x), labels)
    loss.backward()
    for p in model.parameters():
        p.data = p.data - lr * p.grad.data
    return loss


# %% tags=["misconception"]
# A gradient is None: clear first, then go backward, then move.
def training_step(model, x, labels, lr):
    loss = cross_entropy(model(x), labels)
    loss.backward()
    model.zero_grad()
    for p in model.parameters():
        p.data = p.data - lr * p.grad.data
    return loss


# %% tags=["misconception"]
# No parameter has moved: assign to p.data. p = ... only gives a new name.
def training_step(model, x, labels, lr):
    loss = cross_entropy(model(x), labels)
    model.zero_grad()
    loss.backward()
    for p in model.parameters():
        p = p - lr * p.grad
    return loss


# %% tags=["misconception"]
# The step goes uphill: subtract the gradient.
def training_step(model, x, labels, lr):
    loss = cross_entropy(model(x), labels)
    model.zero_grad()
    loss.backward()
    for p in model.parameters():
        p.data = p.data + lr * p.grad.data
    return loss


# %% tags=["misconception"]
# The learning rate is missing: the step is lr times the gradient.
def training_step(model, x, labels, lr):
    loss = cross_entropy(model(x), labels)
    model.zero_grad()
    loss.backward()
    for p in model.parameters():
        p.data = p.data - p.grad.data
    return loss


# %% [markdown] exercise="modules.residual"
# ### Exercise 3: a way around
#
# Write a module that adds its input to what another module makes of it: $x + f(x)$. Such a
# *skip connection* lets a gradient pass unchanged, as
# [vanishing gradients](08-vanishing-gradients.md) will show.


# %% tags=["stub"]
class Residual(nn.Module):
    def __init__(self, module): ...

    def forward(self, x):
        return None  # your turn


# %% [markdown] tags=["hint"]
# `Network` above keeps its layers as attributes. Here the layer comes from outside.

# %% [markdown] tags=["hint"]
# In `forward`, call the module that you have kept, and add `x` itself: a tensor, not its array.


# %% tags=["check"]
def check(Residual):
    inner = nn.Linear(3, 3, rng=np.random.default_rng(6))
    x = tensor(np.random.default_rng(7).normal(size=(2, 3)), requires_grad=True)
    y, f = Residual(inner)(x), inner(x).data
    assert y is not None, "forward returned nothing: return x + f(x)."
    assert hasattr(y, "backward"), (
        "forward returned an array, which the tape does not know."
    )
    assert not np.allclose(y.data, f), (
        "That is f(x) alone: add x, the way around."
    )
    assert np.allclose(y.data, x.data + f), "The result is not x + f(x)."
    assert y.requires_grad, (
        "The tape has recorded nothing: add x and module(x), not their arrays."
    )
    assert len(list(Residual(inner).parameters())) == 2, (
        "The parameters of f are not found: assign the module itself to an attribute."
    )
    (dx,) = grad(y.sum(), x)
    through = inner.weight.data.sum(axis=1)
    assert not np.allclose(dx.data, through), (
        "No gradient comes back the way around: x.data leaves the tape, so add x itself."
    )
    assert np.allclose(dx.data, 1 + through), (
        "Two gradients should arrive at x: one unchanged, one through f."
    )


# %% tags=["solution"]
class Residual(nn.Module):
    def __init__(self, module):
        self.module = module

    def forward(self, x):
        return x + self.module(x)


# %% tags=["misconception"]
# That is f(x) alone: add x, the way around.
class Residual(nn.Module):
    def __init__(self, module):
        self.module = module

    def forward(self, x):
        return self.module(x)


# %% tags=["misconception"]
# The parameters of f are not found: assign the module itself to an attribute.
class Residual(nn.Module):
    def __init__(self, module):
        self.f = module.forward

    def forward(self, x):
        return x + self.f(x)


# %% tags=["misconception"]
# The tape has recorded nothing: add x and module(x), not their arrays.
class Residual(nn.Module):
    def __init__(self, module):
        self.module = module

    def forward(self, x):
        return tensor(x.data + self.module(x).data)


# %% tags=["misconception"]
# No gradient comes back the way around: x.data leaves the tape, so add x itself.
class Residual(nn.Module):
    def __init__(self, module):
        self.module = module

    def forward(self, x):
        return x.data + self.module(x)
