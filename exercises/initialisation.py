# %% [markdown]
# # Exercises: [initialisation](../derivations/initialisation.md)
#
# *Time*: about 20 minutes.
#
# Everything here follows from two lines, (11.2) and (11.3).

# %%
import numpy as np

# %% [markdown] exercise="initialisation.variance"
# ### Exercise 1: through one unit
#
# A unit has $n = 300$ inputs with $\mathrm{E}(x^2) = 0.12$, and weights
# with $\mathrm{Var}(w) = 0.01$. What is the standard deviation of $z$? And
# which variance of the weights would give $z$ the variance 1?

# %% tags=["stub"]
deviation = ...
var_w = ...

# %% [markdown] tags=["hint"]
# (11.2) gives the variance. The deviation is its root.


# %% tags=["check"]
def check(deviation, var_w):
    assert not np.isclose(deviation, 0.36), (
        "0.36 is the variance. The standard deviation is its root."
    )
    assert not np.isclose(deviation, 36), "Var(w) is missing, and the root."
    assert np.isclose(deviation, 0.6), (
        "Var(z) = 300 · 0.01 · 0.12, and the deviation is its root."
    )
    assert not np.isclose(var_w, 1 / 300, atol=1e-4), (
        "1/n is right for inputs of mean square 1. Here the mean square "
        "is 0.12."
    )
    assert np.isclose(var_w, 1 / 36, atol=1e-4), (
        "Solve (11.2) for Var(w), with Var(z) = 1."
    )


# %% tags=["solution"]
# the root of 300 · 0.01 · 0.12
deviation = 0.6
var_w = 1 / 36  # 1 / (300 · 0.12)

# %% tags=["misconception"]
# 0.36 is the variance. The standard deviation is its root.
deviation, var_w = 0.36, 1 / 36

# %% tags=["misconception"]
# Var(w) is missing, and the root.
deviation, var_w = 36, 1 / 36

# %% tags=["misconception"]
# 1/n is right for inputs of mean square 1. Here the mean square is 0.12.
deviation, var_w = 0.6, 1 / 300

# %% [markdown] exercise="initialisation.bounds"
# ### Exercise 2: two bounds
#
# A layer leads from $n = 150$ inputs to $m = 450$ units. Compute the bounds
# $r$ of Xavier and of He. By which factor does the mean square of a
# gradient change on its way back through this layer, with Xavier's rule?

# %% tags=["stub"]
xavier = ...
he = ...
factor = ...

# %% [markdown] tags=["hint"]
# (11.5) and (11.8). The roots come out even.

# %% [markdown] tags=["hint"]
# On the way back the factor is $m\,\mathrm{Var}(w)$, with
# $\mathrm{Var}(w) = \tfrac{2}{n + m}$.


# %% tags=["check"]
def check(xavier, he, factor):
    assert np.isclose(xavier, 0.1), (
        "Xavier's bound is the root of 6 / (150 + 450)."
    )
    assert not np.isclose(he, np.sqrt(6 / 450), atol=1e-3), (
        "He's rule counts the inputs of a unit, n = 150, not the units."
    )
    assert np.isclose(he, 0.2), "He's bound is the root of 6 / 150."
    assert not np.isclose(factor, 0.5), (
        "That is the factor of the way forward, n Var(w). Back it is m "
        "Var(w)."
    )
    assert not np.isclose(factor, 1), (
        "It is 1 only if n = m. Xavier's rule takes the middle between "
        "both ways."
    )
    assert np.isclose(factor, 1.5), "m times 2 / (n + m) is 450 · 2 / 600."


# %% tags=["solution"]
xavier = 0.1  # √(6 / 600)
he = 0.2  # √(6 / 150)
factor = 1.5  # 450 · 2 / 600

# %% tags=["misconception"]
# He's rule counts the inputs of a unit, n = 150, not the units.
xavier = 0.1
he = np.sqrt(6 / 450)
factor = 1.5

# %% tags=["misconception"]
# That is the factor of the way forward, n Var(w). Back it is m Var(w).
xavier, he, factor = 0.1, 0.2, 0.5

# %% tags=["misconception"]
# It is 1 only if n = m. Xavier's rule takes the middle between both ways.
xavier, he, factor = 0.1, 0.2, 1

# %% [markdown] exercise="initialisation.through-layers"
# ### Exercise 3: through many layers
#
# Weights are drawn with variance $c / n$, and each layer ends in a ReLU. By
# which factor does the *size* of the signal (the root of its mean square)
# change over $k$ layers? Write it as a function.


# %% tags=["stub"]
def size_factor(c, k):
    return None  # your turn


# %% [markdown] tags=["hint"]
# By (11.2) the linear layer multiplies the mean square by $c$, and by
# (11.7) the ReLU halves it.

# %% [markdown] tags=["hint"]
# The mean square is multiplied by $\tfrac c2$ per layer. The size by the
# root of it.


# %% tags=["check"]
def check(size_factor):
    found = [size_factor(c, k) for c, k in ((2, 7), (1, 2), (8, 3))]
    assert None not in found, "Nothing was returned: return a number."
    assert not np.allclose(found, [1, 0.25, 64]), (
        "That is the factor of the mean square. The size is its root."
    )
    assert not np.allclose(found, [2**3.5, 1, 8**1.5]), (
        "That forgets the ReLU, which takes half of the mean square at "
        "every layer."
    )
    assert not np.allclose(found, [7, 2**0.5, 6]), (
        "The factor is applied once per layer: it is a power of k, not a "
        "multiple."
    )
    assert np.allclose(found, [1, 0.5, 8]), (
        "He's c = 2 keeps the size; c = 1 halves it in 2 layers."
    )


# %% tags=["solution"]
def size_factor(c, k):
    return (c / 2) ** (k / 2)


# %% tags=["misconception"]
# That is the factor of the mean square. The size is its root.
def size_factor(c, k):
    return (c / 2) ** k


# %% tags=["misconception"]
# That forgets the ReLU, which takes half of the mean square at every layer.
def size_factor(c, k):
    return c ** (k / 2)


# %% tags=["misconception"]
# The factor is applied once per layer: it is a power of k, not a multiple.
def size_factor(c, k):
    return np.sqrt(c / 2) * k


# %% [markdown] exercise="initialisation.leaky"
# ### Exercise 4: a rule for another activation
#
# A leaky ReLU keeps $z$ where it is positive, and $\alpha z$ elsewhere.
# Derive the bound $r$ of a uniform distribution that keeps the mean square
# from layer to layer, as (11.8) does for ReLU.


# %% tags=["stub"]
def leaky_bound(n, alpha):
    return None  # your turn


# %% [markdown] tags=["hint"]
# As in (11.7), the positive half contributes $\tfrac12 \mathrm{Var}(z)$.
# What does the negative half contribute?

# %% [markdown] tags=["hint"]
# $\mathrm{E}(f(z)^2) = \tfrac12 (1 + \alpha^2)\,\mathrm{Var}(z)$. Choose
# $\mathrm{Var}(w)$ so that $n\,\mathrm{Var}(w)$ undoes it, and use (11.4).


# %% tags=["check"]
def check(leaky_bound):
    found = [
        leaky_bound(n, alpha) for n, alpha in ((100, 0.5), (6, 0), (30, 1))
    ]
    assert None not in found, "Nothing was returned: return a number."
    right = [
        np.sqrt(6 / (n * (1 + alpha**2)))
        for n, alpha in ((100, 0.5), (6, 0), (30, 1))
    ]
    assert not np.allclose(
        found,
        [
            np.sqrt(6 / (n * (1 + a)))
            for n, a in ((100, 0.5), (6, 0), (30, 1))
        ],
    ), (
        "A mean square is what counts: the negative half contributes α², "
        "not α."
    )
    assert not np.allclose(found, [np.sqrt(6 / n) for n in (100, 6, 30)]), (
        "That is He's bound. The leak lets some of the negative half "
        "through."
    )
    assert not np.allclose(found, np.square(right) / 3), (
        "That is the variance. The bound r follows from it by (11.4): r² "
        "= 3 Var(w)."
    )
    assert np.allclose(found, right), (
        "With α = 0 it is He's bound, with α = 1 that of no activation."
    )


# %% tags=["solution"]
def leaky_bound(n, alpha):
    return np.sqrt(6 / (n * (1 + alpha**2)))


# %% tags=["misconception"]
# A mean square is what counts: the negative half contributes α², not α.
def leaky_bound(n, alpha):
    return np.sqrt(6 / (n * (1 + alpha)))


# %% tags=["misconception"]
# That is He's bound. The leak lets some of the negative half through.
def leaky_bound(n, alpha):
    return np.sqrt(6 / n)


# %% tags=["misconception"]
# That is the variance. The bound r follows from it by (11.4): r² = 3
# Var(w).
def leaky_bound(n, alpha):
    return 2 / (n * (1 + alpha**2))


# %% [markdown] exercise="initialisation.too-small"
# ### Exercise 5: what is wrong here?
#
# Somebody wants He's variance $\tfrac2n$, and draws from a normal
# distribution. After ten layers nothing is left of the signal. Look up what
# `rng.normal` takes, and fix it.


# %% tags=["stub"]
def he_normal(rng, n, m):
    return rng.normal(0, 2 / n, size=(n, m))


# %% [markdown] tags=["hint"]
# The second argument of `rng.normal` is called `scale`. Is that a variance?


# %% tags=["check"]
def check(he_normal):
    W = he_normal(np.random.default_rng(1), 400, 300)
    assert np.shape(W) == (400, 300), (
        f"W has n rows and m columns, not {np.shape(W)}."
    )
    assert abs(W.mean()) < 0.01, (
        "These weights are all positive, so their sums are far from 0: "
        "draw around 0."
    )
    measured = W.var() * 400
    assert not np.isclose(measured, 1, rtol=0.05), (
        "That is the root of 1/n. ReLU takes half away, so He doubles the "
        "variance."
    )
    assert not np.isclose(measured, 8 / 3, rtol=0.03), (
        "He's rule counts the inputs of a unit, n, not the units m."
    )
    assert np.isclose(measured, 2, rtol=0.05), (
        f"n Var(W) should be 2, but is {measured:.2g}."
    )


# %% tags=["solution"]
def he_normal(rng, n, m):
    # a deviation
    return rng.normal(0, np.sqrt(2 / n), size=(n, m))


# %% tags=["misconception"]
# These weights are all positive, so their sums are far from 0: draw around
# 0.
def he_normal(rng, n, m):
    return rng.uniform(0, np.sqrt(6 / n), size=(n, m))


# %% tags=["misconception"]
# That is the root of 1/n. ReLU takes half away, so He doubles the variance.
def he_normal(rng, n, m):
    return rng.normal(0, np.sqrt(1 / n), size=(n, m))


# %% tags=["misconception"]
# He's rule counts the inputs of a unit, n, not the units m.
def he_normal(rng, n, m):
    return rng.normal(0, np.sqrt(2 / m), size=(n, m))
