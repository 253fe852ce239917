# %% [markdown]
# # Write your own op
#
# **What does a derivative rule look like for a function that nobody has written yet?** You will add
# *swish*, an activation function of 2017 ([Ramachandran and
# others](https://doi.org/10.48550/arXiv.1710.05941)), to the package. You will get its rule wrong
# on purpose, let a checker name the mistake, and see why a rule must not remember.
#
# *You will be able to*: write an op with its rule, check it to second order, and read what the
# checker says. *You need*: [the chain rule](../derivations/chain-rule.md),
# [activations](../derivations/activations.md). *Time*: 30 minutes.

# %% [markdown]
# ## A function, and a line below it
#
# Swish is $x\,\sigma(x)$: like ReLU for large inputs, but smooth, and slightly negative left of 0.

# %%
import numpy as np

from tinygrad_mnist import grad, tensor
from tinygrad_mnist.autodiff import (
    GradcheckError,
    gradcheck,
    gradgradcheck,
    op,
    ops,
)
from tinygrad_mnist.evaluation import plots


@op
def swish(x):
    """x times its sigmoid, elementwise."""
    return x * ops.sigmoid(x)


swish

# %% [markdown]
# That is an op already: a function on arrays. It computes, and it is recorded. What it lacks is a
# derivative.

# %%
x = tensor([-2.0, 0.0, 3.0], requires_grad=True)
swish(x)

# %% [markdown]
# By the product rule, the slope is $\sigma(x) + x\,\sigma'(x)$. A rule is given the gradient $g$
# that arrives at the output, then the output, then the inputs. It returns the gradient with respect
# to the input:

# %%
swish.vjp(lambda g, out, x: g * (ops.sigmoid(x) + x * ops.sigmoid_slope(x)))

swish(x).sum().backward()
x.grad

# %% [markdown]
# ## Is it right?
#
# `gradcheck` moves every element a little to both sides, and compares. It multiplies by random
# numbers first, because a rule that forgets $g$ would look right if all of $g$ were 1.
# `gradgradcheck` does the same with the second derivatives.

# %%
rng = np.random.default_rng(0)
points = rng.normal(size=(2, 3))
gradcheck(swish, [points]), gradgradcheck(swish, [points])

# %% [markdown]
# Now make the mistakes that everybody makes, and see what the checker says:


# %%
def says(rule):
    """The checker's message about swish with another rule."""
    wrong = op(lambda x: x * ops.sigmoid(x), name="wrong").vjp(rule)
    try:
        gradcheck(wrong, [points], rng=np.random.default_rng(0))
    except GradcheckError as error:
        return str(error)
    return "right"


print(says(lambda g, out, x: ops.sigmoid(x) + x * ops.sigmoid_slope(x)), "\n")
print(
    says(lambda g, out, x: g * (ops.sigmoid(x) - x * ops.sigmoid_slope(x))),
    "\n",
)
print(says(lambda g, out, x: -g * (ops.sigmoid(x) + x * ops.sigmoid_slope(x))))

# %% [markdown]
# ## A rule is made of ops
#
# We wrote nothing for the second derivative, and it was right. The rule consists of ops
# (`ops.sigmoid`, `*`, `+`), so it can be run on tensors, and is then recorded like anything else:

# %%
#| At the head. Three curves between -5 and 5. Swish is near 0 on the left, dips a little
#| below 0, and grows like x on the right. Its slope rises from about 0 to about
#| 1, and its bend is a bump at 0 with a shallow dip on either side.
x = tensor(np.linspace(-5, 5, 200), requires_grad=True)
y = swish(x)
(slope,) = grad(y, x, np.ones(200), create_graph=True)
(bend,) = grad(slope, x, np.ones(200))

named = {"swish": y.data, "slope": slope.data, "bend": bend.data}
plots.curves(named, x=x.data, xlabel="x", ylabel="")

# %% [markdown]
# ## A rule must not remember
#
# The sigmoid was computed in the forward pass. Why compute it again? It is tempting to keep it:

# %%
kept = {}


def hurried(x):
    kept["sigmoid"] = 1 / (1 + np.exp(-x))
    return x * kept["sigmoid"]


def hurried_rule(g, out, x):
    s = kept["sigmoid"]
    return g * (s + x * s * (1 - s))


hasty = op(hurried, name="hasty").vjp(hurried_rule)
gradcheck(hasty, [points])

# %% [markdown]
# The first derivative is right. For the second, the array that we kept is a constant, since nobody
# recorded that it depends on $x$.

# %%
try:
    gradgradcheck(hasty, [points], rng=np.random.default_rng(0))
except GradcheckError as error:
    print(error)

# %% [markdown]
# So a rule sees `g`, `out` and the inputs, and nothing else. Here `out` is worth a thought. It is
# $x\,\sigma(x)$, so we could get $\sigma(x)$ as `out / x`, were it not for $x = 0$.
#
# ## Use it
#
# You use an op like any function, in a module too:

# %%
from tinygrad_mnist import nn


class Swish(nn.Module):
    def forward(self, x):
        return swish(x)


model = nn.Sequential(
    nn.Linear(4, 3, rng=rng), Swish(), nn.Linear(3, 1, rng=rng)
)
model(rng.normal(size=(2, 4)).astype(np.float32)).sum().backward()
model[0].weight.grad.shape

# %% [markdown]
# ## Exercises

# %% [markdown] exercise="own-op.hypot"
# ### Exercise 1: a rule for two arguments
#
# `hypot(x, y)` is $\sqrt{x^2 + y^2}$, elementwise. Write its two rules. `out` may save you a square
# root.


# %% tags=["stub"]
def rules():
    return None  # your turn: return two functions of (g, out, x, y)


# %% [markdown] tags=["hint"]
# The chain rule, from outside to inside: the derivative of $\sqrt u$ is $\tfrac{1}{2 \sqrt u}$, and
# that of $x^2 + y^2$ with respect to $x$ is $2x$.

# %% [markdown] tags=["hint"]
# The two factors 2 cancel, and $\sqrt{x^2 + y^2}$ is `out`. Then multiply by `g`.


# %% tags=["check"]
def check(rules):
    found = rules()
    assert found is not None, (
        "Nothing was returned: return two functions of (g, out, x, y)."
    )
    assert isinstance(found, tuple | list), (
        "Return two rules, one for x and one for y."
    )
    assert len(found) == 2, "Return two rules, one for x and one for y."
    draw = np.random.default_rng(1)
    x, y, g = (
        draw.uniform(1, 2, (2, 3)),
        draw.uniform(1, 2, 3),
        draw.normal(size=(2, 3)),
    )
    out = np.hypot(x, y)
    slopes = [np.broadcast_to(rule(g, out, x, y), (2, 3)) for rule in found]
    for wrong, sentence in (
        (
            (x / out, y / out),
            "The rules forget g: multiply by the gradient that arrives.",
        ),
        (
            (g * out / x, g * out / y),
            "Upside down: the slope is x / out, which is at most 1.",
        ),
        (
            (g * x / out**2, g * y / out**2),
            "out is the root already: divide by out, not its square.",
        ),
        (
            (g * y / out, g * x / out),
            "The rules are swapped: the first one belongs to x.",
        ),
        (
            (g / (2 * out),) * 2,
            "The inner derivative is missing: x² inside the root gives 2 x.",
        ),
    ):
        assert not np.allclose(slopes, wrong), sentence
    hypot = op(np.hypot, name="hypot").vjp(*found)
    gradcheck(hypot, [x, y])  # its error says what is wrong
    gradgradcheck(hypot, [x, y])


# %% tags=["solution"]
def rules():
    return (lambda g, out, x, y: g * x / out, lambda g, out, x, y: g * y / out)


# %% tags=["misconception"]
# The rules forget g: multiply by the gradient that arrives.
def rules():
    return (lambda g, out, x, y: x / out, lambda g, out, x, y: y / out)


# %% tags=["misconception"]
# Upside down: the slope is x / out, which is at most 1.
def rules():
    return (lambda g, out, x, y: g * out / x, lambda g, out, x, y: g * out / y)


# %% tags=["misconception"]
# out is the root already: divide by out, not its square.
def rules():
    return (
        lambda g, out, x, y: g * x / (x**2 + y**2),
        lambda g, out, x, y: g * y / (x**2 + y**2),
    )


# %% tags=["misconception"]
# The rules are swapped: the first one belongs to x.
def rules():
    return (lambda g, out, x, y: g * y / out, lambda g, out, x, y: g * x / out)


# %% tags=["misconception"]
# The inner derivative is missing: x² inside the root gives 2 x.
def rules():
    return (
        lambda g, out, x, y: g / (2 * out),
        lambda g, out, x, y: g / (2 * out),
    )


# %% [markdown] exercise="own-op.fit"
# ### Exercise 2: broadcasting
#
# The check of exercise 1 calls `hypot` with an `x` of shape (2, 3) and a `y` of shape (3,). There
# `g * y / out` has the shape (2, 3), and still the gradient of `y` has the shape (3,). Write the
# function that the tape applies to what a rule returns: it sums `g`, of shape (m, n), to the shape
# `(n,)`, `(1, n)`, `(m, 1)` or `(1, 1)` that is asked for.


# %% tags=["stub"]
def fit(g, shape):
    return None  # your turn


# %% [markdown] tags=["hint"]
# Forward, broadcasting copied one element into many places. Backward, a gradient arrives from each
# of the copies. Which axes were copied along?

# %% [markdown] tags=["hint"]
# Put ones in front of `shape` until it is as long as `g.shape`. Then sum over every axis where it
# is 1, with `keepdims=True`, and give the result the shape that is asked for.


# %% tags=["check"]
def check(fit):
    g = np.random.default_rng(2).normal(size=(4, 3))
    for shape in ((3,), (1, 3), (4, 1), (1, 1)):
        x = tensor(np.zeros(shape), requires_grad=True)
        (np.ones((4, 3)) * x).backward(g)
        right, found = x.grad.data, fit(g.copy(), shape)
        assert found is not None, "Nothing was returned: return an array."
        found = np.asarray(found)
        assert found.ndim >= len(shape), (
            "An axis of length 1 is lost: sum with keepdims=True."
        )
        assert found.ndim == len(shape), (
            f"One axis is too many for the shape {shape}: reshape the sums to it."
        )
        assert (shape, found.shape) != ((4, 1), (1, 3)), (
            "For the shape (m, 1) the copies lie along a row: sum over axis 1."
        )
        assert found.shape == shape, (
            f"The shape should be {shape}, but is {found.shape}."
        )
        for wrong, sentence in (
            (
                right * right.size / g.size,
                "The gradients of the copies are added, not averaged.",
            ),
            (
                np.resize(g, shape),
                "Only the first copy counts here: add up all of them.",
            ),
            (g.sum(), "All of g is added up: sum over the copied axes only."),
        ):
            assert np.allclose(right, wrong) or not np.allclose(found, wrong), (
                sentence
            )
        assert np.allclose(found, right), (
            f"The sums for the shape {shape} are not right."
        )


# %% tags=["solution"]
def fit(g, shape):
    padded = (1,) * (g.ndim - len(shape)) + tuple(shape)
    repeated = tuple(i for i, n in enumerate(padded) if n == 1)
    return g.sum(axis=repeated, keepdims=True).reshape(shape)


# %% tags=["misconception"]
# An axis of length 1 is lost: sum with keepdims=True.
def fit(g, shape):
    return g.sum(axis=0)


# %% tags=["misconception"]
# One axis is too many for the shape (3,): reshape the sums to it.
def fit(g, shape):
    padded = (1,) * (g.ndim - len(shape)) + tuple(shape)
    repeated = tuple(i for i, n in enumerate(padded) if n == 1)
    return g.sum(axis=repeated, keepdims=True)


# %% tags=["misconception"]
# For the shape (m, 1) the copies lie along a row: sum over axis 1.
def fit(g, shape):
    return g.sum(axis=0, keepdims=len(shape) == 2)


# %% tags=["misconception"]
# The gradients of the copies are added, not averaged.
def fit(g, shape):
    padded = (1,) * (g.ndim - len(shape)) + tuple(shape)
    repeated = tuple(i for i, n in enumerate(padded) if n == 1)
    return g.mean(axis=repeated, keepdims=True).reshape(shape)


# %% tags=["misconception"]
# Only the first copy counts here: add up all of them.
def fit(g, shape):
    return np.resize(g, shape)


# %% tags=["misconception"]
# All of g is added up: sum over the copied axes only.
def fit(g, shape):
    return np.full(shape, g.sum())
