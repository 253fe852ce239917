# %% [markdown]
# # Export: run your network without this package
#
# **What remains of a network when the program that trained it is gone?** Some arrays, and an order
# in which to use them. You will open both kinds of file that carry them, run a network with a
# runtime that knows nothing of gradients, and take the weights along to PyTorch.
#
# *You will be able to*: export to safetensors and ONNX, say what is in such a file, check that
# nothing was lost, and translate weights between two conventions. *You need*:
# [modules](03-modules.md). *Time*: 30 minutes.
#
# ## Something to take along
#
# One short training is enough: 10,000 images, two epochs.

# %%
import io
import json
import tempfile
from pathlib import Path

import numpy as np
import onnx
import onnxruntime

from tinygrad_mnist import nn, optim
from tinygrad_mnist.autodiff import op
from tinygrad_mnist.data import load_mnist, minibatches
from tinygrad_mnist.evaluation import plots
from tinygrad_mnist.export import (
    ExportError,
    read_safetensors,
    write_onnx,
    write_safetensors,
)

rng = np.random.default_rng(0)
images, labels = load_mnist()
held_out, held_out_labels = images[-5000:], labels[-5000:]

model = nn.MLP((784, 64, 10), "relu", rng=rng)
cross_entropy = nn.CrossEntropyLoss()
optimizer = optim.Adam(model.parameters(), lr=1e-3)
for _ in range(2):
    for rows in minibatches(10_000, 32, rng):
        loss = cross_entropy(model(images[rows]), labels[rows])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
classifier = nn.Classifier(model)
read = (classifier.predict_label(held_out) == held_out_labels).mean()
f"{read:.1%} of the held-out images"

# %% [markdown]
# ## Arrays with names: safetensors
#
# The state of a module is a set of named arrays. A safetensors file holds just that: nothing in it
# is ever run, so a file from a stranger can be read without fear, which is not true of a pickle.

# %%
folder = Path(tempfile.mkdtemp())
with (folder / "model.safetensors").open("wb") as file:
    write_safetensors(
        model, file, about={"layers": [784, 64, 10], "activation": "relu"}
    )

arrays, about = read_safetensors(folder / "model.safetensors")
print({name: (array.shape, str(array.dtype)) for name, array in arrays.items()})
print(about)

# %% [markdown]
# The format is simple enough to read with nothing: eight bytes that say how long the header is, the
# header as JSON, then the numbers, one array after the other.

# %%
content = (folder / "model.safetensors").read_bytes()
length = int.from_bytes(content[:8], "little")
header = json.loads(content[8 : 8 + length])
for name, entry in header.items():
    print(name, entry)

start, end = header["2.bias"]["data_offsets"]
by_hand = np.frombuffer(content[8 + length :][start:end], np.float32)
assert np.array_equal(by_hand, model[2].bias.data)

# %% [markdown]
# What is *not* in it? That there is a ReLU between the two layers. Names and numbers do not say
# what to do with them. We wrote it into the metadata, and whoever loads the file has to build the
# same modules first:

# %%
fresh = nn.MLP(about["layers"], about["activation"])
fresh.load_state_dict(arrays)
probabilities = nn.Classifier(fresh).predict_proba(held_out)
assert np.array_equal(probabilities, classifier.predict_proba(held_out))

# %% [markdown]
# ## Arrays and what to do with them: ONNX
#
# An ONNX file has both: the arrays, and a list of operators that says what becomes of the input. It
# is the graph of the forward pass, without a backward pass.

# %%
with (folder / "model.onnx").open("wb") as file:
    write_onnx(model, file)

graph = onnx.load(folder / "model.onnx").graph
for node in graph.node:
    print(f"{', '.join(node.input):30} -> {node.op_type:5} -> {node.output[0]}")

# %% [markdown]
# `Gemm` stands for *general matrix multiplication*, the name of $\alpha A B + \beta C$ in BLAS, the
# old library of linear algebra. With $\alpha = \beta = 1$ it is a linear layer, $XW + b$. A runtime
# takes it from here. Runtimes exist for servers, phones, browsers and many languages, and they need
# neither this package nor a tape:

# %%
session = onnxruntime.InferenceSession(
    folder / "model.onnx", providers=["CPUExecutionProvider"]
)


def run(x):
    """The runtime's output for images: (n, 784) -> logits (n, 10)."""
    return session.run(["output"], {"input": x.astype(np.float32)})[0]


logits = run(held_out)
read = (logits.argmax(axis=1) == held_out_labels).mean()
print(f"{read:.1%} of the held-out images")
print(f"largest difference {np.abs(logits - model(held_out).data).max():.0e}")
assert np.allclose(logits, model(held_out).data, atol=1e-4)

# %% [markdown]
# The difference is rounding: the runtime adds up the same products in another order. The first axis
# of the input is called `batch` and has no length, so one image does as well as 5,000:

# %%
print(session.get_inputs()[0].shape)
run(held_out[:1]).shape

# %% [markdown]
# The network returns logits, because the softmax belongs to its loss. If you want probabilities,
# ask for them. On the command line this is `tinygrad-mnist export RUN --format onnx --softmax`:

# %%
#| At the head. Three handwritten digits, and under each a bar chart of ten probabilities.
#| For the first and the third, one bar is far above all others. For the second,
#| two bars share nearly everything.
with (folder / "probabilities.onnx").open("wb") as file:
    write_onnx(model, file, softmax=True)
speaker = onnxruntime.InferenceSession(
    folder / "probabilities.onnx", providers=["CPUExecutionProvider"]
)
probabilities = speaker.run(None, {"input": held_out[:3]})[0]

plots.answers(held_out[:3], probabilities)

# %% [markdown]
# ## A layer of your own
#
# How does the export know what a network computes? It calls the network and looks at the tape. Each
# op has a counterpart in ONNX, declared beneath its derivative rules, so a layer that you make of
# known ops needs nothing more. Here is one, x times its sigmoid:


# %%
class Swish(nn.Module):
    def forward(self, x):
        return x * nn.functional.sigmoid(x)


def operators(network):
    """The operators in the ONNX graph of a network."""
    file = io.BytesIO()
    write_onnx(network, file)
    graph = onnx.load_from_string(file.getvalue()).graph
    return [node.op_type for node in graph.node]


operators(nn.Sequential(nn.Linear(784, 32), Swish(), nn.Linear(32, 10)))

# %% [markdown]
# An op of your own is Python, and ONNX knows no Python. Then the export says which op it is and
# which layer called it, and writes nothing:


# %%
@op
def hard_sigmoid(x):
    """A line from 0 at x = -2.5 to 1 at x = 2.5."""
    return np.clip(0.2 * x + 0.5, 0, 1)


hard_sigmoid.vjp(lambda g, out, x: 0.2 * g * (out > 0) * (out < 1))


class HardSigmoid(nn.Module):
    def forward(self, x):
        return hard_sigmoid(x)


hard = nn.Sequential(nn.Linear(784, 32), HardSigmoid(), nn.Linear(32, 10))
try:
    operators(hard)
except ExportError as error:
    print(error)

# %% [markdown]
# So declare the counterpart: the name of an operator that computes the same, or a function that
# builds it from several, such as `lambda onnx, x: onnx.Mul(x, onnx.Sigmoid(x))`. ONNX has this one:

# %%
hard_sigmoid.onnx("HardSigmoid")
operators(hard)

# %% [markdown]
# Could you declare the wrong one by mistake? Before the export writes anything, it runs the graph
# on a batch and compares the result with that of the network. It also calls the network on batches
# of two sizes. A number that belongs to one batch only, such as `len(x)`, is found in this way, and
# refused.
#
# ## Move to PyTorch
#
# You know PyTorch's names already: `Module`, `Linear`, `CrossEntropyLoss`, `SGD`, `zero_grad`,
# `backward`, `step`. The [guide](../howto/pytorch.md) has the same program in both, and lists what
# differs. For the weights one thing matters. Here a weight matrix is `(in, out)`, so that code
# reads like $XW + b$. PyTorch stores `(out, in)` and computes $XW^\top + b$.
#
# That is why you must never copy a tensor by its name alone. A square matrix would fit both ways,
# and be wrong in one:

# %%
square = nn.Linear(64, 64, rng=rng)
x = rng.normal(size=(2, 64)).astype(np.float32)
as_stored = x @ square.weight.data + square.bias.data
as_pytorch_would = x @ square.weight.data.T + square.bias.data
print(f"as stored: off by {np.abs(as_stored - square(x).data).max():.0e}")
off = np.abs(as_pytorch_would - square(x).data).max()
print(f"as PyTorch would: off by {off:.1f}")

# %% [markdown]
# So make it a rule: after every export, run both on the same input, and compare. Shapes that fit
# prove nothing.
#
# ## Exercises

# %% [markdown] exercise="export.for-pytorch"
# ### Exercise 1: the arrays for PyTorch
#
# Given a state as `read_safetensors` returns it, return the arrays as PyTorch wants them: weights
# of linear layers transposed, biases as they are. All weights here are of linear layers, and have
# two axes.


# %% tags=["stub"]
def for_pytorch(arrays):
    return None  # your turn: a dict


# %% [markdown] tags=["hint"]
# Go through `arrays.items()`. `array.ndim` tells a weight from a bias.

# %% [markdown] tags=["hint"]
# `array.T` is the transpose. Keep every name, that of a bias too.


# %% tags=["check"]
def check(for_pytorch):
    theirs = for_pytorch(arrays)
    assert theirs is not None, "Nothing was returned: return a dict of arrays."
    assert isinstance(theirs, dict), "Return a dict of arrays."
    assert set(theirs) != {"0.weight", "2.weight"}, (
        "The biases are gone: keep them as they are."
    )
    assert set(theirs) == set(arrays), "The names should stay the same."
    W = theirs["0.weight"]
    assert W.shape != (784, 64), (
        "The weights are (in, out) still: PyTorch wants (out, in)."
    )
    assert W.shape == (64, 784), (
        "PyTorch's weights are (out, in): here (64, 784)."
    )
    assert not np.array_equal(W, arrays["0.weight"].reshape(64, 784)), (
        "reshape keeps the numbers in their order: only a transpose moves them to their places."
    )
    a = np.maximum(held_out @ W.T + theirs["0.bias"], 0)
    assert np.allclose(
        a @ theirs["2.weight"].T + theirs["2.bias"], logits, atol=1e-3
    ), "Computed as PyTorch does it, this is another network."


# %% tags=["solution"]
def for_pytorch(arrays):
    return {
        name: array.T if array.ndim == 2 else array
        for name, array in arrays.items()
    }


# %% tags=["misconception"]
# The weights are (in, out) still: PyTorch wants (out, in).
def for_pytorch(arrays):
    return dict(arrays)


# %% tags=["misconception"]
# reshape keeps the numbers in their order: only a transpose moves them to their places.
def for_pytorch(arrays):
    return {
        name: array.reshape(array.shape[::-1]) for name, array in arrays.items()
    }


# %% tags=["misconception"]
# The biases are gone: keep them as they are.
def for_pytorch(arrays):
    return {name: array.T for name, array in arrays.items() if array.ndim == 2}


# %% [markdown] exercise="export.runtime"
# ### Exercise 2: a runtime of your own
#
# Write the whole runtime for this graph: a function of the arrays and of images, (n, 784), that
# returns the probabilities, (n, 10). NumPy only.


# %% tags=["stub"]
def runtime(arrays, x):
    return None  # your turn


# %% [markdown] tags=["hint"]
# The list of operators above says it all: `Gemm`, `Relu`, `Gemm`. After these come the
# probabilities.

# %% [markdown] tags=["hint"]
# Softmax per row: `np.exp`, divided by its sum over axis 1, with `keepdims=True`. Subtract the
# largest of each row before `np.exp`, so that large logits do not overflow.


# %% tags=["check"]
def check(runtime):
    x, softmax = held_out[:20], nn.functional.softmax
    for scale in (1, 1000):  # large logits must not overflow
        scaled = arrays | {"2.weight": arrays["2.weight"] * scale}
        fresh.load_state_dict(scaled)
        found, right = runtime(scaled, x), nn.Classifier(fresh).predict_proba(x)
        assert found is not None, "Nothing was returned: return an array."
        assert np.shape(found) == (20, 10), (
            "There should be ten probabilities for each image."
        )
        assert np.isfinite(found).all(), (
            "Softmax overflows: subtract the largest of each row first."
        )
        without = {
            name: array * (array.ndim > 1) for name, array in scaled.items()
        }
        unbiased = nn.MLP(about["layers"], about["activation"])
        unbiased.load_state_dict(without)
        linear = nn.Sequential(fresh[0], fresh[2])
        for wrong, sentence in (
            (
                fresh(x).data,
                "Those are the logits: softmax makes probabilities of them.",
            ),
            (
                softmax(fresh(x), 0).data,
                "Softmax runs over the ten digits of a row: axis=1.",
            ),
            (
                softmax(linear(x), 1).data,
                "The ReLU between the two layers is missing.",
            ),
            (
                nn.Classifier(unbiased).predict_proba(x),
                "The biases are missing: add one to each product.",
            ),
        ):
            assert not np.allclose(found, wrong, atol=1e-4), sentence
        assert np.allclose(found, right, atol=1e-4), (
            "Those are not the network's probabilities."
        )


# %% tags=["solution"]
def runtime(arrays, x):
    a = np.maximum(x @ arrays["0.weight"] + arrays["0.bias"], 0)
    z = a @ arrays["2.weight"] + arrays["2.bias"]
    e = np.exp(z - z.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


# %% tags=["misconception"]
# Those are the logits: softmax makes probabilities of them.
def runtime(arrays, x):
    a = np.maximum(x @ arrays["0.weight"] + arrays["0.bias"], 0)
    return a @ arrays["2.weight"] + arrays["2.bias"]


# %% tags=["misconception"]
# Softmax overflows: subtract the largest of each row first.
def runtime(arrays, x):
    a = np.maximum(x @ arrays["0.weight"] + arrays["0.bias"], 0)
    z = a @ arrays["2.weight"] + arrays["2.bias"]
    return np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)


# %% tags=["misconception"]
# Softmax runs over the ten digits of a row: axis=1.
def runtime(arrays, x):
    a = np.maximum(x @ arrays["0.weight"] + arrays["0.bias"], 0)
    z = a @ arrays["2.weight"] + arrays["2.bias"]
    e = np.exp(z - z.max(axis=0))
    return e / e.sum(axis=0)


# %% tags=["misconception"]
# The ReLU between the two layers is missing.
def runtime(arrays, x):
    a = x @ arrays["0.weight"] + arrays["0.bias"]
    z = a @ arrays["2.weight"] + arrays["2.bias"]
    e = np.exp(z - z.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


# %% tags=["misconception"]
# The biases are missing: add one to each product.
def runtime(arrays, x):
    a = np.maximum(x @ arrays["0.weight"], 0)
    z = a @ arrays["2.weight"]
    e = np.exp(z - z.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)
