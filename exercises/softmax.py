# %% [markdown]
# # Exercises: [softmax and cross-entropy](../derivations/softmax.md)
#
# *Time*: about 35 minutes.
#
# All logarithms are natural ones. The numbers are chosen so that no
# calculator is needed, except in the first exercise.

# %%
import numpy as np

# %% [markdown] exercise="softmax.loss"
# ### Exercise 1: reading a loss
#
# A network with ten classes knows nothing, and gives each the same
# probability. What is its cross-entropy? And a trained one has the loss 0.1
# on some image: which probability did it give to the right class?

# %% tags=["stub"]
guessing = ...
probability = ...

# %% [markdown] tags=["hint"]
# If the right class is number $t$, then (4.8) is $-\log p_t$. Put in
# $p_t = \tfrac1{10}$.

# %% [markdown] tags=["hint"]
# Solve $-\log p_t = 0.1$ for $p_t$.


# %% tags=["check"]
def check(guessing, probability):
    assert not np.isclose(guessing, -np.log(10), rtol=0.01), (
        "The logarithm of 1/10 is negative, and the loss is minus that: "
        "it is never below 0."
    )
    assert not np.isclose(guessing, 1), (
        "That is the logarithm with base 10. Here, as in NumPy, log is "
        "the natural one."
    )
    assert not np.isclose(probability, 0.9, atol=1e-4), (
        "1 - 0.1 is a good approximation for a small loss. Exactly it is "
        "exp(-0.1)."
    )
    assert np.isclose(guessing, np.log(10), rtol=0.01), (
        "It is minus the logarithm of 1/10."
    )
    assert np.isclose(probability, np.exp(-0.1), atol=2e-3), (
        "Undo the logarithm: take exp(-0.1)."
    )


# %% tags=["solution"]
guessing = 2.303  # -log(1/10) = log 10
probability = 0.905  # exp(-0.1)

# %% tags=["misconception"]
# The logarithm of 1/10 is negative, and the loss is minus that: it is never
# below 0.
guessing, probability = -2.303, 0.905

# %% tags=["misconception"]
# That is the logarithm with base 10. Here, as in NumPy, log is the natural
# one.
guessing, probability = 1, 0.905

# %% tags=["misconception"]
# 1 - 0.1 is a good approximation for a small loss. Exactly it is exp(-0.1).
guessing, probability = 2.303, 0.9

# %% [markdown] exercise="softmax.probabilities"
# ### Exercise 2: probabilities and gradient
#
# The logits of one example are $z = (\log 1, \log 2, \log 5)$, and the
# second class is the right one. Compute the probabilities $p$, and the
# gradient of the loss with respect to $z$.

# %% tags=["stub"]
p = ...  # [..., ..., ...]
dz = ...  # [..., ..., ...]

# %% [markdown] tags=["hint"]
# $e^{\log 2} = 2$. So the three exponentials are 1, 2 and 5.

# %% [markdown] tags=["hint"]
# By (4.11) the gradient is $p - y$, and $y = (0, 1, 0)$.


# %% tags=["check"]
def check(p, dz):
    assert {np.shape(p), np.shape(dz)} <= {(3,), (1, 3)}, (
        "p and dz have three numbers each."
    )
    assert not np.allclose(p, np.log([1, 2, 5]) / np.log(10), atol=0.01), (
        "You divided the logits by their sum. Softmax takes the "
        "exponential of each first."
    )
    right = np.array([1, 2, 5]) / 8
    assert np.allclose(p, right), (
        "Each probability is its exponential, divided by their sum, 8."
    )
    assert not np.allclose(dz, [-1 / 8, 3 / 4, -5 / 8]), (
        "The sign is reversed: the gradient is output minus target, and "
        "we step against it."
    )
    assert not np.allclose(dz, [0, -3 / 4, 0]), (
        "The wrong classes get a gradient as well: their logits are in "
        "the denominator."
    )
    assert not np.allclose(dz, [0, -4, 0]), (
        "That is (4.9), the derivative with respect to p. One step back "
        "is missing, through softmax."
    )
    assert np.allclose(dz, right - [0, 1, 0]), (
        "The gradient is p - y, entry by entry."
    )


# %% tags=["solution"]
# 1, 2 and 5, divided by their sum
p = [1 / 8, 2 / 8, 5 / 8]
dz = [1 / 8, -6 / 8, 5 / 8]  # p - (0, 1, 0)

# %% tags=["misconception"]
# You divided the logits by their sum. Softmax takes the exponential of each
# first.
p = [0, 0.301, 0.699]
dz = [0, -0.699, 0.699]

# %% tags=["misconception"]
# The sign is reversed: the gradient is output minus target, and we step
# against it.
p = [1 / 8, 2 / 8, 5 / 8]
dz = [-1 / 8, 6 / 8, -5 / 8]

# %% tags=["misconception"]
# The wrong classes get a gradient as well: their logits are in the
# denominator.
p = [1 / 8, 2 / 8, 5 / 8]
dz = [0, -6 / 8, 0]

# %% tags=["misconception"]
# That is (4.9), the derivative with respect to p. One step back is missing,
# through softmax.
p, dz = [1 / 8, 2 / 8, 5 / 8], [0, -4, 0]

# %% [markdown] exercise="softmax.jacobian"
# ### Exercise 3: the Jacobian, and a row that arrives
#
# Let $p = (\tfrac12, \tfrac14, \tfrac14)$. Write down the first row of the
# Jacobian (4.6). Then $g = (4, 0, 12)$ arrives at $p$: compute $g\,J$ in
# the short form (4.7).

# %% tags=["stub"]
first_row = ...  # [..., ..., ...]
gJ = ...  # [..., ..., ...]

# %% [markdown] tags=["hint"]
# The row is $p_1(1 - p_1)$, $-p_1 p_2$, $-p_1 p_3$. As a test: it adds up
# to 0.

# %% [markdown] tags=["hint"]
# First the average of $g$ weighted with $p$, which is one number. Subtract
# it from each $g_j$, and multiply by $p_j$.


# %% tags=["check"]
def check(first_row, gJ):
    p, g = np.array([0.5, 0.25, 0.25]), np.array([4, 0, 12])
    J = np.array(
        [[p[i] * ((i == j) - p[j]) for j in range(3)] for i in range(3)]
    )
    assert {np.shape(first_row), np.shape(gJ)} <= {(3,), (1, 3)}, (
        "Three numbers each."
    )
    assert not np.allclose(first_row, [0.25, 0, 0]), (
        "This Jacobian is not diagonal: raising one logit takes from all "
        "other classes."
    )
    assert np.allclose(first_row, J[0]), (
        "Off the diagonal there is minus p₁ times p_j."
    )
    assert not np.allclose(gJ, p * g), (
        "The average is still to be subtracted from g. By the way: gJ "
        "always adds up to 0."
    )
    assert not np.allclose(gJ, p * (g - g.mean())), (
        "The average in (4.7) is weighted with p: here it is 5, not 16/3."
    )
    assert not np.allclose(gJ, p * (1 - p) * g), (
        "That uses the diagonal of J alone. Everything off it counts as "
        "well."
    )
    assert np.allclose(gJ, g @ J), (
        "Subtract the average 5 from each g, and multiply by p."
    )


# %% tags=["solution"]
first_row = [1 / 4, -1 / 8, -1 / 8]
# the average is 2 + 0 + 3 = 5; p times g - 5
gJ = [-0.5, -1.25, 1.75]

# %% tags=["misconception"]
# This Jacobian is not diagonal: raising one logit takes from all other
# classes.
first_row = [1 / 4, 0, 0]
gJ = [-0.5, -1.25, 1.75]

# %% tags=["misconception"]
# The average is still to be subtracted from g. By the way: gJ always adds
# up to 0.
first_row = [1 / 4, -1 / 8, -1 / 8]
gJ = [2, 0, 3]

# %% tags=["misconception"]
# The average in (4.7) is weighted with p: here it is 5, not 16/3.
first_row = [1 / 4, -1 / 8, -1 / 8]
gJ = [-2 / 3, -4 / 3, 5 / 3]

# %% tags=["misconception"]
# That uses the diagonal of J alone. Everything off it counts as well.
first_row = [1 / 4, -1 / 8, -1 / 8]
gJ = [1, 0, 2.25]

# %% [markdown] exercise="softmax.vjp"
# ### Exercise 4: for a whole batch
#
# Write (4.7) for a batch: `P` has one row of probabilities per example, and
# `G` has the same shape.


# %% tags=["stub"]
def softmax_vjp(P, G):
    return None  # your turn


# %% [markdown] tags=["hint"]
# The average is one number per *row*: a sum along `axis=1`.

# %% [markdown] tags=["hint"]
# Use `keepdims=True`, so that the averages stay a column, which is
# subtracted from every column of `G`.


# %% tags=["check"]
def check(softmax_vjp):
    draw = np.random.default_rng(1)
    E, G = np.exp(draw.normal(size=(4, 3))), draw.normal(size=(4, 3))
    P = E / E.sum(axis=1, keepdims=True)
    found = softmax_vjp(P, G)
    assert np.shape(found) == (4, 3), (
        f"One row per example, (4, 3), not {np.shape(found)}."
    )
    assert not np.allclose(found, P * G), (
        "The sum of (4.7) is missing: subtract the average of g in each "
        "row."
    )
    assert not np.allclose(found, P * (G - (P * G).sum())), (
        "That sum runs over the whole batch, but each example has an "
        "average of its own."
    )
    assert not np.allclose(found, P * (G - (P * G).sum(axis=0))), (
        "That adds up over the examples. The classes of one example lie "
        "along axis 1."
    )
    assert not np.allclose(found, G - (P * G).sum(axis=1, keepdims=True)), (
        "The factor P in front is missing."
    )
    assert not np.allclose(
        found, P * (G - G.mean(axis=1, keepdims=True))
    ), "The average in (4.7) is weighted with p: add up p times g, not g."
    for r, (p, g, row) in enumerate(zip(P, G, found, strict=True)):
        right = sum(
            g[i] * p[i] * (np.array([i == j for j in range(3)]) - p)
            for i in range(3)
        )
        assert np.allclose(row, right), (
            f"Row {r + 1} is not row {r + 1} of G times the Jacobian (4.6)."
        )


# %% tags=["solution"]
def softmax_vjp(P, G):
    return P * (G - (P * G).sum(axis=1, keepdims=True))


# %% tags=["misconception"]
# The sum of (4.7) is missing: subtract the average of g in each row.
def softmax_vjp(P, G):
    return P * G


# %% tags=["misconception"]
# That sum runs over the whole batch, but each example has an average of its
# own.
def softmax_vjp(P, G):
    return P * (G - (P * G).sum())


# %% tags=["misconception"]
# That adds up over the examples. The classes of one example lie along axis
# 1.
def softmax_vjp(P, G):
    return P * (G - (P * G).sum(axis=0))


# %% tags=["misconception"]
# The factor P in front is missing.
def softmax_vjp(P, G):
    return G - (P * G).sum(axis=1, keepdims=True)


# %% [markdown] exercise="softmax.any-target"
# ### Exercise 5: targets that do not add up to 1
#
# To get from (4.10) to (4.11) we used that $y$ adds up to 1. Suppose it
# does not: some examples count twice, and their row of $Y$ is $(0, 2, 0)$;
# others do not count at all. Derive the gradient again, and write it for
# one row `p` and one row `y` (both of one row and $C$ columns).


# %% tags=["stub"]
def dz(p, y):
    return None  # your turn


# %% [markdown] tags=["hint"]
# In (4.10) cancel $p_i$, and split the sum in two: one with $\delta_{ij}$,
# and one with $p_j$.

# %% [markdown] tags=["hint"]
# The first gives $-y_j$. In the second $p_j$ can be taken out of the sum.
# What stays inside?


# %% tags=["check"]
def check(dz):
    draw = np.random.default_rng(2)
    z, y = draw.normal(size=(1, 4)), np.array([[0.5, 2.0, 0.0, 1.25]])
    p = np.exp(z) / np.exp(z).sum()
    found, h = dz(p, y), 1e-6
    assert np.shape(found) == (1, 4), (
        f"One number per class, (1, 4), not {np.shape(found)}."
    )
    assert not np.allclose(found, p - y), (
        "That is (4.11), and it holds only where y adds up to 1."
    )
    assert not np.allclose(found, (p - y) * y.sum()), (
        "Only p is multiplied by the sum of y: the y from the δ stands "
        "alone."
    )
    assert not np.allclose(found, p * y - y), (
        "All of y is added up and multiplies each p_j, not only the y_j "
        "of the same class."
    )
    loss = lambda z: -(y * (z - np.log(np.exp(z).sum()))).sum()
    for j in range(4):
        e = h * np.array([[float(j == k) for k in range(4)]])
        slope = (loss(z + e) - loss(z - e)) / (2 * h)
        assert np.isclose(found[0, j], slope), (
            f"With y = (0.5, 2, 0, 1.25), moving logit {j + 1} gives the "
            f"slope {slope.item():.4f}, not {found[0, j].item():.4f}."
        )


# %% tags=["solution"]
def dz(p, y):
    # with a sum of 1 it is p - y
    return p * y.sum() - y


# %% tags=["misconception"]
# That is (4.11), and it holds only where y adds up to 1.
def dz(p, y):
    return p - y


# %% tags=["misconception"]
# Only p is multiplied by the sum of y: the y from the δ stands alone.
def dz(p, y):
    return (p - y) * y.sum()


# %% tags=["misconception"]
# All of y is added up and multiplies each p_j, not only the y_j of the same
# class.
def dz(p, y):
    return p * y - y


# %% [markdown] exercise="softmax.two-mistakes"
# ### Exercise 6: what is wrong here?
#
# This softmax of a batch has two mistakes. The first raises no error, since
# all shapes fit. The second shows only if one row lies far below another.
# Find both.


# %% tags=["stub"]
def softmax(Z):
    E = np.exp(Z - Z.max())
    return E / E.sum(axis=0)


# %% [markdown] tags=["hint"]
# Which numbers have to add up to 1: those of a row, or those of a column?

# %% [markdown] tags=["hint"]
# If one row is $(1000, 999)$ and another $(0, 1)$, what is the second after
# the subtraction, and what is its exponential?


# %% tags=["check"]
def check(softmax):
    draw = np.random.default_rng(3)
    Z = draw.normal(size=(4, 3))
    A, far = softmax(Z), np.array([[1000.0, 999.0], [0.0, 1.0], [5.0, 5.0]])
    assert np.shape(A) == (4, 3), (
        f"The shape of Z is kept, (4, 3), not {np.shape(A)}."
    )
    assert not np.allclose(A.sum(axis=0), 1), (
        "The columns add up to 1, not the rows."
    )
    assert not np.isclose(A.sum(), 1), (
        "The whole batch adds up to 1 together: sum along axis 1 and keep "
        "the axis."
    )
    assert np.allclose(A.sum(axis=1), 1), "The rows do not add up to 1."
    B = softmax(far)
    assert np.allclose(B[0], B[0]), (
        "Now a logit of 1000 overflows: keep the subtraction, but take it "
        "row by row."
    )
    assert np.allclose(B[1], B[1]), (
        "A row far below the largest logit of the batch becomes 0/0: "
        "subtract its own largest."
    )
    wide = softmax(np.array([[0.0, 2000.0], [0.0, 1.0]]))
    assert np.allclose(wide[0], [0, 1]), (
        "Logits of 0 and 2000 in one row overflow: subtract the row's "
        "largest, and no exponent is positive."
    )
    right = [[np.exp(z) / sum(np.exp(row)) for z in row] for row in Z]
    assert np.allclose(A, right), (
        "The rows add up to 1, but are not those of (4.12)."
    )
    assert np.allclose(B[1], B[0][::-1]), (
        "The row (0, 1) should give the same two probabilities as (1000, "
        f"999), exchanged, but below (1000, 999) it gives {B[1].tolist()}."
    )


# %% tags=["solution"]
def softmax(Z):
    # the largest of each row
    E = np.exp(Z - Z.max(axis=1, keepdims=True))
    return E / E.sum(axis=1, keepdims=True)


# %% tags=["misconception"]
# The whole batch adds up to 1 together: sum along axis 1 and keep the axis.
def softmax(Z):
    E = np.exp(Z - Z.max())
    return E / E.sum()


# %% tags=["misconception"]
# Now a logit of 1000 overflows: keep the subtraction, but take it row by
# row.
def softmax(Z):
    E = np.exp(Z)
    return E / E.sum(axis=1, keepdims=True)


# %% tags=["misconception"]
# A row far below the largest logit of the batch becomes 0/0: subtract its
# own largest.
def softmax(Z):
    E = np.exp(Z - Z.max())
    return E / E.sum(axis=1, keepdims=True)


# %% tags=["misconception"]
# Logits of 0 and 2000 in one row overflow: subtract the row's largest, and
# no exponent is positive.
def softmax(Z):
    E = np.exp(Z - Z.mean(axis=1, keepdims=True))
    return E / E.sum(axis=1, keepdims=True)


# %% [markdown]
# ## Before you go on

# %% [markdown] exercise="softmax.self-1"
# **1.** You add 7 to all logits of an example. What becomes of the gradient
# $dz$?
#
# - **a** it stays as it is
# - **b** it grows by the factor $e^7$
# - **c** 7 is added to each entry

# %% tags=["stub"]
answer = ...  # "a", "b" or "c"


# %% tags=["check"]
def check(answer):
    assert answer != "b", (
        "The factor is in the numerator and in the denominator of every "
        "p, and cancels."
    )
    assert answer != "c", "dz is p - y, and p does not move."
    assert answer == "a", "Answer with one of the letters."


# %% tags=["solution"]
# By (4.3) the probabilities stay, and dz is made of nothing but p and y.
answer = "a"

# %% tags=["misconception"]
# The factor is in the numerator and in the denominator of every p, and
# cancels.
answer = "b"

# %% tags=["misconception"]
# dz is p - y, and p does not move.
answer = "c"

# %% [markdown] exercise="softmax.self-2"
# **2.** The network is almost certain, and wrong. How large is the gradient
# at the right class?
#
# - **a** almost 0, because softmax is saturated
# - **b** almost $-1$
# - **c** enormous, because the loss divides by almost 0

# %% tags=["stub"]
answer = ...  # "a", "b" or "c"


# %% tags=["check"]
def check(answer):
    assert answer != "a", (
        "That would happen with a squared error after softmax. "
        "Cross-entropy divides the factor out."
    )
    assert answer != "c", (
        "That is (4.9), with respect to p. Through softmax it is "
        "multiplied by almost 0 again."
    )
    assert answer == "b", "Answer with one of the letters."


# %% tags=["solution"]
# It is p - 1 with p almost 0. The factor p of softmax cancels the 1/p of
# the loss.
answer = "b"

# %% tags=["misconception"]
# That would happen with a squared error after softmax. Cross-entropy
# divides the factor out.
answer = "a"

# %% tags=["misconception"]
# That is (4.9), with respect to p. Through softmax it is multiplied by
# almost 0 again.
answer = "c"

# %% [markdown] exercise="softmax.self-3"
# **3.** You average the loss over a batch of 50 instead of adding it up.
# Where does the 50 appear on the way back?
#
# - **a** in $dZ$, once, and nowhere else
# - **b** in $dZ$, and again in $dW$
# - **c** nowhere: a mean has the slope of a sum

# %% tags=["stub"]
answer = ...  # "a", "b" or "c"


# %% tags=["check"]
def check(answer):
    assert answer != "b", (
        "Dividing again would be the commonest mistake of all: dW is made "
        "of dZ, which is divided already."
    )
    assert answer != "c", (
        "Each example counts a fiftieth, so each row of the gradient is a "
        "fiftieth as large."
    )
    assert answer == "a", "Answer with one of the letters."


# %% tags=["solution"]
# (4.14) divides by B. All later steps multiply by dZ, so they inherit it.
answer = "a"

# %% tags=["misconception"]
# Dividing again would be the commonest mistake of all: dW is made of dZ,
# which is divided already.
answer = "b"

# %% tags=["misconception"]
# Each example counts a fiftieth, so each row of the gradient is a fiftieth
# as large.
answer = "c"

# %% [markdown] exercise="softmax.self-4"
# **4.** What do the entries of a row of $dZ$ add up to?
#
# - **a** 1, since they are probabilities
# - **b** 0
# - **c** it depends on the logits

# %% tags=["stub"]
answer = ...  # "a", "b" or "c"


# %% tags=["check"]
def check(answer):
    assert answer != "a", (
        "p adds up to 1. dZ is p - y, and y is subtracted."
    )
    assert answer != "c", "By (4.2) the sum of p is 1 for any logits."
    assert answer == "b", "Answer with one of the letters."


# %% tags=["solution"]
# Both p and y add up to 1, so their difference adds up to 0: what one class
# gains, the others lose.
answer = "b"

# %% tags=["misconception"]
# p adds up to 1. dZ is p - y, and y is subtracted.
answer = "a"

# %% tags=["misconception"]
# By (4.2) the sum of p is 1 for any logits.
answer = "c"
