"""How long an answer takes: logits for one image and for 10 000, against eager PyTorch."""

import torch
from results import ROUNDS, compared, save
from threads import race

from tinygrad_mnist import bridge
from tinygrad_mnist.benchmark import Training, answer, model_of, timed
from tinygrad_mnist.data import load_mnist


def main():
    images, labels = load_mnist()
    training = Training(images, labels)
    model = model_of(training).eval()
    paper = bridge.to_paper(model, "sigmoid")
    peer = torch.nn.Sequential(
        torch.nn.Linear(784, 256), torch.nn.Sigmoid(), torch.nn.Linear(256, 10)
    ).eval()

    def theirs(x):
        with torch.no_grad():
            return timed(lambda: peer(x))

    rows = []
    for count in (1, 10_000):
        x = images[:count]
        tx = torch.from_numpy(x)
        contestants = {
            "tape": lambda number, x=x: answer(model, x),
            "by hand": lambda number, x=x: timed(lambda: paper.forward(x)),
            "PyTorch": lambda number, tx=tx: theirs(tx),
        }
        times = race(contestants, 30 * ROUNDS)
        rows += [
            {"images": count, "contestant": name, "µs": 1e6 * min(of)}
            | compared(times, name, "PyTorch")
            for name, of in times.items()
        ]
    save("inference", rows)


if __name__ == "__main__":
    main()
