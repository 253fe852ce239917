# %% [markdown]
# # Leave: run the network where this package is not
#
# **What remains of a network when the program that trained it is gone?** Some arrays, and an order
# in which to use them. You will open both kinds of file that carry them, run a network with a
# runtime that knows nothing of gradients, and take the weights along to PyTorch.
#
# *You will be able to*: export to safetensors and ONNX, say what is in such a file, check that
# nothing was lost, and translate weights between two conventions. *You need*:
# [modules](03-modules.md). *Time*: 10 minutes.
#
# ## Something to take along
#
# One short training is enough: 10,000 images, two epochs.

# %%
import io
import json
import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import onnx
import onnxruntime

from tinygrad_mnist import nn, optim
from tinygrad_mnist.data import load_mnist, minibatches
from tinygrad_mnist.export import ExportError, read_safetensors, write_onnx, write_safetensors

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
f"{(model.predict_label(held_out) == held_out_labels).mean():.1%} of the held-out images"

# %% [markdown]
# ## Arrays with names: safetensors
#
# The state of a module is a set of named arrays. A safetensors file holds just that: nothing in it
# is ever run, so a file from a stranger can be read without fear, which is not true of a pickle.

# %%
folder = Path(tempfile.mkdtemp())
with (folder / "model.safetensors").open("wb") as file:
    write_safetensors(model, file, about={"layers": [784, 64, 10], "activation": "relu"})

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
# What is *not* in it: that a ReLU stands between the two layers. Names and numbers do not say what
# to do with them. We wrote it into the metadata, and whoever loads the file has to build the same
# modules first:

# %%
fresh = nn.MLP(about["layers"], about["activation"])
fresh.load_state_dict(arrays)
assert np.array_equal(fresh.predict_proba(held_out), model.predict_proba(held_out))

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
# `Gemm` is the old name of a linear layer: *general matrix multiplication*, $XW + b$. A runtime
# takes it from here. It exists for servers, phones, browsers and many languages, and needs neither
# this package nor a tape:

# %%
session = onnxruntime.InferenceSession(folder / "model.onnx", providers=["CPUExecutionProvider"])


def run(x):
    """What the runtime makes of images: (n, 784) -> logits (n, 10)."""
    return session.run(["output"], {"input": x.astype(np.float32)})[0]


logits = run(held_out)
print(f"{(logits.argmax(axis=1) == held_out_labels).mean():.1%} of the held-out images")
print(f"largest difference {np.abs(logits - model(held_out).data).max():.0e}")
assert np.allclose(logits, model(held_out).data, atol=1e-4)

# %% [markdown]
# The difference is rounding: the runtime adds up the same products in another order. The first axis
# of the input is called `batch` and has no length, so one image does as well as 5,000:

# %%
print(session.get_inputs()[0].shape)
run(held_out[:1]).shape

# %% [markdown]
# The network returns logits, since the softmax belongs to its loss. Where probabilities are wanted,
# put the softmax behind it before you export:

# %%
with (folder / "probabilities.onnx").open("wb") as file:
    write_onnx(nn.Sequential(model, nn.Softmax(dim=1)), file)
speaker = onnxruntime.InferenceSession(
    folder / "probabilities.onnx", providers=["CPUExecutionProvider"]
)
probabilities = speaker.run(None, {"input": held_out[:3]})[0]

figure, axes = plt.subplots(2, 3, figsize=(6, 3.4), height_ratios=(2, 1))
for column, (image, p) in enumerate(zip(held_out[:3], probabilities, strict=True)):
    axes[0, column].imshow(image.reshape(28, 28), cmap="gray_r")
    axes[0, column].axis("off")
    axes[1, column].bar(range(10), p, color="#0072b2")
    axes[1, column].set(xticks=range(10), yticks=[], ylim=(0, 1))
    axes[1, column].spines[["top", "right", "left"]].set_visible(False)

# %% [markdown]
# ## When there is no counterpart
#
# A layer that you wrote yourself is Python, and ONNX knows no Python. Then the export says which
# layer it is, and writes nothing:


# %%
class Swish(nn.Module):
    def forward(self, x):
        return x * nn.functional.sigmoid(x)


written = io.BytesIO()
try:
    write_onnx(nn.Sequential(nn.Linear(784, 32), Swish(), nn.Linear(32, 10)), written)
except ExportError as error:
    print(error)
print(len(written.getvalue()), "bytes written")

# %% [markdown]
# ## Leave for PyTorch
#
# You know its names already: `Module`, `Linear`, `CrossEntropyLoss`, `SGD`, `zero_grad`,
# `backward`, `step`. The [guide](../howto/pytorch.md) has the same program in both, and lists what
# differs. What matters for the weights is one thing. Here a weight matrix is `(in, out)`, so that
# code reads like $XW + b$. PyTorch stores `(out, in)` and computes $XW^\top + b$.
#
# That is why a tensor must never be copied by name alone. A square matrix would fit both ways, and
# be wrong in one:

# %%
square = nn.Linear(64, 64, rng=rng)
x = rng.normal(size=(2, 64)).astype(np.float32)
as_stored = x @ square.weight.data + square.bias.data
as_pytorch_would = x @ square.weight.data.T + square.bias.data
print(f"as stored: off by {np.abs(as_stored - square(x).data).max():.0e}")
print(f"as PyTorch would: off by {np.abs(as_pytorch_would - square(x).data).max():.1f}")

# %% [markdown]
# Rule: after every export, run both on the same input, and compare. Shapes that fit prove nothing.
#
# ## Exercises
#
# ### Exercise 1: the arrays for PyTorch
#
# Given a state as `read_safetensors` returns it, return the arrays as PyTorch wants them: weights
# of linear layers transposed, biases as they are. All weights here are of linear layers, and have
# two axes.


# %% tags=["exercise"]
def for_pytorch(arrays):
    return None  # your turn: a dict


# %% tags=["solution"]
def for_pytorch(arrays):
    return {name: array.T if array.ndim == 2 else array for name, array in arrays.items()}


# %% tags=["check"]
def check(for_pytorch):
    theirs = for_pytorch(arrays)
    assert theirs is not None, "return a dict of arrays"
    assert set(theirs) == set(arrays), "the names stay the same"
    assert theirs["0.weight"].shape == (64, 784), "PyTorch's weights are (out, in)"
    a = np.maximum(held_out @ theirs["0.weight"].T + theirs["0.bias"], 0)
    assert np.allclose(a @ theirs["2.weight"].T + theirs["2.bias"], logits, atol=1e-3), (
        "computed as PyTorch does, it is another network"
    )


check(for_pytorch)
print("right")

# %% [markdown]
# ### Exercise 2: a runtime of your own
#
# Write the whole runtime for this graph: a function of the arrays and of images, (n, 784), that
# returns the probabilities, (n, 10). NumPy only.


# %% tags=["exercise"]
def runtime(arrays, x):
    return None  # your turn


# %% tags=["solution"]
def runtime(arrays, x):
    a = np.maximum(x @ arrays["0.weight"] + arrays["0.bias"], 0)
    z = a @ arrays["2.weight"] + arrays["2.bias"]
    e = np.exp(z - z.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


# %% tags=["check"]
def check(runtime):
    for scale in (1, 1000):  # large logits must not overflow
        scaled = arrays | {"2.weight": arrays["2.weight"] * scale}
        found = runtime(scaled, held_out[:20])
        assert found is not None, "return an array"
        assert np.isfinite(found).all(), "softmax overflows: subtract the largest of each row first"
        assert np.allclose(found.sum(axis=1), 1, atol=1e-5), "each row adds up to 1"
        fresh.load_state_dict(scaled)
        assert np.allclose(found, fresh.predict_proba(held_out[:20]), atol=1e-4), (
            "not the network's probabilities"
        )


check(runtime)
print("right")
