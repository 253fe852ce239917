# %% [markdown]
# # Exercises: [mean squared error](../derivations/squared-error.md)
#
# *Time*: about 25 minutes.
#
# First with numbers, then in code. Throughout, compare with cross-entropy.

# %%
import numpy as np

# %% [markdown] exercise="squared-error.two-losses"
# ### Exercise 1: one unit, two losses
#
# A sigmoid unit has the value $a = 0.9$, and its target is $y = 0$. Compute
# the squared error $q$, its derivative $q_z$ by (5.7), and the derivative
# $h_z$ of cross-entropy by (5.11).

# %% tags=["stub"]
q = ...
q_z = ...
h_z = ...

# %% [markdown] tags=["hint"]
# (5.7) has three factors behind the 2: $a - y$, $a$ and $1 - a$.


# %% tags=["check"]
def check(q, q_z, h_z):
    assert np.isclose(q, 0.81), "q is the square of 0.9."
    assert not np.isclose(q_z, 1.8), (
        "1.8 is the derivative with respect to a. On the way to z it is "
        "multiplied by the slope a (1 - a)."
    )
    assert not np.isclose(q_z, 0.081), "The 2 of the square is missing."
    assert np.isclose(q_z, 0.162), (
        "q_z is 2 times 0.9, times 0.9, times 0.1."
    )
    assert not np.isclose(h_z, 10), (
        "10 is the derivative with respect to a, (5.10). Times the slope "
        "it is a - y."
    )
    assert np.isclose(h_z, 0.9), "h_z is output minus target."


# %% tags=["solution"]
q = 0.81
q_z = 0.162  # 2 · 0.9 · 0.9 · 0.1
h_z = 0.9

# %% tags=["misconception"]
# 1.8 is the derivative with respect to a. On the way to z it is multiplied
# by the slope a (1 - a).
q, q_z, h_z = 0.81, 1.8, 0.9

# %% tags=["misconception"]
# The 2 of the square is missing.
q, q_z, h_z = 0.81, 0.081, 0.9

# %% tags=["misconception"]
# 10 is the derivative with respect to a, (5.10). Times the slope it is a -
# y.
q, q_z, h_z = 0.81, 0.162, 10

# %% [markdown] exercise="squared-error.hardest-pull"
# ### Exercise 2: where the pull is hardest
#
# For the target 1, the page finds that a unit is corrected most at
# $a = \tfrac13$. Find the same for the target 0: at which $a$ is $|q_z|$
# largest, and how large is it there?

# %% tags=["stub"]
a = ...
largest = ...

# %% [markdown] tags=["hint"]
# For $y = 0$, (5.7) is $2 a^2 (1 - a)$. Differentiate $a^2 (1 - a)$.

# %% [markdown] tags=["hint"]
# The derivative $2a - 3a^2$ is 0 at $a = 0$ and at one other place.


# %% tags=["check"]
def check(a, largest):
    assert not np.isclose(a, 0.5), (
        "At one half the slope of the sigmoid is largest, but the error "
        "grows on beyond it."
    )
    assert not np.isclose(a, 1 / 3, atol=1e-3), (
        "One third is the place for the target 1. For the target 0 "
        "everything is mirrored."
    )
    assert not np.isclose(a, 1), (
        "At a = 1 the unit is most wrong, and the slope of the sigmoid is "
        "0: nothing arrives."
    )
    assert np.isclose(a, 2 / 3, atol=1e-3), (
        "Look where the derivative of a² (1 - a) is 0."
    )
    assert not np.isclose(largest, 4 / 27, atol=1e-4), (
        "The 2 of the square is missing."
    )
    assert np.isclose(largest, 8 / 27, atol=1e-3), (
        "Put a into 2 a² (1 - a)."
    )


# %% tags=["solution"]
a = 2 / 3  # 2a - 3a² = a (2 - 3a) is 0
largest = 8 / 27  # 2 · 4/9 · 1/3

# %% tags=["misconception"]
# At one half the slope of the sigmoid is largest, but the error grows on
# beyond it.
a, largest = 1 / 2, 1 / 4

# %% tags=["misconception"]
# One third is the place for the target 1. For the target 0 everything is
# mirrored.
a, largest = 1 / 3, 8 / 27

# %% tags=["misconception"]
# At a = 1 the unit is most wrong, and the slope of the sigmoid is 0:
# nothing arrives.
a, largest = 1, 0

# %% tags=["misconception"]
# The 2 of the square is missing.
a, largest = 2 / 3, 4 / 27

# %% [markdown] exercise="squared-error.batch"
# ### Exercise 3: a batch, in code
#
# Write (5.3) and (5.4) as one function: from the outputs `A` of a layer of
# sigmoids and the targets `Y`, return $dZ$ for the mean squared error.


# %% tags=["stub"]
def output_gradient(A, Y):
    return None  # your turn: dZ


# %% [markdown] tags=["hint"]
# `A.shape` is $(B, C)$. The mean in (5.2) is over all of its entries.


# %% tags=["check"]
def check(output_gradient):
    draw, h = np.random.default_rng(1), 1e-6
    Z, Y = (
        draw.normal(size=(4, 3)),
        np.array([[1, 0, 0], [0, 1, 0], [0, 0, 1], [1, 0, 0]]),
    )
    f = lambda Z: 1 / (1 + np.exp(-Z))
    A = f(Z)
    dZ, E = output_gradient(A, Y), A - Y
    assert np.shape(dZ) == (4, 3), (
        f"dZ has the shape of A, (4, 3), not {np.shape(dZ)}."
    )
    assert not np.allclose(dZ, 2 * E / 12), (
        "That is dA. Between Z and A lies the sigmoid: multiply by its "
        "slope A (1 - A)."
    )
    assert not np.allclose(dZ, 2 * E * A * (1 - A) / 4), (
        "You divided by B. The mean of (5.2) is over all B times C outputs."
    )
    assert not np.allclose(dZ, E * A * (1 - A) / 12), (
        "The 2 of the square is missing."
    )
    assert not np.allclose(dZ, E / 4), (
        "That is the gradient of cross-entropy. A squared error keeps the "
        "slope of the sigmoid."
    )
    right = ((f(Z + h) - Y) ** 2 - (f(Z - h) - Y) ** 2) / (2 * h) / 12
    assert np.allclose(dZ, right), (
        "Moving an entry of Z gives another slope."
    )


# %% tags=["solution"]
def output_gradient(A, Y):
    dA = 2 * (A - Y) / (A.shape[0] * A.shape[1])
    return dA * A * (1 - A)


# %% tags=["misconception"]
# That is dA. Between Z and A lies the sigmoid: multiply by its slope A (1 -
# A).
def output_gradient(A, Y):
    return 2 * (A - Y) / (A.shape[0] * A.shape[1])


# %% tags=["misconception"]
# You divided by B. The mean of (5.2) is over all B times C outputs.
def output_gradient(A, Y):
    return 2 * (A - Y) * A * (1 - A) / len(A)


# %% tags=["misconception"]
# The 2 of the square is missing.
def output_gradient(A, Y):
    return (A - Y) * A * (1 - A) / (A.shape[0] * A.shape[1])


# %% tags=["misconception"]
# That is the gradient of cross-entropy. A squared error keeps the slope of
# the sigmoid.
def output_gradient(A, Y):
    return (A - Y) / len(A)


# %% [markdown] exercise="squared-error.tanh-output"
# ### Exercise 4: another output
#
# A unit ends in tanh, $t = \tanh z$, with targets $-1$ and $1$, and learns
# with the squared error $(t - y)^2$. Derive the derivative with respect to
# $z$, and write it as code.


# %% tags=["stub"]
def error_slope(z, y):
    return None  # your turn


# %% [markdown] tags=["hint"]
# As in (5.7), with (3.9) in place of the sigmoid's slope. NumPy has
# `np.tanh`.


# %% tags=["check"]
def check(error_slope):
    z, y = np.array([[-2.0, 0.3, 1.5]]), np.array([[1.0, -1.0, 1.0]])
    found, t, h = error_slope(z, y), np.tanh(z), 1e-6
    assert np.shape(found) == (1, 3), (
        f"One number per unit, (1, 3), not {np.shape(found)}."
    )
    assert not np.allclose(found, 2 * (t - y)), (
        "That is the derivative with respect to t. The slope of tanh, 1 - "
        "t², is missing."
    )
    assert not np.allclose(found, 2 * (t - y) * t * (1 - t)), (
        "t (1 - t) would be the slope of a sigmoid with the value t. That "
        "of tanh is 1 - t²."
    )
    assert not np.allclose(found, 2 * (t - y) * (1 - z**2)), (
        "Square the value t, not z: the slope of tanh is 1 - t²."
    )
    right = ((np.tanh(z + h) - y) ** 2 - (np.tanh(z - h) - y) ** 2) / (
        2 * h
    )
    assert np.allclose(found, right), "Moving z gives another slope."


# %% tags=["solution"]
def error_slope(z, y):
    t = np.tanh(z)
    return 2 * (t - y) * (1 - t**2)


# %% tags=["misconception"]
# That is the derivative with respect to t. The slope of tanh, 1 - t², is
# missing.
def error_slope(z, y):
    return 2 * (np.tanh(z) - y)


# %% tags=["misconception"]
# t (1 - t) would be the slope of a sigmoid with the value t. That of tanh
# is 1 - t².
def error_slope(z, y):
    t = np.tanh(z)
    return 2 * (t - y) * t * (1 - t)


# %% tags=["misconception"]
# Square the value t, not z: the slope of tanh is 1 - t².
def error_slope(z, y):
    return 2 * (np.tanh(z) - y) * (1 - z**2)


# %% [markdown] exercise="squared-error.mixed"
# ### Exercise 5: what is wrong here?
#
# Somebody likes the mean squared error, and likes "output minus target" as
# well. The loss below falls, more or less. But it is not the loss whose
# gradient is computed. Keep the loss, and fix the gradient.


# %% tags=["stub"]
def loss_and_gradient(Z, Y):
    A = 1 / (1 + np.exp(-Z))
    loss = ((A - Y) ** 2).mean()
    dZ = (A - Y) / len(Z)
    return loss, dZ


# %% [markdown] tags=["hint"]
# Which loss has the gradient $(A - Y) / B$?

# %% [markdown] tags=["hint"]
# Two things are missing in $dZ$: a factor of the sigmoid, and
# $\tfrac{2}{C}$.


# %% tags=["check"]
def check(loss_and_gradient):
    draw, h = np.random.default_rng(2), 1e-6
    Z, Y = (
        draw.normal(size=(4, 3)),
        np.array([[1, 0, 0], [0, 1, 0], [0, 0, 1], [1, 0, 0]]),
    )
    f = lambda Z: 1 / (1 + np.exp(-Z))
    loss, dZ = loss_and_gradient(Z, Y)
    E, S = f(Z) - Y, f(Z) * (1 - f(Z))
    assert np.isclose(loss, (E**2).mean()), (
        "Now the gradient fits a loss, but it is cross-entropy. Keep the "
        "mean squared error."
    )
    assert not np.allclose(dZ, 2 * E / 12), (
        "The numbers in front are right now. The slope of the sigmoid is "
        "still missing."
    )
    assert not np.allclose(dZ, E * S / 4), (
        "The slope is there now. But the 2 of the square is missing, and "
        "the C of the mean."
    )
    right = ((f(Z + h) - Y) ** 2 - (f(Z - h) - Y) ** 2) / (2 * h) / 12
    assert np.allclose(dZ, right), (
        "dZ is not what comes out if Z is moved a little."
    )


# %% tags=["solution"]
def loss_and_gradient(Z, Y):
    A = 1 / (1 + np.exp(-Z))
    loss = ((A - Y) ** 2).mean()
    dA = 2 * (A - Y) / (A.shape[0] * A.shape[1])
    return loss, dA * A * (1 - A)


# %% tags=["misconception"]
# Now the gradient fits a loss, but it is cross-entropy. Keep the mean
# squared error.
def loss_and_gradient(Z, Y):
    A = 1 / (1 + np.exp(-Z))
    h = -Y * np.log(A) - (1 - Y) * np.log(1 - A)
    return h.sum() / len(Z), (A - Y) / len(Z)


# %% tags=["misconception"]
# The numbers in front are right now. The slope of the sigmoid is still
# missing.
def loss_and_gradient(Z, Y):
    A = 1 / (1 + np.exp(-Z))
    return ((A - Y) ** 2).mean(), 2 * (A - Y) / (A.shape[0] * A.shape[1])


# %% tags=["misconception"]
# The slope is there now. But the 2 of the square is missing, and the C of
# the mean.
def loss_and_gradient(Z, Y):
    A = 1 / (1 + np.exp(-Z))
    return ((A - Y) ** 2).mean(), (A - Y) * A * (1 - A) / len(Z)
