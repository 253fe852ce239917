# %% [markdown]
# # Exercises: [the chain rule and the graph](../derivations/chain-rule.md)
#
# *Time*: about 35 minutes.
#
# Take a sheet of paper for the first two and for the fourth, and draw the
# graph whenever you are unsure.

# %%
import numpy as np

# %% [markdown] exercise="chain-rule.one-path"
# ### Exercise 1: one path
#
# Let $x = 3$, $a = 2x + 1$ and $L = a^2$. How fast does $L$ grow with $x$?
# Write down a number, without expanding the square.

# %% tags=["stub"]
dx = ...  # your number

# %% [markdown] tags=["hint"]
# There is one path, $x \to a \to L$. Find the local derivative of each of
# its two arrows.

# %% [markdown] tags=["hint"]
# The local derivative of $L = a^2$ is $2a$, and it is taken where the
# program is: at $a = 7$.


# %% tags=["check"]
def check(dx):
    assert dx != 14, (
        "14 is dL/da: the arrow from x to a, which counts 2, is still "
        "missing."
    )
    assert dx != 16, (
        "16 is a sum: along one path the derivatives are multiplied."
    )
    assert dx != 12, (
        "12 takes the slope of the square at x. Its input is a, so take "
        "it at a = 7."
    )
    assert np.isclose(dx, 28), (
        "Multiply 2a, at a = 7, by the slope of a = 2x + 1."
    )


# %% tags=["solution"]
# dL/da is 2a = 14 at a = 7, and da/dx is 2
dx = 2 * 7 * 2

# %% tags=["misconception"]
# 14 is dL/da: the arrow from x to a, which counts 2, is still missing.
dx = 14

# %% tags=["misconception"]
# 16 is a sum: along one path the derivatives are multiplied.
dx = 16

# %% tags=["misconception"]
# 12 takes the slope of the square at x. Its input is a, so take it at a =
# 7.
dx = 12

# %% [markdown] exercise="chain-rule.backwards"
# ### Exercise 2: backwards, through another graph
#
# A program computes $a = u\,v$, then $c = a + v$, then $L = a\,c$. This
# time it is $v$ that is used twice. Let $u = 1$ and $v = 3$. Draw the
# graph, and find $da$, $du$ and $dv$ by walking back from $dL = 1$, as in
# (1.7) to (1.10).

# %% tags=["stub"]
da = ...
du = ...
dv = ...

# %% [markdown] tags=["hint"]
# Forward first: $a = 3$, $c = 6$, $L = 18$. Then backwards, and write
# beside each box what arrives there: $dc$ before $da$, and $da$ before $du$
# and $dv$.

# %% [markdown] tags=["hint"]
# Two arrows leave $a$: one to $L$ with the local derivative $c$, one to $c$
# with the local derivative 1. Two arrows leave $v$: to $a$ and to $c$.


# %% tags=["check"]
def check(da, du, dv):
    assert da != 6, (
        "da = 6 is the direct path alone. a also moves c, so dc = 3 comes "
        "on top."
    )
    assert da != 18, (
        "Over several paths the products are added: da = c + dc, not c "
        "times dc."
    )
    assert np.isclose(da, 9), (
        "da is c = a + v = 6, from the arrow to L, plus dc = a = 3, from "
        "that to c."
    )
    assert dv != 9, (
        "dv = 9 comes through a alone. v is used once more, directly in c."
    )
    assert dv != 10, (
        "The arrow from v to c counts 1, but times what arrives at c: add "
        "dc, not 1."
    )
    assert np.isclose(du, 27), (
        "One arrow leaves u, to a, and counts v: du is da times v."
    )
    assert np.isclose(dv, 12), (
        "dv is da times u, by the arrow to a, plus dc, by that to c."
    )


# %% tags=["solution"]
da = 6 + 3  # c, plus dc = a
du = 9 * 3  # da times v
dv = 9 * 1 + 3  # da times u, plus dc

# %% tags=["misconception"]
# da = 6 is the direct path alone. a also moves c, so dc = 3 comes on top.
da, du, dv = 6, 18, 9

# %% tags=["misconception"]
# Over several paths the products are added: da = c + dc, not c times dc.
da, du, dv = 18, 54, 21

# %% tags=["misconception"]
# dv = 9 comes through a alone. v is used once more, directly in c.
da, du, dv = 9, 27, 9

# %% tags=["misconception"]
# The arrow from v to c counts 1, but times what arrives at c: add dc, not
# 1.
da, du, dv = 9, 27, 10

# %% [markdown] exercise="chain-rule.forwards"
# ### Exercise 3: forwards, in code
#
# On the page we went forwards from $u$. Do it from $v$: for the program of
# (1.1) to (1.3), return $L$ and $\partial L / \partial v$, computed
# alongside. Use three lines for the values and three for their derivatives.


# %% tags=["stub"]
def forwards(u, v):
    a = u * v
    a_v = ...  # your turn
    c = a + u
    c_v = ...
    L = a * c
    L_v = ...
    return L, L_v


# %% [markdown] tags=["hint"]
# In (1.5) the arrow from $u$ to $c$ counted 1, because $u$ was moving. Now
# $u$ is held still.

# %% [markdown] tags=["hint"]
# The last line is a product of two numbers that both move:
# $L_v = a_v\,c + a\,c_v$.


# %% tags=["check"]
def check(forwards):
    for u, v in (2.0, 3.0), (-1.5, 0.5):
        L, L_v = forwards(u, v)
        assert L_v is not ..., (
            "Three lines are to be filled in: a_v, c_v and L_v."
        )
        a, c, h = u * v, u * v + u, 1e-6
        assert np.isclose(L, a * c), (
            "Leave the lines of the program as they are."
        )
        assert not np.isclose(L_v, u * c + a * (u + 1)), (
            "The 1 in c_v belongs to u. Here v moves and u is held still, "
            "so c_v = a_v."
        )
        assert not np.isclose(L_v, u * u), (
            "That multiplies the slopes of the factors. A product changes "
            "by a_v c + a c_v."
        )
        assert not np.isclose(L_v, u * c), (
            "That holds c still in the last line, but v moves c too: add "
            "a times c_v."
        )
        ahead, behind = (u * w * (u * w + u) for w in (v + h, v - h))
        assert np.isclose(L_v, (ahead - behind) / (2 * h)), (
            f"At u = {u} and v = {v}, moving v a little gives another "
            "slope."
        )


# %% tags=["solution"]
def forwards(u, v):
    a = u * v
    a_v = u
    c = a + u
    c_v = a_v  # u does not move
    L = a * c
    L_v = a_v * c + a * c_v
    return L, L_v


# %% tags=["misconception"]
# The 1 in c_v belongs to u. Here v moves and u is held still, so c_v = a_v.
def forwards(u, v):
    a = u * v
    c = a + u
    return a * c, u * c + a * (u + 1)


# %% tags=["misconception"]
# That multiplies the slopes of the factors. A product changes by a_v c + a
# c_v.
def forwards(u, v):
    a = u * v
    c = a + u
    return a * c, u * u


# %% tags=["misconception"]
# That holds c still in the last line, but v moves c too: add a times c_v.
def forwards(u, v):
    a = u * v
    c = a + u
    return a * c, u * c


# %% [markdown] exercise="chain-rule.jacobian"
# ### Exercise 4: a Jacobian, and what arrives
#
# A line takes $x = (x_1, x_2)$ and returns $y_1 = x_1 x_2$ and
# $y_2 = x_1 + 3 x_2$. At $x = (2, 5)$ write down its Jacobian: a list of
# rows, one row per output. Then the cotangent $dy = (1, -2)$ arrives. What
# is $dx$?

# %% tags=["stub"]
J = ...  # [[..., ...], [..., ...]]
dx = ...  # [..., ...]

# %% [markdown] tags=["hint"]
# Row $i$ of (1.12) says what $y_i$ depends on. The first row has the slopes
# of $x_1 x_2$ with respect to $x_1$ and to $x_2$.

# %% [markdown] tags=["hint"]
# By (1.13), $dx_j$ adds up column $j$ of $J$, each entry times its own
# $dy_i$.


# %% tags=["check"]
def check(J, dx):
    assert np.shape(J) == (2, 2), (
        "J has two rows, one for each output, and two columns."
    )
    assert np.shape(dx) in ((2,), (1, 2)), (
        "dx has one number for each input: [..., ...]."
    )
    assert not np.allclose(J, [[5, 1], [2, 3]]), (
        "That is the transpose: a row of J belongs to one output, a "
        "column to one input."
    )
    assert not np.allclose(J, [[2, 5], [1, 3]]), (
        "The slope of x₁x₂ with respect to x₁ is the other factor, x₂ = 5."
    )
    assert np.allclose(J, [[5, 2], [1, 3]]), (
        "Differentiate x₁x₂ for row 1, x₁ + 3x₂ for row 2."
    )
    assert not np.allclose(dx, [1, -5]), (
        "That is J times dy. What arrives at the outputs is a row, and "
        "multiplies from the left: dy J."
    )
    assert not np.allclose(dx, [6, 5]), (
        "You added up the columns of J, but each row counts with its own "
        "dy."
    )
    assert np.allclose(dx, [3, -4]), (
        "dx is the row dy times the matrix J, as in (1.14)."
    )


# %% tags=["solution"]
J = [[5, 2], [1, 3]]  # x₂ and x₁; 1 and 3
# dy times J: 3 and -4
dx = [1 * 5 - 2 * 1, 1 * 2 - 2 * 3]

# %% tags=["misconception"]
# That is the transpose: a row of J belongs to one output, a column to one
# input.
J, dx = [[5, 1], [2, 3]], [3, -4]

# %% tags=["misconception"]
# The slope of x₁x₂ with respect to x₁ is the other factor, x₂ = 5.
J, dx = [[2, 5], [1, 3]], [0, -1]

# %% tags=["misconception"]
# That is J times dy. What arrives at the outputs is a row, and multiplies
# from the left: dy J.
J, dx = [[5, 2], [1, 3]], [1, -5]

# %% tags=["misconception"]
# You added up the columns of J, but each row counts with its own dy.
J, dx = [[5, 2], [1, 3]], [6, 5]

# %% [markdown] exercise="chain-rule.vjp"
# ### Exercise 5: a vector-Jacobian product without the Jacobian
#
# For the line (1.11), $y_i = \sum_j x_j^2 W_{ji}$, combine (1.12) and
# (1.13), and write its vjp. It gets $x$ (1 row, $n$ columns), $W$ ($n$
# rows, $m$ columns) and $dy$ (1 row, $m$ columns), and returns $dx$ with
# the shape of $x$. Build no Jacobian: one matrix product is enough.


# %% tags=["stub"]
def vjp(x, W, dy):
    return None  # your turn


# %% [markdown] tags=["hint"]
# Fill (1.12) into (1.13): $dx_j = \sum_i dy_i \cdot 2 W_{ji}\,x_j$. What
# does not depend on $i$ can be taken out of the sum.

# %% [markdown] tags=["hint"]
# What stays in the sum is $\sum_i dy_i W_{ji}$: the row `dy` times the
# transpose of `W`. The rest multiplies entry by entry.


# %% tags=["check"]
def check(vjp):
    draw = np.random.default_rng(1)
    x, W, dy = (draw.normal(size=size) for size in ((1, 4), (4, 3), (1, 3)))
    dx, row = vjp(x, W, dy), dy @ W.T
    assert np.shape(dx) == (1, 4), (
        f"dx has the shape of x, (1, 4), not {np.shape(dx)}."
    )
    assert not np.allclose(dx, 2 * row), (
        "The slope of the square of x is 2x, not 2: multiply by x, entry "
        "by entry."
    )
    assert not np.allclose(dx, x * row), (
        "The 2 is missing: the slope of the square of x is 2x."
    )
    assert not np.allclose(dx, 2 * x * W.sum(axis=1)), (
        "That adds up the Jacobian. Each output counts with what arrives "
        "at it, dy."
    )
    h = 1e-6
    for j in range(4):
        e = np.zeros((1, 4))
        e[0, j] = h
        slope = ((x + e) ** 2 - (x - e) ** 2) @ W @ dy.T / (2 * h)
        assert np.isclose(dx[0, j], slope[0, 0]), (
            f"Moving entry {j + 1} of x gives another slope."
        )


# %% tags=["solution"]
def vjp(x, W, dy):
    return 2 * x * (dy @ W.T)


# %% tags=["misconception"]
# The slope of the square of x is 2x, not 2: multiply by x, entry by entry.
def vjp(x, W, dy):
    return 2 * (dy @ W.T)


# %% tags=["misconception"]
# The 2 is missing: the slope of the square of x is 2x.
def vjp(x, W, dy):
    return x * (dy @ W.T)


# %% tags=["misconception"]
# That adds up the Jacobian. Each output counts with what arrives at it, dy.
def vjp(x, W, dy):
    return 2 * x * W.sum(axis=1)


# %% [markdown] exercise="chain-rule.missing-arrow"
# ### Exercise 6: what is wrong here?
#
# Somebody walks back through the program of (1.1) to (1.3), and gets
# $du = 32$ and $dv = 16$ at $u = 2$, $v = 3$. The page has 48 and 28. Find
# the line that is wrong, say why to yourself, and fix it.


# %% tags=["stub"]
def backward(u, v):
    a = u * v
    c = a + u
    dc = a
    da = c
    du = da * v + dc
    dv = da * u
    return du, dv


# %% [markdown] tags=["hint"]
# Both results are too small, and both are computed from $da$. So look
# there, or before.

# %% [markdown] tags=["hint"]
# How many arrows leave $a$?


# %% tags=["check"]
def check(backward):
    for u, v in (2.0, 3.0), (-1.5, 0.5):
        a, c, h = u * v, u * v + u, 1e-6
        du, dv = backward(u, v)
        L = lambda u, v: u * v * (u * v + u)
        right_u = (L(u + h, v) - L(u - h, v)) / (2 * h)
        right_v = (L(u, v + h) - L(u, v - h)) / (2 * h)
        assert not np.isclose(dv, (c + 1) * u), (
            "The arrow from a to c counts 1 times what arrives at c: add "
            "dc, not 1."
        )
        assert not np.isclose(dv, c * a * u), (
            "c and dc came along two paths, and over several paths we add."
        )
        fine = np.isclose(du, right_u), np.isclose(dv, right_v)
        assert fine != (True, False), (
            "du is right now and dv is not: the mistake is in what both "
            "have in common."
        )
        assert all(fine), (
            f"At u = {u}, v = {v} the slopes are {right_u:.2f} and "
            f"{right_v:.2f}."
        )


# %% tags=["solution"]
def backward(u, v):
    a = u * v
    c = a + u
    dc = a
    # two arrows leave a: to L, and to c
    da = c + dc
    du = da * v + dc
    dv = da * u
    return du, dv


# %% tags=["misconception"]
# The arrow from a to c counts 1 times what arrives at c: add dc, not 1.
def backward(u, v):
    a = u * v
    c = a + u
    dc = a
    da = c + 1
    du = da * v + dc
    dv = da * u
    return du, dv


# %% tags=["misconception"]
# c and dc came along two paths, and over several paths we add.
def backward(u, v):
    a = u * v
    c = a + u
    dc = a
    da = c * dc
    du = da * v + dc
    dv = da * u
    return du, dv


# %% tags=["misconception"]
# du is right now and dv is not: the mistake is in what both have in common.
def backward(u, v):
    a = u * v
    c = a + u
    dc = a
    da = c
    du = (da + dc) * v + dc
    dv = da * u
    return du, dv


# %% [markdown]
# ## Before you go on

# %% [markdown] exercise="chain-rule.self-1"
# **1.** Why does $da$ in (1.8) have two terms?
#
# - **a** because (1.3) is a product, and a product has two factors
# - **b** because $a$ reaches $L$ along two paths
# - **c** because $a$ is computed from two numbers, $u$ and $v$

# %% tags=["stub"]
answer = ...  # "a", "b" or "c"


# %% tags=["check"]
def check(answer):
    assert answer != "a", (
        "The product explains the first term, c, alone. The second comes "
        "from c = a + u."
    )
    assert answer != "c", (
        "What a is computed from matters for du and dv. da asks what is "
        "computed from a."
    )
    assert answer == "b", "Answer with one of the letters."


# %% tags=["solution"]
# One path is direct, the other leads through c: one term for each arrow
# that leaves a.
answer = "b"

# %% tags=["misconception"]
# The product explains the first term, c, alone. The second comes from c = a
# + u.
answer = "a"

# %% tags=["misconception"]
# What a is computed from matters for du and dv. da asks what is computed
# from a.
answer = "c"

# %% [markdown] exercise="chain-rule.self-2"
# **2.** A program has 3 inputs and 1000 outputs, and we want all 3000
# derivatives. What takes the fewest sweeps?
#
# - **a** forwards, 3 sweeps
# - **b** backwards, 1000 sweeps
# - **c** either: the chain rule gives the same product

# %% tags=["stub"]
answer = ...  # "a", "b" or "c"


# %% tags=["check"]
def check(answer):
    assert answer != "b", (
        "Backwards is best with one output. Here it needs one sweep per "
        "output."
    )
    assert answer != "c", (
        "The product is the same, but not what it costs: 3 sweeps against "
        "1000."
    )
    assert answer == "a", "Answer with one of the letters."


# %% tags=["solution"]
# A forward sweep gives the derivatives of everything with respect to one
# input, and there are three.
answer = "a"

# %% tags=["misconception"]
# Backwards is best with one output. Here it needs one sweep per output.
answer = "b"

# %% tags=["misconception"]
# The product is the same, but not what it costs: 3 sweeps against 1000.
answer = "c"

# %% [markdown] exercise="chain-rule.self-3"
# **3.** What must be remembered from the forward pass, so that we can go
# backwards?
#
# - **a** the Jacobian of every line
# - **b** the values that the local derivatives are made of
# - **c** nothing: going backwards computes everything anew

# %% tags=["stub"]
answer = ...  # "a", "b" or "c"


# %% tags=["check"]
def check(answer):
    assert answer != "a", (
        "Nobody writes the Jacobians down. The vjp needs only the values "
        "in them."
    )
    assert answer != "c", (
        "The walk back uses c and a as factors, and they come from the "
        "forward pass."
    )
    assert answer == "b", "Answer with one of the letters."


# %% tags=["solution"]
# In (1.7) to (1.10) these are a, c, v and u. That memory is the price of
# going backwards.
answer = "b"

# %% tags=["misconception"]
# Nobody writes the Jacobians down. The vjp needs only the values in them.
answer = "a"

# %% tags=["misconception"]
# The walk back uses c and a as factors, and they come from the forward
# pass.
answer = "c"
