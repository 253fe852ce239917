"""Backward passes of a network with two layers, tanh and cross-entropy: right, and broken."""

RIGHT = """\
dZ2 = (A2 - Y) / B
dW2 = A1.T @ dZ2 + lam * W2
db2 = dZ2.sum(axis=0)
dA1 = dZ2 @ W2.T
dZ1 = dA1 * (1 - A1**2)
dW1 = A0.T @ dZ1 + lam * W1
db1 = dZ1.sum(axis=0)
"""

# Other ways to write one of the lines.
LINES = {
    "dZ2": [
        "dZ2 = A2 / B - Y / B",
        "dZ2 = -(Y - A2) / B",
        "dZ2 = (1 / B) * (A2 - Y)",
        "dZ2 = (A2 - Y) / len(A2)",
        "dZ2 = (A2 - Y) / A2.shape[0]",
        "dZ2 = (A2 - Y) / X.shape[0]",
        "error = A2 - Y\ndZ2 = error / B",
        "dZ2 = A2.copy()\ndZ2[range(B), labels] -= 1\ndZ2 /= B",
        "dZ2 = A2\ndZ2 = dZ2 - Y\ndZ2 = dZ2 / B",
        "dZ2 = np.divide(np.subtract(A2, Y), B)",
        "dA2 = -Y / A2 / B\ndZ2 = A2 * (dA2 - (dA2 * A2).sum(axis=1, keepdims=True))",
        (
            "dZ2 = zeros((B, C))\nfor i in range(B):\n    for j in range(C):\n"
            "        dZ2[i, j] = (A2[i, j] - Y[i, j]) / B"
        ),
        "delta2 = (A2 - Y) / B",
    ],
    "dW2": [
        "dW2 = lam * W2 + A1.T @ dZ2",
        "dW2 = np.dot(A1.T, dZ2) + lam * W2",
        "dW2 = A1.T.dot(dZ2) + W2 * lam",
        "dW2 = (dZ2.T @ A1).T + lam * W2",
        "dW2 = np.matmul(np.transpose(A1), dZ2) + l2 * W2",
        "dW2 = A1.T @ (A2 - Y) / B + lam * W2",
        "data = A1.T @ dZ2\npenalty = lam * W2\ndW2 = data + penalty",
        "dW2 = A1.T @ dZ2\ndW2 += lam * W2",
        "dW2 = lam * W2\nfor i in range(B):\n    dW2 += np.outer(A1[i], dZ2[i])",
        (
            "dW2 = zeros_like(W2)\nfor a, d in zip(A1, dZ2):\n    dW2 = dW2 + a[:, None] * d\n"
            "dW2 = dW2 + lam * W2"
        ),
        (
            "dW2 = np.zeros(W2.shape)\nfor i in range(B):\n    dW2 += A1[i:i+1].T @ dZ2[i:i+1]\n"
            "dW2 += lam * W2"
        ),
        "dW2 = sum([a.reshape(-1, 1) @ d.reshape(1, -1) for a, d in zip(A1, dZ2)], lam * W2)",
        "grad_W2 = A1.T @ dZ2 + lam * W2",
        "dw2 = A1.T @ dZ2 + lam * W2",
        "dL_dW2 = (A1.T @ dZ2\n          + lam * W2)",
    ],
    "db2": [
        "db2 = np.sum(dZ2, axis=0)",
        "db2 = dZ2.T.sum(axis=1)",
        "db2 = np.ones(B) @ dZ2",
        "db2 = sum(dZ2)",
        "db2 = dZ2.mean(axis=0) * B",
        "db2 = dZ2.sum(axis=0, keepdims=True)[0]",
        "db2 = dZ2.sum(0)",
        "db2 = np.zeros(C)\nfor d in dZ2:\n    db2 += d",
        "db2 = [dZ2[:, j].sum() for j in range(C)]",
    ],
    "dA1": [
        "dA1 = (W2 @ dZ2.T).T",
        "dA1 = np.dot(dZ2, W2.T)",
        "WT = W2.T\ndA1 = dZ2 @ WT",
        "dA1 = zeros_like(A1)\nfor i in range(B):\n    dA1[i] = W2 @ dZ2[i]",
    ],
    "dZ1": [
        "dZ1 = (1 - A1 * A1) * dA1",
        "dZ1 = dA1 * slope(Z1)",
        "dZ1 = dA1 * (1 - np.tanh(Z1)**2)",
        "dZ1 = dA1 - dA1 * A1**2",
        "dZ1 = dA1 * (1 - A1) * (1 + A1)",
        "dZ1 = (dZ2 @ W2.T) * slope(Z1)",
        "def my_slope(a):\n    return 1 - a**2\n\ndZ1 = dA1 * my_slope(A1)",
    ],
    "dW1": [
        "dW1, db1 = X.T @ dZ1 + lam * W1, dZ1.sum(axis=0)",
        "import numpy as np\nimport math\ndW1 = X.T @ dZ1 + lam * W1",
    ],
}

# The whole, written otherwise.
PROGRAMS = [
    "def backward(X, Y, W1, W2, A1, A2):\n"
    + "".join(f"    {line}\n" for line in RIGHT.splitlines())
    + "    return {'dW1': dW1, 'db1': db1, 'dW2': dW2, 'db2': db2}\n",
    'def backward():\n    """By hand."""\n'
    + "".join(f"    {line}  # yes\n\n" for line in RIGHT.splitlines())
    + "    return dW1, db1, dW2, db2\n\nbackward()\n",
    "# by hand\n\n" + RIGHT.replace("\n", "\n\n"),
    RIGHT.replace("\n", "; ").rstrip("; ") + "\n",
    (
        "def linear(dZ, A, W):\n    return A.T @ dZ + lam * W, dZ.sum(axis=0), dZ @ W.T\n\n"
        "dZ2 = (A2 - Y) / B\ndW2, db2, dA1 = linear(dZ2, A1, W2)\n"
        "dZ1 = dA1 * slope(Z1)\ndW1, db1, dX = linear(dZ1, X, W1)\n"
    ),
]

# What cannot be run or judged, the line, and a part of the sentence.
BROKEN = [
    ("dZ2 = (A2 - Y / B", 1, "There is one ( too many"),
    ("dZ2 = (A2 - Y)) / B", 1, "There is one ) too many"),
    ("dZ2 = A2[0", 1, "There is one [ too many"),
    ("dZ2 =", 1, "The line ends with ="),
    ("dZ2 = A2 -", 1, "The line ends with -"),
    ("dZ2 = A2 Y", 1, "Is an operator missing"),
    ("d Z2 = A2 - Y", 1, "there is one name"),
    ("2dZ = A2 - Y", 1, "A name begins with a letter"),
    ("dZ2 = 'A2 - Y", 1, "a quote is missing"),
    ("dZ2 = A2 × Y", 1, "Type *"),
    ("dZ2 = A2 − Y", 1, "Type -"),
    ("dZ2 = “A2”", 1, 'Type "'),
    ("dZ2 = A2ᵀ", 1, "Type .T"),
    ("dZ1 = dA1 ⊙ slope(Z1)", 1, "Type *"),
    ("dZ2 = (A2 - Y)²", 1, "Type **2"),
    ("  dZ2 = (A2 - Y) / B", 1, "Begin at the margin"),
    ("for i in range(B)\n    dZ2 = A2", 1, "ends with a colon"),
    ("for i in range(B):\ndZ2 = A2 - Y", 1, "moved to the right"),
    ("for i in range(B):\n    x = 1\n  dZ2 = A2", 1, "equally far"),
    ("return (A2 - Y) / B", 1, "return is for the end of a function"),
    ("dZ2 = (A2 - y) / B", 1, "capital letters count"),
    ("dZ2 = (output - Y) / B", 1, "There is no output here"),
    ("dW2 = A1.T @ dZ2\ndZ2 = (A2 - Y) / B", 1, "dZ2 is a gradient: write its line before"),
    ("x = A2 -\ndZ2 = x / B", 2, "which line 1 has not made"),
    ("dA1 = (A2 - Y) @ W2", 1, "with .T on the second. In this line, A2 is (7, 3)"),
    ("dZ2 = A2 * W2", 1, "both need the same shape"),
    ("dZ2 = A2 @ 2", 1, "To multiply by a number, use *."),
    ("dZ2 = (A2 - Y) ^ 2", 1, "write **"),
    ("dZ2 = 'A2' - Y", 1, "without quotes"),
    ("dZ2 = A2(A2 - Y)", 1, "Is a * missing before a bracket"),
    ("dZ1 = slope * A1", 1, "without being called"),
    ("dZ2 = None", 1, "dZ2 is None"),
    ("def f(x):\n    x * 2\ndZ2 = f(A2)", 3, "end without return"),
    ("dZ2 = A2.sum(axis=2)", 1, "no axis 2"),
    ("dZ2 = A2[9]", 1, "from 0 to 6"),
    ("dZ2 = A2.transposed", 1, "Arrays in this page have no .transposed"),
    ("dZ2 = np.einsum('ij->ji', A2)", 1, "numpy of this page has no einsum"),
    ("import torch\ndZ2 = A2", 1, "there are numpy"),
    ("dZ2 = slope(A2, Y)", 1, "too many or too few values"),
    ("dZ2 = 1 / 0", 1, "divided by 0"),
    ("dZ2 = 0 < A2", 1, "Write the array first"),
    ("dZ2 = slope", 1, "dZ2 is a function"),
    ("dZ2 = 'A2'", 1, "dZ2 is a text"),
    ("dZ2 = [[1, 2], [3]]", 1, "not an array"),
    ("a, b = 1, 2, 3", 1, "not as many values as names"),
    ("def f():\n    return f()\ndZ2 = f()", 2, "calls itself again and again"),
    ("x = [0] * 10**9\ndZ2 = A2", 1, "more memory"),
    ("dZ2 = np.zeros((5000, 5000))", 1, "more memory"),
    ("exit()", 1, "There is no exit here"),
    ("assert B == 8", 1, "Your assert does not hold"),
    ("x = input('?')", 1, "nobody to ask"),
    ("dZ2 = A2 / 0", 1, "NaN or infinite"),
    ("dZ2 = A2 +* Y", 1, "one too many"),
    ("dZ2 = (A2 - Y) / B；", 1, "Leave it out"),
]
