# %% [markdown]
# # Exercises: [numerical stability](../derivations/stability.md)
#
# *Time*: about 30 minutes.
#
# The checks use extreme numbers on purpose. NumPy may warn; a warning is a
# hint where the form is naive.

# %%
import numpy as np

# %% [markdown] exercise="stability.limits"
# ### Exercise 1: where it ends
#
# What is the largest whole number $x$ for which $e^x$ is finite, in float32
# and in float64? The largest numbers are about $3.4 \cdot 10^{38}$ and
# $1.8 \cdot 10^{308}$, and $\log 10 \approx 2.3026$.

# %% tags=["stub"]
in_float32 = ...
in_float64 = ...

# %% [markdown] tags=["hint"]
# Take the logarithm: $38 \cdot 2.3026 + \log 3.4$, and
# $\log 3.4 \approx 1.22$.


# %% tags=["check"]
def check(in_float32, in_float64):
    assert in_float32 != 38, (
        "38 is the exponent of 10. The exponential has the base e, so "
        "multiply by log 10."
    )
    assert in_float32 != 89, (
        "Round down: the next whole number lies beyond the limit, and "
        "overflows."
    )
    assert in_float32 == int(np.log(np.finfo(np.float32).max)), (
        "38 · 2.3026 + 1.22 is 88.7."
    )
    assert in_float64 != 710, (
        "Round down: the next whole number lies beyond the limit, and "
        "overflows."
    )
    assert in_float64 == int(np.log(np.finfo(np.float64).max)), (
        "308 · 2.3026 + 0.59 is 709.8."
    )


# %% tags=["solution"]
in_float32 = 88  # 88.7, rounded down
in_float64 = 709  # 709.8, rounded down

# %% tags=["misconception"]
# 38 is the exponent of 10. The exponential has the base e, so multiply by
# log 10.
in_float32, in_float64 = 38, 308

# %% tags=["misconception"]
# Round down: the next whole number lies beyond the limit, and overflows.
in_float32, in_float64 = 89, 710

# %% [markdown] exercise="stability.logsumexp"
# ### Exercise 2: the logarithm of a sum of exponentials
#
# Write $\log \sum_k e^{z_k}$ for each row of `Z`, so that it is right for
# any logits. Return one column, of shape $(B, 1)$.


# %% tags=["stub"]
def logsumexp(Z):
    return None  # your turn


# %% [markdown] tags=["hint"]
# As in (14.4): subtract $c$ in the exponent, and add it outside the
# logarithm.

# %% [markdown] tags=["hint"]
# $c$ is the largest of each row: `Z.max(axis=1, keepdims=True)`.


# %% tags=["check"]
def check(logsumexp):
    Z = np.array(
        [
            [1000.0, 999.0, 998.0],
            [-2000.0, -2001.0, -2002.0],
            [0.5, -1.0, 2.0],
        ]
    )
    small = np.array([[0.5, -1.0, 2.0], [1.0, 1.5, -0.5]])
    right = np.log(np.exp(small).sum(axis=1, keepdims=True))
    found = logsumexp(small)
    assert np.shape(found) == (2, 1), (
        f"One number per row, (2, 1), not {np.shape(found)}."
    )
    assert not np.allclose(
        found, right - small.max(axis=1, keepdims=True)
    ), (
        "What was subtracted in the exponent is to be added outside the "
        "logarithm."
    )
    assert np.allclose(found, right), (
        "Even for small logits it is another number."
    )
    found = logsumexp(Z)
    assert not np.isposinf(found[0]), (
        "Logits of 1000 overflow: subtract the largest of each row in the "
        "exponent."
    )
    assert not np.isneginf(found[1]), (
        "A row far below the largest of the whole batch underflows: "
        "subtract its own largest."
    )
    top = np.log(1 + np.exp(-1) + np.exp(-2))
    assert np.allclose(found[:2, 0], [1000 + top, -2000 + top]), (
        "Large logits give something else."
    )


# %% tags=["solution"]
def logsumexp(Z):
    c = Z.max(axis=1, keepdims=True)
    return c + np.log(np.exp(Z - c).sum(axis=1, keepdims=True))


# %% tags=["misconception"]
# What was subtracted in the exponent is to be added outside the logarithm.
def logsumexp(Z):
    c = Z.max(axis=1, keepdims=True)
    return np.log(np.exp(Z - c).sum(axis=1, keepdims=True))


# %% tags=["misconception"]
# Logits of 1000 overflow: subtract the largest of each row in the exponent.
def logsumexp(Z):
    return np.log(np.exp(Z).sum(axis=1, keepdims=True))


# %% tags=["misconception"]
# A row far below the largest of the whole batch underflows: subtract its
# own largest.
def logsumexp(Z):
    return Z.max() + np.log(np.exp(Z - Z.max()).sum(axis=1, keepdims=True))


# %% [markdown] exercise="stability.log-sigmoid"
# ### Exercise 3: the logarithm of a sigmoid
#
# Cross-entropy for one unit needs $\log \sigma(z)$. Write it so that it is
# right for every $z$ in an array, with few exponentials and no overflow.


# %% tags=["stub"]
def log_sigmoid(z):
    return None  # your turn


# %% [markdown] tags=["hint"]
# $\log \sigma(z) = -\log(1 + e^{-z})$. That is minus the softplus (14.5) of
# $-z$.

# %% [markdown] tags=["hint"]
# `np.log1p(y)` is $\log(1 + y)$ without adding 1. And
# $-\max(-z, 0) = \min(z, 0)$.


# %% tags=["check"]
def check(log_sigmoid):
    z = np.array([[-1000.0, -3.0, 0.0], [2.0, 40.0, 800.0]])
    found = log_sigmoid(z)
    assert np.shape(found) == (2, 3), (
        f"One number for each z, (2, 3), not {np.shape(found)}."
    )
    assert np.isfinite(found).all(), (
        "At z = -1000 it should be -1000, and is not finite: take no "
        "exponential of 1000."
    )
    mild = -np.log(1 + np.exp(-z[0, 1:]))
    assert not np.allclose(found[0, 1:], -mild), (
        "The sign is reversed: a probability is below 1, so its logarithm "
        "is negative."
    )
    assert np.allclose(found[0, 1:], mild), (
        "For z = -3 and z = 0 it is another number."
    )
    assert np.isclose(found[0, 0], -1000), "At z = -1000 it is almost z."
    assert not np.isclose(found[1, 1], 0, atol=1e-30), (
        "At z = 40 the 1 swallows the exponential, and 0 is left: use "
        "np.log1p."
    )
    assert np.isclose(found[1, 1], -4.248354255e-18, rtol=1e-6), (
        "At z = 40 digits are lost."
    )


# %% tags=["solution"]
def log_sigmoid(z):
    return np.minimum(z, 0) - np.log1p(np.exp(-np.abs(z)))


# %% tags=["misconception"]
# At z = -1000 it should be -1000, and is not finite: take no exponential of
# 1000.
def log_sigmoid(z):
    return -np.log1p(np.exp(-z))


# %% tags=["misconception"]
# The sign is reversed: a probability is below 1, so its logarithm is
# negative.
def log_sigmoid(z):
    return np.maximum(-z, 0) + np.log1p(np.exp(-np.abs(z)))


# %% tags=["misconception"]
# At z = 40 the 1 swallows the exponential, and 0 is left: use np.log1p.
def log_sigmoid(z):
    return np.minimum(z, 0) - np.log(1 + np.exp(-np.abs(z)))


# %% [markdown] exercise="stability.epsilon"
# ### Exercise 4: what is wrong here?
#
# Against the infinite loss, somebody has added a small number. Now the loss
# is finite. But an answer that is certain and wrong, with the logits
# $(200, 0)$, has the loss 18 instead of 200, and its gradient is 0. Write
# the function anew: cross-entropy of one row of logits, without $\epsilon$.


# %% tags=["stub"]
def cross_entropy(z, label):
    e = np.exp(z - z.max())
    p = e / e.sum()
    return -np.log(p[label] + 1e-8)


# %% [markdown] tags=["hint"]
# Which number in it has underflowed? Never compute that.

# %% [markdown] tags=["hint"]
# (14.4): the logarithm of the probability is `z[label] - c` minus the
# logarithm of the sum.


# %% tags=["check"]
def check(cross_entropy):
    mild = np.array([1.0, 2.0, -0.5])
    right = -np.log(np.exp(mild) / np.exp(mild).sum())
    for label in range(3):
        found = cross_entropy(mild, label)
        assert not np.isclose(found, -right[label]), (
            "The sign is reversed: the loss is minus the logarithm of the "
            "probability."
        )
        assert np.isclose(found, right[label], rtol=1e-6), (
            "For small logits the loss is another."
        )
    far = cross_entropy(np.array([200.0, 0.0]), 1)
    assert not np.isclose(far, -np.log(1e-8), rtol=0.01), (
        "The small number still hides the loss."
    )
    beyond = cross_entropy(np.array([2000.0, 0.0]), 1)
    assert not np.isclose(beyond, -np.log(1e-300), rtol=0.01), (
        "A smaller number only moves the place where the loss stops "
        "growing."
    )
    assert np.isfinite(beyond), (
        "The probability still underflows: take the logarithm before you "
        "divide, not after."
    )
    assert np.isclose(far, 200), (
        f"With the logits (200, 0) the loss should be 200, not {far:.4g}."
    )
    assert np.isclose(beyond, 2000), (
        f"With (2000, 0) the loss should be 2000, not {beyond:.4g}."
    )


# %% tags=["solution"]
def cross_entropy(z, label):
    c = z.max()
    return np.log(np.exp(z - c).sum()) - (z[label] - c)


# %% tags=["misconception"]
# The sign is reversed: the loss is minus the logarithm of the probability.
def cross_entropy(z, label):
    c = z.max()
    return z[label] - c - np.log(np.exp(z - c).sum())


# %% tags=["misconception"]
# A smaller number only moves the place where the loss stops growing.
def cross_entropy(z, label):
    e = np.exp(z - z.max())
    return -np.log(e[label] / e.sum() + 1e-300)


# %% tags=["misconception"]
# The probability still underflows: take the logarithm before you divide,
# not after.
def cross_entropy(z, label):
    e = np.exp(z - z.max())
    return -np.log((e / e.sum())[label])


# %% [markdown] exercise="stability.length"
# ### Exercise 5: the length of a vector
#
# Write (14.12), so that neither large nor small entries lose the length,
# and the length of zeros is 0.


# %% tags=["stub"]
def length(v):
    return np.sqrt((v * v).sum())  # your turn


# %% [markdown] tags=["hint"]
# $s$ is the largest absolute value. What if that is 0?


# %% tags=["check"]
def check(length):
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        large, small = (
            length(np.array([3e200, -4e200])),
            length(np.array([3e-200, 4e-200])),
        )
        negative, zero = length(np.array([-3.0, -4.0])), length(np.zeros(3))
    assert not np.isclose(negative, -5), (
        "The largest entry may be negative: take the largest absolute "
        "value."
    )
    assert not np.isclose(negative, 1.25), (
        "What you divided by is to be multiplied again, outside the root."
    )
    assert np.isclose(negative, 5), "The length of (-3, -4) is 5."
    assert np.isfinite(large), (
        "The squares of 3e200 overflow: divide by s first."
    )
    assert not np.isnan(zero), (
        "Zeros are divided by 0: their length has to be told apart."
    )
    assert zero == 0, "The length of zeros is 0."
    assert np.isclose(large / 1e200, 5), (
        "For large entries it is another number."
    )
    assert np.isclose(small * 1e200, 5), (
        "For small entries the squares underflow."
    )


# %% tags=["solution"]
def length(v):
    s = np.abs(v).max()
    return s * np.sqrt(((v / s) ** 2).sum()) if s > 0 else 0.0


# %% tags=["misconception"]
# The largest entry may be negative: take the largest absolute value.
def length(v):
    s = v.max()
    return s * np.sqrt(((v / s) ** 2).sum()) if s != 0 else 0.0


# %% tags=["misconception"]
# Zeros are divided by 0: their length has to be told apart.
def length(v):
    s = np.abs(v).max()
    return s * np.sqrt(((v / s) ** 2).sum())


# %% tags=["misconception"]
# What you divided by is to be multiplied again, outside the root.
def length(v):
    s = np.abs(v).max()
    return np.sqrt(((v / s) ** 2).sum()) if s > 0 else 0.0
