"""Train 784-256-10 past 98 % in the package named as argument; print test accuracy and threads.

The program is the same under both; only the imports, the reading of the files and the way
arrays become tensors differ.
"""

import sys
from pathlib import Path

import numpy as np

HIDDEN, BATCH_SIZE, EPOCHS, LR = 256, 64, 4, 0.2

if sys.argv[1] == "torch":
    import gzip

    import torch
    from torch import nn, no_grad, optim

    torch.manual_seed(0)
    FOLDER = Path(__file__).parent.parent / "tinygrad_mnist/data/mnist"

    def read(part):
        with (
            gzip.open(FOLDER / f"{part}-images-idx3-ubyte.gz") as images,
            gzip.open(FOLDER / f"{part}-labels-idx1-ubyte.gz") as labels,
        ):
            pixels = np.frombuffer(images.read(), np.uint8, offset=16).reshape(-1, 784)
            digits = np.frombuffer(labels.read(), np.uint8, offset=8)
            return torch.from_numpy(pixels.copy()), torch.from_numpy(digits.astype(np.int64))

    def scaled(pixels):
        return pixels / 255

    rows_of, threads = torch.from_numpy, torch.get_num_threads
else:
    from tinygrad_mnist import nn, no_grad, optim
    from tinygrad_mnist.data import load_mnist, load_mnist_test
    from tinygrad_mnist.data import normalize as scaled

    def read(part):
        return load_mnist(None) if part == "train" else load_mnist_test(None)

    def threads():
        from threadpoolctl import threadpool_info

        return max(pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas")

    rows_of = np.asarray

images, labels = read("train")
model = nn.Sequential(nn.Linear(784, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, 10))
loss_fn = nn.CrossEntropyLoss()
optimizer = optim.SGD(model.parameters(), lr=LR, momentum=0.9, nesterov=True)
steps = EPOCHS * -(-len(images) // BATCH_SIZE)
schedule = optim.lr_scheduler.OneCycleLR(
    optimizer, max_lr=LR, total_steps=steps, cycle_momentum=False
)
for epoch in range(EPOCHS):
    order = np.random.default_rng(epoch).permutation(len(images))
    for start in range(0, len(order), BATCH_SIZE):
        rows = rows_of(order[start : start + BATCH_SIZE])
        loss = loss_fn(model(scaled(images[rows])), labels[rows])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()

images, labels = read("t10k")
with no_grad():
    predicted = model(scaled(images)).argmax(1)
print(float((np.asarray(predicted) == np.asarray(labels)).mean()), threads())
