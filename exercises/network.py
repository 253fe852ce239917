# %% [markdown]
# # Exercises: [the whole network by hand](../derivations/network.md)
#
# *Time*: about 50 minutes.
#
# Once around a small network on paper, and you know how it goes in any. The
# later exercises change the network a little, so that no formula of the
# page can simply be copied. $A_0$ is the input $X$.

# %%
import numpy as np

# %% [markdown] exercise="network.shapes"
# ### Exercise 1: shapes first
#
# A batch of 5 examples goes through a network with 4 inputs, 3 hidden units
# and 2 classes. What are the shapes of $Z_1$, $dZ_1$, $dW_1$ and $db_2$?
# And how many parameters does the network have?

# %% tags=["stub"]
shape_Z1 = ...  # (..., ...)
shape_dZ1 = ...
shape_dW1 = ...
shape_db2 = ...
parameters = ...

# %% [markdown] tags=["hint"]
# A gradient has the shape of its term, and the shapes of the terms are in
# the table at the beginning.

# %% [markdown] tags=["hint"]
# Count the weights and the biases of both layers.


# %% tags=["check"]
def check(shape_Z1, shape_dZ1, shape_dW1, shape_db2, parameters):
    assert shape_Z1 in ((5, 3), [5, 3]), (
        "Z1 has a row per example and a column per hidden unit."
    )
    assert shape_dZ1 in ((5, 3), [5, 3]), (
        "A gradient has the shape of its own term: dZ1 has that of Z1."
    )
    assert shape_dW1 not in ((3, 4), [3, 4]), (
        "On these pages a weight matrix leads from its rows to its "
        "columns: W1 is 4 × 3."
    )
    assert shape_dW1 in ((4, 3), [4, 3]), (
        "dW1 has the shape of W1: 4 inputs lead to 3 units."
    )
    assert shape_db2 in ((2,), (1, 2), 2, [2], [1, 2]), (
        "db2 has one number per class: the batch is added up."
    )
    assert parameters != 18, (
        "18 are the weights. The 3 + 2 biases are parameters too."
    )
    assert parameters == 4 * 3 + 3 + 3 * 2 + 2, "Count W1, b1, W2 and b2."


# %% tags=["solution"]
shape_Z1 = (5, 3)
shape_dZ1 = (5, 3)
shape_dW1 = (4, 3)
shape_db2 = (2,)
parameters = 23  # 12 + 3 + 6 + 2

# %% tags=["misconception"]
# A gradient has the shape of its own term: dZ1 has that of Z1.
shape_Z1, shape_dZ1 = (5, 3), (3, 5)
shape_dW1, shape_db2, parameters = (4, 3), (2,), 23

# %% tags=["misconception"]
# On these pages a weight matrix leads from its rows to its columns: W1 is 4
# × 3.
shape_Z1, shape_dZ1 = (5, 3), (5, 3)
shape_dW1, shape_db2, parameters = (3, 4), (2,), 23

# %% tags=["misconception"]
# 18 are the weights. The 3 + 2 biases are parameters too.
shape_Z1, shape_dZ1 = (5, 3), (5, 3)
shape_dW1, shape_db2, parameters = (4, 3), (2,), 18

# %% [markdown] exercise="network.forward"
# ### Exercise 2: once around: forward
#
# One example, two inputs, three hidden units with ReLU, two classes with
# softmax:
#
# $A_0 = (1, 2),\quad$
# $W_1 = \begin{pmatrix} 1 & 0 & -1 \\ 0 & 1 & 0 \end{pmatrix},\quad$
# $b_1 = (0, -1, 0),$
#
# $W_2 = \begin{pmatrix} 1 & 0 \\ 0 & 1 \\ 2 & 0 \end{pmatrix},\quad$
# $b_2 = (0, 0).$
#
# Compute $Z_1$, $A_1$ and the output $A_2$, each as a list.

# %% tags=["stub"]
Z1 = ...  # [..., ..., ...]
A1 = ...
A2 = ...  # [..., ...]

# %% [markdown] tags=["hint"]
# (6.1): each column of $W_1$ makes one entry of $Z_1$. Do not forget $b_1$.

# %% [markdown] tags=["hint"]
# ReLU stops what is negative. After it, the two entries of $Z_2$ turn out
# to be equal.


# %% tags=["check"]
def check(Z1, A1, A2):
    assert not np.allclose(Z1, [1, 2, -1]), (
        "The biases are missing: b1 takes 1 from the second entry."
    )
    assert np.allclose(Z1, [1, 1, -1]), "Z1 is A0 times W1, plus b1."
    assert not np.allclose(A1, Z1), (
        "The activation is missing: ReLU makes the third entry 0."
    )
    assert np.allclose(A1, [1, 1, 0]), (
        "ReLU keeps what is positive, and makes the rest 0."
    )
    assert not np.allclose(A2, [1, 1]), (
        "Those are the logits Z2. Softmax turns them into probabilities, "
        "which add up to 1."
    )
    assert np.allclose(A2, [0.5, 0.5]), (
        "Z2 = (1, 1), and softmax makes it probabilities."
    )


# %% tags=["solution"]
Z1 = [1, 1, -1]  # (1, 2, -1) + (0, -1, 0)
A1 = [1, 1, 0]
A2 = [1 / 2, 1 / 2]  # Z2 = (1, 1)

# %% tags=["misconception"]
# The biases are missing: b1 takes 1 from the second entry.
Z1 = [1, 2, -1]
A1 = [1, 2, 0]
A2 = [0.269, 0.731]

# %% tags=["misconception"]
# The activation is missing: ReLU makes the third entry 0.
Z1 = [1, 1, -1]
A1 = [1, 1, -1]
A2 = [0.119, 0.881]

# %% tags=["misconception"]
# Those are the logits Z2. Softmax turns them into probabilities, which add
# up to 1.
Z1, A1, A2 = [1, 1, -1], [1, 1, 0], [1, 1]

# %% [markdown] exercise="network.backward"
# ### Exercise 3: once around: backward
#
# The same network, and the first class is the right one. There is no
# penalty, so $\lambda = 0$. Compute $dZ_2$, then $dA_1$, $dZ_1$ and $dW_1$.

# %% tags=["stub"]
dZ2 = ...  # [..., ...]
dA1 = ...  # [..., ..., ...]
dZ1 = ...
dW1 = ...  # two rows of three numbers

# %% [markdown] tags=["hint"]
# (6.7) with $B = 1$: output minus target. The target is $(1, 0)$.

# %% [markdown] tags=["hint"]
# (6.12): entry $j$ of $dA_1$ is row $j$ of $W_2$ times $dZ_2$. Then (6.13):
# where was $Z_1$ positive?

# %% [markdown] tags=["hint"]
# (6.10) for layer 1: row $k$ of $dW_1$ is $dZ_1$ times input $k$.


# %% tags=["check"]
def check(dZ2, dA1, dZ1, dW1):
    A0, W2 = np.array([[1, 2]]), np.array([[1, 0], [0, 1], [2, 0]])
    assert not np.allclose(dZ2, [0.5, -0.5]), (
        "The sign is reversed: dZ2 is the output minus the target."
    )
    assert np.allclose(dZ2, [-0.5, 0.5]), (
        "dZ2 is A2 minus the target (1, 0)."
    )
    right = np.array([[-0.5, 0.5]]) @ W2.T
    assert np.allclose(dA1, right), (
        "Entry j of dA1 is row j of W2 times dZ2."
    )
    assert not np.allclose(dZ1, dA1), (
        "One step is missing, (6.13): the third unit was negative, and "
        "its slope is 0."
    )
    assert not np.allclose(dZ1, [-0.5, 0, 0]), (
        "ReLU's slope in the second unit is 1: a negative bias does not "
        "matter, Z1 is 1 there."
    )
    assert np.allclose(dZ1, right * [1, 1, 0]), (
        "Where Z1 is positive, dA1 passes; else 0."
    )
    assert np.shape(dW1) == (2, 3), (
        "dW1 has the shape of W1: two rows of three numbers."
    )
    assert not np.allclose(dW1, [[-0.5, 0.5, 0], [-0.5, 0.5, 0]]), (
        "The input is a factor of dW1: the second row belongs to the "
        "input 2."
    )
    assert np.allclose(dW1, A0.T @ (right * [1, 1, 0])), (
        "Row k of dW1 is dZ1 times input k."
    )


# %% tags=["solution"]
dZ2 = [-0.5, 0.5]  # (0.5, 0.5) - (1, 0)
# the last: 2 · (-0.5) + 0 · 0.5
dA1 = [-0.5, 0.5, -1]
# the third unit let nothing through
dZ1 = [-0.5, 0.5, 0]
# 1 times dZ1, and 2 times dZ1
dW1 = [[-0.5, 0.5, 0], [-1, 1, 0]]

# %% tags=["misconception"]
# The sign is reversed: dZ2 is the output minus the target.
dZ2, dA1, dZ1 = [0.5, -0.5], [0.5, -0.5, 1], [0.5, -0.5, 0]
dW1 = [[0.5, -0.5, 0], [1, -1, 0]]

# %% tags=["misconception"]
# One step is missing, (6.13): the third unit was negative, and its slope is
# 0.
dZ2, dA1, dZ1 = [-0.5, 0.5], [-0.5, 0.5, -1], [-0.5, 0.5, -1]
dW1 = [[-0.5, 0.5, -1], [-1, 1, -2]]

# %% tags=["misconception"]
# ReLU's slope in the second unit is 1: a negative bias does not matter, Z1
# is 1 there.
dZ2, dA1, dZ1 = [-0.5, 0.5], [-0.5, 0.5, -1], [-0.5, 0, 0]
dW1 = [[-0.5, 0, 0], [-1, 0, 0]]

# %% tags=["misconception"]
# The input is a factor of dW1: the second row belongs to the input 2.
dZ2, dA1, dZ1 = [-0.5, 0.5], [-0.5, 0.5, -1], [-0.5, 0.5, 0]
dW1 = [[-0.5, 0.5, 0], [-0.5, 0.5, 0]]

# %% [markdown] exercise="network.one-layer-back"
# ### Exercise 4: one layer back, at any depth
#
# The note "More layers", folded away on the page, says that (6.10) to
# (6.13) hold at every depth. Write them once, for a layer in the middle:
# from $dZ_\ell$, return $dW_\ell$, $db_\ell$ and $dZ_{\ell-1}$. You get
# `dZ`, `W` of layer $\ell$, `A`, the activations of the layer before, and
# `slope`, which is $f'(Z_{\ell-1})$. The penalty has the strength `lam`.


# %% tags=["stub"]
def one_layer_back(dZ, W, A, slope, lam):
    dW, db, dZ_before = None, None, None  # your turn
    return dW, db, dZ_before


# %% [markdown] tags=["hint"]
# Four lines of the page, with $\ell$ for 2 and $\ell - 1$ for 1. The last
# two can be one.

# %% [markdown] tags=["hint"]
# The penalty is in one of them only.


# %% tags=["check"]
def check(one_layer_back):
    draw = np.random.default_rng(1)
    dZ, W, A = (draw.normal(size=s) for s in ((5, 2), (3, 2), (5, 3)))
    slope = draw.normal(size=(5, 3))
    dW, db, before = one_layer_back(dZ, W, A, slope, 0.5)
    assert np.shape(dW) == (3, 2), (
        f"dW has the shape of W, (3, 2), not {np.shape(dW)}."
    )
    assert np.shape(db) in ((2,), (1, 2)), (
        f"db has one number per unit, not {np.shape(db)}."
    )
    assert np.shape(before) == (5, 3), (
        f"dZ_before has the shape of A, not {np.shape(before)}."
    )
    assert not np.allclose(dW, A.T @ dZ), (
        "The penalty is missing: its part of dW is λ W."
    )
    assert not np.allclose(db, dZ.sum(axis=0) + 0.5 * W.sum(axis=0)), (
        "The penalty applies to weights and not to biases, so it adds "
        "nothing to db."
    )
    assert not np.allclose(before, dZ @ W.T), (
        "That is dA of the layer before. Through its activation it is "
        "multiplied by the slope."
    )
    assert not np.allclose(before, (dZ @ W.T) * A), (
        "You multiplied by the activations, where the slope belongs."
    )
    right = (
        sum(np.outer(a, g) for a, g in zip(A, dZ, strict=True)) + 0.5 * W
    )
    assert np.allclose(dW, right), "dW is A transposed times dZ, plus λ W."
    assert np.allclose(db, sum(dZ)), "db is the sum of the rows of dZ."
    right = [[sum(g * w) for w in W] for g in dZ] * slope
    assert np.allclose(before, right), (
        "dZ_before is dZ times W transposed, times the slope, with the W "
        "that was given."
    )


# %% tags=["solution"]
def one_layer_back(dZ, W, A, slope, lam):
    dW = A.T @ dZ + lam * W
    db = dZ.sum(axis=0)
    dZ_before = (dZ @ W.T) * slope
    return dW, db, dZ_before


# %% tags=["misconception"]
# The penalty is missing: its part of dW is λ W.
def one_layer_back(dZ, W, A, slope, lam):
    return A.T @ dZ, dZ.sum(axis=0), (dZ @ W.T) * slope


# %% tags=["misconception"]
# The penalty applies to weights and not to biases, so it adds nothing to
# db.
def one_layer_back(dZ, W, A, slope, lam):
    db = dZ.sum(axis=0) + lam * W.sum(axis=0)
    return A.T @ dZ + lam * W, db, (dZ @ W.T) * slope


# %% tags=["misconception"]
# That is dA of the layer before. Through its activation it is multiplied by
# the slope.
def one_layer_back(dZ, W, A, slope, lam):
    return A.T @ dZ + lam * W, dZ.sum(axis=0), dZ @ W.T


# %% tags=["misconception"]
# You multiplied by the activations, where the slope belongs.
def one_layer_back(dZ, W, A, slope, lam):
    return A.T @ dZ + lam * W, dZ.sum(axis=0), (dZ @ W.T) * A


# %% [markdown] exercise="network.shortcut"
# ### Exercise 5: a shortcut
#
# A *residual* network leads its input past the hidden layer:
# $Z_2 = (A_1 + A_0)\,W_2$, with $A_1 = f(A_0 W_1)$ of the same width, and
# no biases. Derive $dA_0$, and write it as code. You get `dZ2`, `W1`, `W2`
# and `slope1`, which is $f'(Z_1)$.


# %% tags=["stub"]
def input_gradient(dZ2, W1, W2, slope1):
    return None  # your turn: dA0


# %% [markdown] tags=["hint"]
# Draw the graph: two paths lead from $A_0$ to $Z_2$. Give the sum a name,
# $S = A_1 + A_0$.

# %% [markdown] tags=["hint"]
# $dS = dZ_2 W_2^\top$ goes to both terms of the sum unchanged. To $A_0$
# directly, and to $A_1$, from where it goes on to $A_0$.


# %% tags=["check"]
def check(input_gradient):
    draw = np.random.default_rng(2)
    A0, dZ2 = draw.normal(size=(4, 3)), draw.normal(size=(4, 2))
    W1, W2, h = draw.normal(size=(3, 3)), draw.normal(size=(3, 2)), 1e-6
    slope1 = 1 - np.tanh(A0 @ W1) ** 2
    dA0 = input_gradient(dZ2, W1, W2, slope1)
    assert np.shape(dA0) == (4, 3), (
        f"dA0 has the shape of A0, (4, 3), not {np.shape(dA0)}."
    )
    dS = dZ2 @ W2.T
    assert not np.allclose(dA0, (dS * slope1) @ W1.T), (
        "That is the path through the layer. The shortcut adds dZ2 times "
        "W2 transposed, unchanged."
    )
    assert not np.allclose(dA0, dS), (
        "That is the shortcut. The path through the hidden layer is to be "
        "added."
    )
    assert not np.allclose(dA0, dS + (dS @ W1.T) * slope1), (
        "The slope belongs to Z1, so it comes before W1 on the way back."
    )
    for k in range(3):
        there, back = A0.copy(), A0.copy()
        there[:, k] += h
        back[:, k] -= h
        Z2 = [(np.tanh(A @ W1) + A) @ W2 for A in (there, back)]
        slope = (dZ2 * (Z2[0] - Z2[1])).sum(axis=1) / (2 * h)
        assert np.allclose(dA0[:, k], slope), (
            "Moving an input gives another slope."
        )


# %% tags=["solution"]
def input_gradient(dZ2, W1, W2, slope1):
    dS = dZ2 @ W2.T
    # the shortcut, and the layer
    return dS + (dS * slope1) @ W1.T


# %% tags=["misconception"]
# That is the path through the layer. The shortcut adds dZ2 times W2
# transposed, unchanged.
def input_gradient(dZ2, W1, W2, slope1):
    return ((dZ2 @ W2.T) * slope1) @ W1.T


# %% tags=["misconception"]
# That is the shortcut. The path through the hidden layer is to be added.
def input_gradient(dZ2, W1, W2, slope1):
    return dZ2 @ W2.T


# %% tags=["misconception"]
# The slope belongs to Z1, so it comes before W1 on the way back.
def input_gradient(dZ2, W1, W2, slope1):
    dS = dZ2 @ W2.T
    return dS + (dS @ W1.T) * slope1


# %% [markdown] exercise="network.too-early"
# ### Exercise 6: what is wrong here?
#
# A network with tanh learns with this step, and every formula in it is on
# the page (there are no biases, and there is no penalty). Yet the step does
# not go along the gradient of the loss. Why? Fix it.


# %% tags=["stub"]
def step(A0, Y, W1, W2, lr):
    A1 = np.tanh(A0 @ W1)
    E = np.exp(A1 @ W2)
    dZ2 = (E / E.sum(axis=1, keepdims=True) - Y) / len(Y)
    W2 = W2 - lr * A1.T @ dZ2
    dZ1 = (dZ2 @ W2.T) * (1 - A1**2)
    W1 = W1 - lr * A0.T @ dZ1
    return W1, W2


# %% [markdown] tags=["hint"]
# Which $W_2$ does (6.12) mean: the one of the forward pass, or the next
# one?

# %% [markdown] tags=["hint"]
# Compute all gradients first, and only then change the weights.


# %% tags=["check"]
def check(step):
    draw = np.random.default_rng(3)
    A0, Y = (
        draw.normal(size=(5, 4)),
        np.array([[1, 0], [0, 1], [0, 1], [1, 0], [0, 1]]),
    )
    W1, W2 = draw.normal(size=(4, 3)), draw.normal(size=(3, 2))
    A1 = np.tanh(A0 @ W1)
    E = np.exp(A1 @ W2)
    dZ2 = (E / E.sum(axis=1, keepdims=True) - Y) / 5
    dW1, dW2 = A0.T @ ((dZ2 @ W2.T) * (1 - A1**2)), A1.T @ dZ2
    new1, new2 = step(A0, Y, W1.copy(), W2.copy(), 0.5)
    assert (np.shape(new1), np.shape(new2)) == ((4, 3), (3, 2)), (
        f"Return W1 and W2, in this order. Here they are {W1.shape} and "
        f"{W2.shape}, not {np.shape(new1)} and {np.shape(new2)}."
    )
    assert not np.allclose(new2, W2 + 0.5 * dW2), (
        "That goes uphill: subtract the gradient."
    )
    assert np.allclose(new2, W2 - 0.5 * dW2), (
        "W2 is not where its gradient leads."
    )
    assert not np.allclose(new1, W1), (
        "W1 has not moved: both layers learn in every step."
    )
    assert not np.allclose(new1, W1 - 0.1 * dW1), (
        "The gradient of W1 is divided by the batch twice: that is in dZ2 "
        "already."
    )
    assert np.allclose(new1, W1 - 0.5 * dW1), (
        "W2 is right. The gradient of W1 is not that of the loss: "
        "look at what it is made of."
    )


# %% tags=["solution"]
def step(A0, Y, W1, W2, lr):
    A1 = np.tanh(A0 @ W1)
    E = np.exp(A1 @ W2)
    dZ2 = (E / E.sum(axis=1, keepdims=True) - Y) / len(Y)
    # with the W2 of the forward pass
    dZ1 = (dZ2 @ W2.T) * (1 - A1**2)
    W2 = W2 - lr * A1.T @ dZ2
    W1 = W1 - lr * A0.T @ dZ1
    return W1, W2


# %% tags=["misconception"]
# That goes uphill: subtract the gradient.
def step(A0, Y, W1, W2, lr):
    A1 = np.tanh(A0 @ W1)
    E = np.exp(A1 @ W2)
    dZ2 = (E / E.sum(axis=1, keepdims=True) - Y) / len(Y)
    dZ1 = (dZ2 @ W2.T) * (1 - A1**2)
    return W1 + lr * A0.T @ dZ1, W2 + lr * A1.T @ dZ2


# %% tags=["misconception"]
# W1 has not moved: both layers learn in every step.
def step(A0, Y, W1, W2, lr):
    A1 = np.tanh(A0 @ W1)
    E = np.exp(A1 @ W2)
    dZ2 = (E / E.sum(axis=1, keepdims=True) - Y) / len(Y)
    return W1, W2 - lr * A1.T @ dZ2


# %% tags=["misconception"]
# The gradient of W1 is divided by the batch twice: that is in dZ2 already.
def step(A0, Y, W1, W2, lr):
    A1 = np.tanh(A0 @ W1)
    E = np.exp(A1 @ W2)
    dZ2 = (E / E.sum(axis=1, keepdims=True) - Y) / len(Y)
    dZ1 = (dZ2 @ W2.T) * (1 - A1**2)
    return W1 - lr * A0.T @ dZ1 / len(Y), W2 - lr * A1.T @ dZ2


# %% [markdown]
# ## Before you go on

# %% [markdown] exercise="network.self-1"
# **1.** Which terms of the forward pass does the backward pass need for
# $dW_1$, besides $dZ_2$?
#
# - **a** $A_0$, $Z_1$ and $W_2$
# - **b** $A_0$ and $W_1$
# - **c** $Z_2$ and $A_2$

# %% tags=["stub"]
answer = ...  # "a", "b" or "c"


# %% tags=["check"]
def check(answer):
    assert answer != "b", (
        "W1 is not needed: it would lead on to the images. W2 and the "
        "slope at Z1 are missing."
    )
    assert answer != "c", "These are in dZ2 already."
    assert answer == "a", "Answer with one of the letters."


# %% tags=["solution"]
# W2 leads back to A1, Z1 has the slope of its activation, and A0 is the
# input of the layer.
answer = "a"

# %% tags=["misconception"]
# W1 is not needed: it would lead on to the images. W2 and the slope at Z1
# are missing.
answer = "b"

# %% tags=["misconception"]
# These are in dZ2 already.
answer = "c"

# %% [markdown] exercise="network.self-2"
# **2.** You make $dZ_2$ twice as large. There is no penalty. What becomes
# of $dW_1$?
#
# - **a** it is twice as large
# - **b** that depends on how saturated the hidden units are
# - **c** it is four times as large, since two layers lie between

# %% tags=["stub"]
answer = ...  # "a", "b" or "c"


# %% tags=["check"]
def check(answer):
    assert answer != "b", (
        "Saturation makes dW1 small, but by the same factor before and "
        "after."
    )
    assert answer != "c", (
        "Each layer multiplies what arrives by fixed numbers, so the 2 "
        "comes through once."
    )
    assert answer == "a", "Answer with one of the letters."


# %% tags=["solution"]
# The backward pass is linear: the slopes are fixed numbers, made on the way
# forward.
answer = "a"

# %% tags=["misconception"]
# Saturation makes dW1 small, but by the same factor before and after.
answer = "b"

# %% tags=["misconception"]
# Each layer multiplies what arrives by fixed numbers, so the 2 comes
# through once.
answer = "c"

# %% [markdown] exercise="network.self-3"
# **3.** Why does the backward pass begin at the loss, and not at the input?
#
# - **a** because the last layer learns fastest
# - **b** because all earlier gradients share $dZ_2$, so it is computed once
# - **c** because the chain rule holds in this direction only

# %% tags=["stub"]
answer = ...  # "a", "b" or "c"


# %% tags=["check"]
def check(answer):
    assert answer != "a", (
        "How fast a layer learns has nothing to do with the order of "
        "computing."
    )
    assert answer != "c", (
        "It holds in both. What differs is how much has to be computed."
    )
    assert answer == "b", "Answer with one of the letters."


# %% tags=["solution"]
# From the input, each weight would need its own way to the loss.
answer = "b"

# %% tags=["misconception"]
# How fast a layer learns has nothing to do with the order of computing.
answer = "a"

# %% tags=["misconception"]
# It holds in both. What differs is how much has to be computed.
answer = "c"
