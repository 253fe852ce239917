"""How long a Hessian-vector product takes, of the loss of 784-256-10: against PyTorch."""

import numpy as np
import torch
from results import ROUNDS, compared, save
from threads import race

from tinygrad_mnist import grad, nn, tensor
from tinygrad_mnist.benchmark import Training, model_of, timed
from tinygrad_mnist.data import load_mnist


def main():
    images, labels = load_mnist()
    training = Training(images, labels)
    X, y = images[:128], labels[:128]
    rng = np.random.default_rng(0)
    directions = [rng.normal(size=w.shape).astype(np.float32) for w in training.weights()]
    model, loss_fn = model_of(training), nn.CrossEntropyLoss()
    along = [tensor(v) for v in directions]

    def ours():
        gradients = grad(loss_fn(model(X), y), model.parameters(), create_graph=True)
        slope = sum((g * v).sum() for g, v in zip(gradients, along, strict=True))
        return grad(slope, model.parameters())

    peer = torch.nn.Sequential(
        torch.nn.Linear(784, 256), torch.nn.Sigmoid(), torch.nn.Linear(256, 10)
    )
    with torch.no_grad():
        for p, values in zip(peer.parameters(), training.weights(), strict=True):
            p.copy_(torch.from_numpy(values.T))
    tX, ty = torch.from_numpy(X), torch.from_numpy(y)
    tv = [torch.from_numpy(v.T.copy()) for v in directions]

    def theirs():
        loss, parameters = torch.nn.functional.cross_entropy(peer(tX), ty), list(peer.parameters())
        gradients = torch.autograd.grad(loss, parameters, create_graph=True)
        slope = sum((g * v).sum() for g, v in zip(gradients, tv, strict=True))
        return torch.autograd.grad(slope, parameters)

    for a, b in zip(ours(), theirs(), strict=True):
        difference = np.abs(a.data - b.numpy().T).max()
        assert difference <= 1e-4 * np.abs(a.data).max(), "the products differ"
    works = {"tape": lambda number: timed(ours), "PyTorch": lambda number: timed(theirs)}
    times = race(works, 10 * ROUNDS)
    rows = [
        {"contestant": name, "ms": 1e3 * min(of)} | compared(times, name, "PyTorch")
        for name, of in times.items()
    ]
    save("curvature", rows)


if __name__ == "__main__":
    main()
