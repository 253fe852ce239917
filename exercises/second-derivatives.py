# %% [markdown]
# # Exercises: [second derivatives](../derivations/second-derivatives.md)
#
# *Time*: about 35 minutes.
#
# You may use the package: `grad` differentiates, and with
# `create_graph=True` it records what it does.

# %%
import numpy as np

from tinygrad_mnist import grad, tensor
from tinygrad_mnist.autodiff import Op, gradcheck, gradgradcheck

# %% [markdown] exercise="second-derivatives.reciprocal"
# ### Exercise 1: twice, on paper
#
# Let $f(x) = \tfrac1x$ and $x = 2$. What are the slope and the bend,
# $f'(2)$ and $f''(2)$?

# %% tags=["stub"]
slope = ...
bend = ...

# %% [markdown] tags=["hint"]
# $f(x) = x^{-1}$. Each derivative brings the exponent down, and lowers it
# by 1.


# %% tags=["check"]
def check(slope, bend):
    assert not np.isclose(slope, 0.25), (
        "The exponent -1 comes down with its sign: 1/x falls, so its "
        "slope is negative."
    )
    assert np.isclose(slope, -0.25), "The slope of 1/x is -1/x²."
    assert not np.isclose(bend, -0.25), (
        "The bend of 1/x is positive: it falls less and less. The "
        "exponent -2 brings a minus too."
    )
    assert not np.isclose(bend, 0.125), (
        "The exponent -2 comes down as well: the bend is 2/x³, not 1/x³."
    )
    assert np.isclose(bend, 0.25), "The bend of 1/x is 2/x³."


# %% tags=["solution"]
slope = -1 / 4  # -1/x²
bend = 1 / 4  # 2/x³

# %% tags=["misconception"]
# The exponent -1 comes down with its sign: 1/x falls, so its slope is
# negative.
slope, bend = 1 / 4, 1 / 4

# %% tags=["misconception"]
# The bend of 1/x is positive: it falls less and less. The exponent -2
# brings a minus too.
slope, bend = -1 / 4, -1 / 4

# %% tags=["misconception"]
# The exponent -2 comes down as well: the bend is 2/x³, not 1/x³.
slope, bend = -1 / 4, 1 / 8

# %% [markdown] exercise="second-derivatives.hessian-vector"
# ### Exercise 2: the Hessian, without the matrix
#
# A classifier says $p = (\tfrac12, \tfrac14, \tfrac14)$, and the direction
# is $v = (2, 0, 4)$. Compute the product $q = Hv$ by (9.10), and the bend
# along $v$ by (9.9).

# %% tags=["stub"]
q = ...  # [..., ..., ...]
bend = ...

# %% [markdown] tags=["hint"]
# First the mean of $v$ under $p$. It is a whole number.

# %% [markdown] tags=["hint"]
# $q_i = p_i\,(v_i - \bar v)$, and the bend is $\sum_i v_i\,q_i$, or the
# variance of $v$ under $p$.


# %% tags=["check"]
def check(q, bend):
    p, v = np.array([0.5, 0.25, 0.25]), np.array([2, 0, 4])
    H = np.diag(p) - np.outer(p, p)
    assert np.shape(q) == (3,), "q has three numbers."
    assert not np.allclose(q, p * v), (
        "That is the diagonal part alone. Subtract the mean of v before "
        "you multiply by p."
    )
    assert not np.allclose(q, v - 2), "The factor p is missing."
    assert np.allclose(q, H @ v), (
        "q is p times v less its mean, which is 2."
    )
    assert not np.isclose(bend, 8 / 3, atol=0.01), (
        "That is a variance in which all classes count alike. Here they "
        "are weighted with p."
    )
    assert np.isclose(bend, v @ H @ v), (
        "The bend is the variance of v under p."
    )


# %% tags=["solution"]
# the mean is 2; p times (0, -2, 2)
q = [0, -0.5, 0.5]
bend = 2  # 1/4 · 4 + 1/4 · 4

# %% tags=["misconception"]
# That is the diagonal part alone. Subtract the mean of v before you
# multiply by p.
q, bend = [1, 0, 1], 2

# %% tags=["misconception"]
# The factor p is missing.
q, bend = [0, -2, 2], 2

# %% tags=["misconception"]
# That is a variance in which all classes count alike. Here they are
# weighted with p.
q, bend = [0, -0.5, 0.5], 8 / 3

# %% [markdown] exercise="second-derivatives.hvp"
# ### Exercise 3: a Hessian times a vector, for any loss
#
# Turn (9.11) into code. `f` takes a tensor and returns a tensor with one
# number. Return $Hv$ at `x` as an array; `x` and `v` are arrays of one
# shape.


# %% tags=["stub"]
def hessian_times(f, x, v):
    return None  # your turn


# %% [markdown] tags=["hint"]
# Three steps: `x = tensor(x, requires_grad=True)`, the slopes with
# `create_graph=True`, and the gradient of one number that is made of them.

# %% [markdown] tags=["hint"]
# That number is `(slopes * v).sum()`. `grad` returns a tuple, and a tensor
# keeps its array in `.data`.


# %% tags=["check"]
def check(hessian_times):
    f = lambda x: (x[0] * x[0] * x[1]) + x[1] * x[1] * x[1] * x[2]
    x, v = np.array([2.0, 3.0, -1.0]), np.array([1.0, -2.0, 0.5])
    H = np.array([[6.0, 4.0, 0.0], [4.0, -18.0, 27.0], [0.0, 27.0, 0.0]])
    found = hessian_times(f, x, v)
    found = np.asarray(getattr(found, "data", found))
    assert found.shape == (3,), (
        f"The product has the shape of x, (3,), not {found.shape}."
    )
    assert not np.allclose(found, H.sum(axis=0)), (
        "You added up the slopes without their weights: that is H times a "
        "vector of ones."
    )
    assert not np.allclose(found, np.array([12.0, -23.0, 27.0])), (
        "That is the gradient. It has to be differentiated once more, "
        "along v."
    )
    assert not np.allclose(found, H.sum(axis=0) * v), (
        "v comes too late: weight the slopes with it before you "
        "differentiate again."
    )
    assert np.allclose(found, H @ v), (
        f"Here Hv should be {H @ v}, not {found}."
    )


# %% tags=["solution"]
def hessian_times(f, x, v):
    x = tensor(x, requires_grad=True)
    (slopes,) = grad(f(x), x, create_graph=True)
    (product,) = grad((slopes * v).sum(), x)
    return product.data


# %% tags=["misconception"]
# You added up the slopes without their weights: that is H times a vector of
# ones.
def hessian_times(f, x, v):
    x = tensor(x, requires_grad=True)
    (slopes,) = grad(f(x), x, create_graph=True)
    (product,) = grad(slopes.sum(), x)
    return product.data


# %% tags=["misconception"]
# That is the gradient. It has to be differentiated once more, along v.
def hessian_times(f, x, v):
    x = tensor(x, requires_grad=True)
    (slopes,) = grad(f(x), x)
    return slopes.data


# %% tags=["misconception"]
# v comes too late: weight the slopes with it before you differentiate
# again.
def hessian_times(f, x, v):
    x = tensor(x, requires_grad=True)
    (slopes,) = grad(f(x), x, create_graph=True)
    (product,) = grad(slopes.sum(), x)
    return product.data * v


# %% [markdown] exercise="second-derivatives.stash"
# ### Exercise 4: what is wrong here?
#
# This op passes `gradcheck`. Its second derivatives are wrong, and nothing
# says so until somebody asks. Fix the rule; leave `forward` as it is.

# %% tags=["stub"]
stash = {}


def forward(x):
    stash["y"] = np.exp(x)
    return stash["y"]


def rule(g, out, x):
    return g * stash["y"]


my_exp = Op(forward, "my_exp").vjp(rule)

# %% [markdown] tags=["hint"]
# What is `stash["y"]` to the tape, while it records the rule: a tensor with
# a history, or an array?

# %% [markdown] tags=["hint"]
# The rule is given `g`, `out` and `x`, and may use all of them. Which of
# them is $e^x$ already?


# %% tags=["check"]
def check(my_exp):
    x = np.array([0.5, -1.25])
    y = my_exp(tensor(x))
    assert np.allclose(y.data, np.exp(x)), (
        "The op no longer computes the exponential."
    )
    leaf = tensor(x, requires_grad=True)
    (slope,) = grad(my_exp(leaf), leaf, grad_outputs=np.array([2.0, -3.0]))
    assert not np.allclose(slope.data, np.exp(x)), (
        "The cotangent got lost: a rule multiplies the slope by g, which "
        "arrives."
    )
    assert not np.allclose(slope.data, np.array([2.0, -3.0]) * x), (
        "The slope of the exponential is the exponential itself, not its "
        "input."
    )
    try:
        gradcheck(my_exp, [x])
    except AssertionError:
        raise AssertionError(
            "The first derivative is wrong now: it is g times e to the x."
        ) from None
    try:
        gradgradcheck(my_exp, [x])
    except AssertionError:
        raise AssertionError(
            "The second derivative is wrong: the rule still remembers "
            "something."
        ) from None


# %% tags=["solution"]
stash = {}


def forward(x):
    stash["y"] = np.exp(x)
    return stash["y"]


def rule(g, out, x):
    return g * out


my_exp = Op(forward, "my_exp").vjp(rule)

# %% tags=["misconception"]
# The cotangent got lost: a rule multiplies the slope by g, which arrives.
my_exp = Op(np.exp, "my_exp").vjp(lambda g, out, x: out)

# %% tags=["misconception"]
# The slope of the exponential is the exponential itself, not its input.
my_exp = Op(np.exp, "my_exp").vjp(lambda g, out, x: g * x)

# %% [markdown] exercise="second-derivatives.step-size"
# ### Exercise 5: how far?
#
# A bowl (9.12) has two axes with the bends $h_1 = 1$ and $h_2 = 10$. Which
# learning rate must not be reached, so that no axis diverges? And with
# $\eta = 0.1$: by which factors does a step multiply $w_1$ and $w_2$?

# %% tags=["stub"]
limit = ...
factor_1 = ...
factor_2 = ...

# %% [markdown] tags=["hint"]
# (9.14): the factor of an axis is $1 - \eta\,h_k$. It has to lie between
# $-1$ and 1, on both.


# %% tags=["check"]
def check(limit, factor_1, factor_2):
    assert not np.isclose(limit, 2), (
        "2 is the limit of the flat axis. The one that bends most sets "
        "it: 2 / 10."
    )
    assert not np.isclose(limit, 0.1), (
        "1/h reaches the minimum in one step. Up to 2/h the steps still "
        "shrink."
    )
    assert np.isclose(limit, 0.2), (
        "The limit is 2 divided by the largest bend."
    )
    assert not np.isclose(factor_1, 0.1), (
        "That is what a step takes away. What is left is 1 - η h."
    )
    assert np.isclose(factor_1, 0.9), (
        "Along the first axis it is 1 - 0.1 · 1."
    )
    assert np.isclose(factor_2, 0), (
        "Along the second axis it is 1 - 0.1 · 10."
    )


# %% tags=["solution"]
# 2 / 10, by the axis that bends most
limit = 0.2
factor_1 = 0.9  # the flat axis is slow
# and the steep one arrives in a single step
factor_2 = 0

# %% tags=["misconception"]
# 2 is the limit of the flat axis. The one that bends most sets it: 2 / 10.
limit, factor_1, factor_2 = 2, 0.9, 0

# %% tags=["misconception"]
# 1/h reaches the minimum in one step. Up to 2/h the steps still shrink.
limit, factor_1, factor_2 = 0.1, 0.9, 0

# %% tags=["misconception"]
# That is what a step takes away. What is left is 1 - η h.
limit, factor_1, factor_2 = 0.2, 0.1, 1
