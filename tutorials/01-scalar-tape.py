# %% [markdown]
# # A scalar tape in 40 lines, and how it goes wrong
#
# **How can a program differentiate itself?** A few lines that remember what was multiplied with
# what are enough. We will write such a tape, break it with a value that is used twice, and fix it.
#
# *You will be able to*: say what a tape records, write a derivative rule, and explain why the order
# of the backward pass matters. *You need*: [the chain rule](../derivations/chain-rule.md). *Time*:
# 30 minutes.
#
# ## Remember
#
# Here is a number that remembers where it came from: it knows its parents, and for each parent the
# slope of the result along it.

# %%
import math


class Value:
    def __init__(self, data, parents=()):
        self.data = data
        self.parents = parents  # pairs of a Value and the slope along it
        self.grad = 0.0

    def __add__(self, other):
        return Value(self.data + other.data, [(self, 1.0), (other, 1.0)])

    def __mul__(self, other):
        return Value(
            self.data * other.data, [(self, other.data), (other, self.data)]
        )

    def __repr__(self):
        return f"Value({self.data:g}, grad {self.grad:g})"


def exp(x):
    y = math.exp(x.data)
    return Value(y, [(x, y)])  # the slope of exp is exp itself


# %% [markdown]
# We know the slopes as soon as the operation is carried out. That of $a + b$ is 1 along both
# parents, and that of $a \cdot b$ along $a$ is $b$. Let us compute something:

# %%
a, b = Value(2.0), Value(-1.0)
y = a * b + exp(b)
y

# %% [markdown]
# ## Go back
#
# The chain rule says: the derivative of $y$ with respect to a parent is the derivative of $y$ with
# respect to the child, times the slope between them. So we start with
# $\partial y / \partial y = 1$, and pass it on.


# %%
def backward(y, g=1.0):
    y.grad += g
    for parent, slope in y.parents:
        backward(parent, g * slope)


backward(y)
a, b

# %% [markdown]
# Right: $\partial y / \partial a = b = -1$ and $\partial y / \partial b = a + e^b$.

# %%
assert a.grad == b.data
assert b.grad == a.data + math.exp(b.data)

# %% [markdown]
# ## How it goes wrong
#
# It is right, and it is useless. Every *path* from $y$ to a value is walked separately, and the
# number of paths doubles with each value that is used twice:

# %%
calls = 0


def counted(y, g=1.0):
    global calls
    calls += 1
    y.grad += g
    for parent, slope in y.parents:
        counted(parent, g * slope)


x = Value(1.0)
y = x
for _ in range(16):
    y = y + y
counted(y)
calls, x.grad

# %% [markdown]
# 16 additions, and over a hundred thousand calls. The obvious remedy is to visit each value only
# once:


# %%
def backward_once(y):
    seen = set()

    def visit(y, g):
        y.grad += g
        if y not in seen:
            seen.add(y)
            for parent, slope in y.parents:
                visit(parent, y.grad * slope)

    visit(y, 1.0)


x = Value(3.0)
square = x * x
y = square + square  # 2 x², with derivative 4 x = 12
backward_once(y)
x

# %% [markdown]
# Quick, and wrong: 6 instead of 12. What happened? `square` passed its gradient on as soon as
# something reached it. The second half arrived later, and stayed there.
#
# Notice that `square` is a *computed* value. If you use only `x` twice, as in `x * x`, nothing goes
# wrong, since `x` has nobody to pass its gradient to. So a small test easily misses this mistake.
#
# ## Fix it
#
# A value may pass its gradient on only when the gradient is complete: when everything computed from
# it has reported back. An order of the values that respects this is called *topological*.
#
# How do we find one? A value is computed after its parents. So we search through the graph, and put
# each value on a list only when all its parents are on it already. Read backwards, that list has
# every value before its parents, which is what we need.


# %%
def topological(y):
    order, seen = [], set()

    def visit(y):
        if y not in seen:
            seen.add(y)
            for parent, _ in y.parents:
                visit(parent)
            order.append(y)  # after all its parents

    visit(y)
    return order


def backward(y):
    y.grad = 1.0
    for value in reversed(topological(y)):
        for parent, slope in value.parents:
            parent.grad += value.grad * slope


x = Value(3.0)
square = x * x
y = square + square
backward(y)
x

# %% [markdown]
# Twelve. And where there were over a hundred thousand calls, there are now 17 values, and each has
# its turn once:

# %%
x = Value(1.0)
y = x
for _ in range(16):
    y = y + y
backward(y)
len(topological(y)), x.grad

# %% [markdown]
# That is all the theory there is in `tinygrad_mnist.autodiff`. The package adds three things:
# arrays instead of numbers; one clock that gives every tensor its age, so that "the youngest next"
# is a topological order and nothing has to call itself a thousand levels deep; and rules that can
# be differentiated again. It can also show its way, one step at a time, and the wrong ways that you
# have just programmed:

# %%
#| At the head.
from tinygrad_mnist import tensor

x = tensor(3.0, requires_grad=True)
square = x * x
y = square + square
y.player(x=x, square=square, y=y)

# %%
y.backward()
x.grad

# %% [markdown]
# ## Exercises

# %% [markdown] exercise="scalar-tape.tanh"
# ### Exercise 1: a tangent
#
# Write `tanh` for `Value`. The derivative of $\tanh x$ is $1 - \tanh^2 x$.


# %% tags=["stub"]
def tanh(x):
    return None  # your turn


# %% [markdown] tags=["hint"]
# `exp` above shows the pattern: compute the number, then return a `Value` that knows its parent.

# %% [markdown] tags=["hint"]
# The list of parents has one pair: `x`, and the slope of tanh at this place. You can write the
# slope with the number that you have just computed.


# %% tags=["check"]
def check(tanh):
    for number in (0.5, -1.25):
        x, t = Value(number), math.tanh(number)
        y = tanh(x)
        assert y is not None, "Nothing was returned: return a Value."
        assert isinstance(y, Value), (
            "A plain number forgets where it came from: return a Value."
        )
        assert math.isclose(y.data, t), (
            f"At {number} the value should be {t:.4f}, not {y.data}."
        )
        assert y.parents, (
            "The result has no parents, so no gradient gets from it to x."
        )
        parents = y.parents if isinstance(y.parents, (list, tuple)) else [0]
        assert all(isinstance(pair, (list, tuple)) for pair in parents), (
            "The parents are a list of pairs, here of one: [(x, slope)]."
        )
        assert not any(isinstance(slope, Value) for _, slope in parents), (
            "The slope in a pair is a plain number, not a Value."
        )
        backward(y)
        for wrong, sentence in (
            (
                1 - t,
                "The square is missing: the slope is 1 - tanh(x)², not 1 - tanh(x).",
            ),
            (
                1 - number**2,
                "Square the output, not the input: the slope is 1 - tanh(x)².",
            ),
            (
                t**2 - 1,
                "The sign is wrong: tanh rises everywhere, so its slope is positive.",
            ),
        ):
            assert not math.isclose(x.grad, wrong), sentence
        h = 1e-6
        slope = (math.tanh(number + h) - math.tanh(number - h)) / (2 * h)
        assert math.isclose(x.grad, slope, rel_tol=1e-6), (
            f"At {number} the slope should be {slope:.4f}, but x received {x.grad:.4f}."
        )


# %% tags=["solution"]
def tanh(x):
    y = math.tanh(x.data)
    return Value(y, [(x, 1 - y * y)])


# %% tags=["misconception"]
# A plain number forgets where it came from: return a Value.
def tanh(x):
    return math.tanh(x.data)


# %% tags=["misconception"]
# The result has no parents, so no gradient gets from it to x.
def tanh(x):
    return Value(math.tanh(x.data))


# %% tags=["misconception"]
# The parents are a list of pairs, here of one: [(x, slope)].
def tanh(x):
    y = math.tanh(x.data)
    return Value(y, (x, 1 - y * y))


# %% tags=["misconception"]
# The slope in a pair is a plain number, not a Value.
def tanh(x):
    y = math.tanh(x.data)
    return Value(y, [(x, Value(1 - y * y))])


# %% tags=["misconception"]
# The square is missing: the slope is 1 - tanh(x)², not 1 - tanh(x).
def tanh(x):
    y = math.tanh(x.data)
    return Value(y, [(x, 1 - y)])


# %% tags=["misconception"]
# Square the output, not the input: the slope is 1 - tanh(x)².
def tanh(x):
    return Value(math.tanh(x.data), [(x, 1 - x.data**2)])


# %% tags=["misconception"]
# The sign is wrong: tanh rises everywhere, so its slope is positive.
def tanh(x):
    y = math.tanh(x.data)
    return Value(y, [(x, y * y - 1)])


# %% [markdown] exercise="scalar-tape.number-of-calls"
# ### Exercise 2: how much is saved?
#
# `y = x` is followed by $n$ times `y = y + y`, and then the first `backward` above is called. How
# many calls are made in all? Write the number as a function of $n$.


# %% tags=["stub"]
def number_of_calls(n):
    return None  # your turn


# %% [markdown] tags=["hint"]
# With $n = 0$ there is one call: yours. What does each further addition do to the number of calls?

# %% [markdown] tags=["hint"]
# Count level by level: 1 call for the last sum, 2 for the sum before it, then 4, and so on down
# to `x`. Then add the levels up.


# %% tags=["check"]
def check(number_of_calls):
    def walk(y):
        return 1 + sum(walk(parent) for parent, _ in y.parents)

    counted, found = [], [number_of_calls(n) for n in range(8)]
    for n in range(8):
        y = Value(1.0)
        for _ in range(n):
            y = y + y
        counted.append(walk(y))
    assert found != [None] * 8, (
        "Nothing was returned. print only shows a number: use return."
    )
    for wrong, sentence in (
        (
            lambda n: 2**n,
            "These are the calls that reach x. Those on the way count, too.",
        ),
        (
            lambda n: 2 ** (n + 1) - 2,
            "The first call is missing: yours, which starts the walk.",
        ),
        (
            lambda n: 2 * n + 1,
            "An addition adds more than two: all before it is walked twice.",
        ),
        (
            lambda n: n + 1,
            "That is the number of values. A value used twice is reached twice.",
        ),
    ):
        assert found != [wrong(n) for n in range(8)], sentence
    for n in range(8):
        assert found[n] == counted[n], (
            f"With n = {n} the number of calls is {counted[n]}, not {found[n]}."
        )


# %% tags=["solution"]
def number_of_calls(n):
    return 2 ** (n + 1) - 1  # 1 + 2 + 4 + ... + 2^n


# %% tags=["misconception"]
# Nothing was returned. print only shows a number: use return.
def number_of_calls(n):
    print(2 ** (n + 1) - 1)


# %% tags=["misconception"]
# These are the calls that reach x. Those on the way count, too.
def number_of_calls(n):
    return 2**n


# %% tags=["misconception"]
# The first call is missing: yours, which starts the walk.
def number_of_calls(n):
    return 2 ** (n + 1) - 2


# %% tags=["misconception"]
# An addition adds more than two: all before it is walked twice.
def number_of_calls(n):
    return 2 * n + 1


# %% tags=["misconception"]
# That is the number of values. A value used twice is reached twice.
def number_of_calls(n):
    return n + 1
