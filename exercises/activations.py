# %% [markdown]
# # Exercises: [sigmoid, tanh, ReLU](../derivations/activations.md)
#
# *Time*: about 35 minutes.
#
# The slopes of this page are short enough to know by heart. Here you use
# them, derive two more, and look at the mistakes that are made with them.

# %%
import numpy as np

# %% [markdown] exercise="activations.slopes"
# ### Exercise 1: slopes from values
#
# A sigmoid unit has the value $s = 0.8$, a tanh unit $t = -0.6$, and a ReLU
# unit has $z = -3$. What are the three slopes with respect to $z$?

# %% tags=["stub"]
sigmoid_slope = ...
tanh_slope = ...
relu_slope = ...

# %% [markdown] tags=["hint"]
# (3.3) and (3.9) need the value, not $z$. (3.11) needs only the sign of
# $z$.


# %% tags=["check"]
def check(sigmoid_slope, tanh_slope, relu_slope):
    assert not np.isclose(sigmoid_slope, 0.36), (
        "0.36 is 1 - s², the formula of tanh. The sigmoid has s (1 - s)."
    )
    assert not np.isclose(sigmoid_slope, 0.2140, atol=1e-3), (
        "0.8 is the value of the sigmoid already: do not put it into the "
        "sigmoid again."
    )
    assert not np.isclose(tanh_slope, 1.6), (
        "The square is missing: the slope of tanh is 1 - t², and never "
        "above 1."
    )
    assert not np.isclose(relu_slope, -3), (
        "That is z. ReLU does not let it through, and its slope there is 0."
    )
    assert np.isclose(sigmoid_slope, 0.16), (
        "By (3.3) the slope of a sigmoid is s (1 - s)."
    )
    assert np.isclose(tanh_slope, 0.64), (
        "By (3.9) the slope of tanh is 1 - t²."
    )
    assert relu_slope == 0, "Left of 0 the graph of ReLU is flat."


# %% tags=["solution"]
sigmoid_slope = 0.16  # 0.8 · (1 - 0.8)
tanh_slope = 0.64  # 1 - (-0.6)²
relu_slope = 0  # z is not positive

# %% tags=["misconception"]
# 0.36 is 1 - s², the formula of tanh. The sigmoid has s (1 - s).
sigmoid_slope = 0.36
tanh_slope = 0.64
relu_slope = 0

# %% tags=["misconception"]
# 0.8 is the value of the sigmoid already: do not put it into the sigmoid
# again.
sigmoid_slope = 0.214
tanh_slope = 0.64
relu_slope = 0

# %% tags=["misconception"]
# The square is missing: the slope of tanh is 1 - t², and never above 1.
sigmoid_slope = 0.16
tanh_slope = 1.6
relu_slope = 0

# %% tags=["misconception"]
# That is z. ReLU does not let it through, and its slope there is 0.
sigmoid_slope = 0.16
tanh_slope = 0.64
relu_slope = -3

# %% [markdown] exercise="activations.layer"
# ### Exercise 2: a layer of sigmoids
#
# One example, three units. The values are
# $A = (\tfrac12, \tfrac34, \tfrac14)$, and $dA = (4, 8, -16)$ arrives.
# Compute $dZ$ by (3.14).

# %% tags=["stub"]
dZ = ...  # [..., ..., ...]

# %% [markdown] tags=["hint"]
# The slopes are $\tfrac14$, $\tfrac3{16}$, and the third is the same as the
# second. Why?


# %% tags=["check"]
def check(dZ):
    A, dA = np.array([0.5, 0.75, 0.25]), np.array([4, 8, -16])
    dZ = np.array(dZ, float)
    assert dZ.size == 3, "dZ has three numbers, one for each unit."
    assert not np.allclose(dZ, A * (1 - A)), (
        "Those are the slopes alone. Multiply each by what arrives, dA."
    )
    assert not np.allclose(dZ, dA * A), (
        "You multiplied by the value A. On the way back the factor is the "
        "slope, A (1 - A)."
    )
    assert not np.allclose(dZ, dA * (1 - A**2)), (
        "1 - A² is the slope of tanh. These units are sigmoids."
    )
    assert not np.allclose(dZ, (dA * A * (1 - A)).sum()), (
        "The Jacobian (3.13) is diagonal: nothing is added up over the "
        "units."
    )
    assert np.allclose(dZ, dA * A * (1 - A)), (
        "Each number is its own dA times A (1 - A)."
    )


# %% tags=["solution"]
# 4 · 1/4, 8 · 3/16, -16 · 3/16
dZ = [1, 1.5, -3]

# %% tags=["misconception"]
# Those are the slopes alone. Multiply each by what arrives, dA.
dZ = [1 / 4, 3 / 16, 3 / 16]

# %% tags=["misconception"]
# You multiplied by the value A. On the way back the factor is the slope, A
# (1 - A).
dZ = [2, 6, -4]

# %% tags=["misconception"]
# 1 - A² is the slope of tanh. These units are sigmoids.
dZ = [3, 3.5, -15]

# %% tags=["misconception"]
# The Jacobian (3.13) is diagonal: nothing is added up over the units.
dZ = [-0.5, -0.5, -0.5]

# %% [markdown] exercise="activations.depth"
# ### Exercise 3: through many layers
#
# A gradient of size 1 passes back through five layers of one sigmoid unit
# each. All weights are 1. How large can it be at most in the end? And if
# all weights have the same size: how large must they be for the gradient to
# be able to arrive at full size?

# %% tags=["stub"]
most = ...
weight = ...

# %% [markdown] tags=["hint"]
# Each layer multiplies by a slope, which is at most $\tfrac14$ by (3.4),
# and by its weight.


# %% tags=["check"]
def check(most, weight):
    assert not np.isclose(most, 5 / 4), (
        "Along a path the slopes are multiplied, not added."
    )
    assert not np.isclose(most, 1 / 20), (
        "That is a quarter, divided by five. The factor is taken five "
        "times: it is a power."
    )
    assert not np.isclose(weight, 4**5), (
        "That is what all weights together have to make up for. Each "
        "weight makes up for one layer only."
    )
    assert np.isclose(most, 1 / 1024, rtol=0.005), (
        "Five factors of 1/4: one over 4⁵."
    )
    assert np.isclose(weight, 4), (
        "Each weight has to make up for one factor of 1/4."
    )


# %% tags=["solution"]
# five factors of at most 1/4: less than a thousandth
most = 1 / 4**5
# one factor of 4 for each factor of 1/4
weight = 4

# %% tags=["misconception"]
# Along a path the slopes are multiplied, not added.
most, weight = 5 / 4, 4

# %% tags=["misconception"]
# That is a quarter, divided by five. The factor is taken five times: it is
# a power.
most, weight = 1 / 20, 4

# %% tags=["misconception"]
# That is what all weights together have to make up for. Each weight makes
# up for one layer only.
most, weight = 1 / 4**5, 4**5

# %% [markdown] exercise="activations.silu"
# ### Exercise 4: a new activation
#
# The function $f(z) = z\,\sigma(z)$ is called SiLU or swish. Derive its
# slope on paper, and write it for an array `z`, with `np.exp`.


# %% tags=["stub"]
def silu_slope(z):
    return None  # your turn


# %% [markdown] tags=["hint"]
# It is a product of two functions of $z$. Write $s = \sigma(z)$, and use
# the product rule.

# %% [markdown] tags=["hint"]
# The first factor has the slope 1, and the second $s\,(1-s)$.


# %% tags=["check"]
def check(silu_slope):
    z = np.array([[-2.0, -0.5, 0.0], [0.75, 1.5, 3.0]])
    f = lambda z: z / (1 + np.exp(-z))
    s, h = 1 / (1 + np.exp(-z)), 1e-6
    slope = silu_slope(z)
    assert np.shape(slope) == (2, 3), (
        f"There is one slope for each z, not {np.shape(slope)}."
    )
    assert not np.allclose(slope, s * (1 - s)), (
        "You multiplied the slopes of both factors. A product has (uv)' = "
        "u'v + uv'."
    )
    assert not np.allclose(slope, z * s * (1 - s)), (
        "One term is missing: the factor z moves as well, and contributes "
        "s."
    )
    assert not np.allclose(slope, s), (
        "One term is missing: the sigmoid moves as well, and contributes "
        "z s (1 - s)."
    )
    moved = (f(z + h) - f(z - h)) / (2 * h)
    numbers = [np.ravel(each).tolist() for each in (z, slope, moved)]
    for at, found, right in zip(*numbers, strict=True):
        assert np.isclose(found, right), (
            f"At z = {at}, moving z a little gives the slope {right:.4f}, "
            f"not {found:.4f}."
        )


# %% tags=["solution"]
def silu_slope(z):
    s = 1 / (1 + np.exp(-z))
    return s + z * s * (1 - s)


# %% tags=["misconception"]
# You multiplied the slopes of both factors. A product has (uv)' = u'v +
# uv'.
def silu_slope(z):
    s = 1 / (1 + np.exp(-z))
    return s * (1 - s)


# %% tags=["misconception"]
# One term is missing: the factor z moves as well, and contributes s.
def silu_slope(z):
    s = 1 / (1 + np.exp(-z))
    return z * s * (1 - s)


# %% tags=["misconception"]
# One term is missing: the sigmoid moves as well, and contributes z s (1 -
# s).
def silu_slope(z):
    return 1 / (1 + np.exp(-z))


# %% [markdown] exercise="activations.leaky"
# ### Exercise 5: a leak
#
# A *leaky* ReLU lets a tenth of the negative numbers through: $f(z) = z$
# for $z > 0$, and $0.1\,z$ otherwise. So no unit can die. Write its
# backward step: $dZ$ from $dA$ and $Z$. At 0 take the slope from the left.


# %% tags=["stub"]
def leaky_backward(dA, Z):
    return None  # your turn


# %% [markdown] tags=["hint"]
# As for ReLU, it is a mask, now of ones and tenths.
# `np.where(condition, this, that)` chooses for each number.


# %% tags=["check"]
def check(leaky_backward):
    draw = np.random.default_rng(1)
    dA, Z = draw.normal(size=(3, 4)), draw.normal(size=(3, 4))
    Z = np.where(Z > 1, 0, Z)
    dZ = leaky_backward(dA, Z)
    assert np.shape(dZ) == (3, 4), (
        f"dZ has the shape of Z, (3, 4), not {np.shape(dZ)}."
    )
    assert not np.allclose(dZ, dA * np.where(Z > 0, Z, 0.1 * Z)), (
        "That multiplies by the value. On the way back the factor is the "
        "slope: 1 or 0.1."
    )
    assert not np.allclose(dZ, np.where(dA > 0, dA, 0.1 * dA)), (
        "The mask belongs to Z: the gradient passes where the value "
        "passed, whatever its own sign."
    )
    assert not np.allclose(dZ, np.where(Z > 0, 1, 0.1)), (
        "Those are the slopes alone. Multiply by what arrives, dA."
    )
    assert not np.allclose(dZ, dA * np.where(Z >= 0, 1, 0.1)), (
        "At 0 the slope from the left is asked for, and that is 0.1."
    )
    right = [
        [g if z > 0 else 0.1 * g for g, z in zip(*rows, strict=True)]
        for rows in zip(dA, Z, strict=True)
    ]
    assert np.allclose(dZ, right), (
        "Where Z > 0, dA passes whole; elsewhere a tenth of it."
    )


# %% tags=["solution"]
def leaky_backward(dA, Z):
    return dA * np.where(Z > 0, 1, 0.1)


# %% tags=["misconception"]
# That multiplies by the value. On the way back the factor is the slope: 1
# or 0.1.
def leaky_backward(dA, Z):
    return dA * np.where(Z > 0, Z, 0.1 * Z)


# %% tags=["misconception"]
# The mask belongs to Z: the gradient passes where the value passed,
# whatever its own sign.
def leaky_backward(dA, Z):
    return np.where(dA > 0, dA, 0.1 * dA)


# %% tags=["misconception"]
# Those are the slopes alone. Multiply by what arrives, dA.
def leaky_backward(dA, Z):
    return np.where(Z > 0, 1, 0.1)


# %% tags=["misconception"]
# At 0 the slope from the left is asked for, and that is 0.1.
def leaky_backward(dA, Z):
    return dA * np.where(Z >= 0, 1, 0.1)


# %% [markdown] exercise="activations.twice"
# ### Exercise 6: what is wrong here?
#
# This backward step gets $dA$ and the *values* $A$ of a layer of sigmoids.
# It raises no error, and the network even learns a little. But the slope
# never falls below 0.19, although some units are saturated. Fix it.


# %% tags=["stub"]
def sigmoid_backward(dA, A):
    s = 1 / (1 + np.exp(-A))
    return dA * s * (1 - s)


# %% [markdown] tags=["hint"]
# What is `A`? And what is `s`, then?

# %% [markdown] tags=["hint"]
# $A$ lies between 0 and 1, so $\sigma(A)$ lies between 0.5 and 0.73, where
# the sigmoid is steep.


# %% tags=["check"]
def check(sigmoid_backward):
    draw = np.random.default_rng(2)
    Z, dA, h = 3 * draw.normal(size=(3, 4)), draw.normal(size=(3, 4)), 1e-6
    f = lambda z: 1 / (1 + np.exp(-z))
    A = f(Z)
    dZ = sigmoid_backward(dA, A)
    assert np.shape(dZ) == (3, 4), (
        f"dZ has the shape of A, (3, 4), not {np.shape(dZ)}."
    )
    assert not np.allclose(dZ, dA * A), (
        "That is dA times the value. The slope of a sigmoid is A (1 - A)."
    )
    assert not np.allclose(dZ, A * (1 - A)), (
        "That is the slope alone: dA, which arrives, got lost."
    )
    assert not np.allclose(dZ, dA * (1 - A**2)), (
        "1 - A² is the slope of tanh. For a sigmoid it is A (1 - A)."
    )
    assert np.allclose(dZ, dA * (f(Z + h) - f(Z - h)) / (2 * h)), (
        "A is the value of the sigmoid already, but something is "
        "still computed as if it were Z."
    )


# %% tags=["solution"]
def sigmoid_backward(dA, A):
    # A is the sigmoid of Z already
    return dA * A * (1 - A)


# %% tags=["misconception"]
# That is dA times the value. The slope of a sigmoid is A (1 - A).
def sigmoid_backward(dA, A):
    return dA * A


# %% tags=["misconception"]
# That is the slope alone: dA, which arrives, got lost.
def sigmoid_backward(dA, A):
    return A * (1 - A)


# %% tags=["misconception"]
# 1 - A² is the slope of tanh. For a sigmoid it is A (1 - A).
def sigmoid_backward(dA, A):
    return dA * (1 - A**2)


# %% [markdown]
# ## Before you go on

# %% [markdown] exercise="activations.self-1"
# **1.** For every example, a ReLU unit has a negative $z$. Its own weights:
# can they bring it back?
#
# - **a** yes, with a larger learning rate
# - **b** no, their gradient is exactly 0
# - **c** yes, the gradient is small but not 0

# %% tags=["stub"]
answer = ...  # "a", "b" or "c"


# %% tags=["check"]
def check(answer):
    assert answer != "a", (
        "The learning rate multiplies the gradient, and that is 0."
    )
    assert answer != "c", (
        "That is a saturated sigmoid. On its left side ReLU has a slope "
        "of exactly 0."
    )
    assert answer == "b", "Answer with one of the letters."


# %% tags=["solution"]
# Its slope is 0 for every example, so no gradient reaches its weights. Only
# a change in earlier layers can help.
answer = "b"

# %% tags=["misconception"]
# The learning rate multiplies the gradient, and that is 0.
answer = "a"

# %% tags=["misconception"]
# That is a saturated sigmoid. On its left side ReLU has a slope of exactly
# 0.
answer = "c"

# %% [markdown] exercise="activations.self-2"
# **2.** Why is the backward step of an activation a product number by
# number, and not a matrix product?
#
# - **a** because each $A_{ij}$ depends on $Z_{ij}$ alone, so the Jacobian
#   is diagonal
# - **b** because $dA$ and $Z$ have the same shape
# - **c** because a matrix product would be too slow

# %% tags=["stub"]
answer = ...  # "a", "b" or "c"


# %% tags=["check"]
def check(answer):
    assert answer != "b", (
        "Softmax keeps the shape as well, and its Jacobian is full."
    )
    assert answer != "c", (
        "Speed is what we gain. The reason is that all other entries of "
        "the Jacobian are 0."
    )
    assert answer == "a", "Answer with one of the letters."


# %% tags=["solution"]
# A row times a diagonal matrix multiplies each number by its own factor.
answer = "a"

# %% tags=["misconception"]
# Softmax keeps the shape as well, and its Jacobian is full.
answer = "b"

# %% tags=["misconception"]
# Speed is what we gain. The reason is that all other entries of the
# Jacobian are 0.
answer = "c"

# %% [markdown] exercise="activations.self-3"
# **3.** A sigmoid unit has the value 0.001. What does that say about its
# gradient?
#
# - **a** next to nothing of it passes back through the unit
# - **b** the unit is near 0, where a sigmoid is steepest
# - **c** nothing: the slope depends on $z$

# %% tags=["stub"]
answer = ...  # "a", "b" or "c"


# %% tags=["check"]
def check(answer):
    assert answer != "b", (
        "A sigmoid is steepest at z = 0, where its value is one half."
    )
    assert answer != "c", "By (3.3) the value is enough: it tells z."
    assert answer == "a", "Answer with one of the letters."


# %% tags=["solution"]
# The slope is 0.001 · 0.999: the unit is saturated at its lower end.
answer = "a"

# %% tags=["misconception"]
# A sigmoid is steepest at z = 0, where its value is one half.
answer = "b"

# %% tags=["misconception"]
# By (3.3) the value is enough: it tells z.
answer = "c"
