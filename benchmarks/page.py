"""Writes docs/performance.md from the measurements: `python benchmarks/page.py`."""

from pathlib import Path

from results import load

DOCS = Path(__file__).parent.parent / "docs"
FIGURE = """```python exec="true" html="true"
import json
from pathlib import Path

from figures import BLUE, ORANGE, curves

rows = json.loads(Path("benchmarks/results/epoch.json").read_text())["rows"]
rows = [row for row in rows if (row["batch"], row["hidden"]) == (128, 256)]
rows.sort(key=lambda row: row["seconds"], reverse=True)
names = [row["contestant"] for row in rows]
colors = {"tape": BLUE, "by hand": BLUE}
grey = {name: "gray" for name in names if name.startswith("products")}


def draw(axes):
    seconds = [row["seconds"] for row in rows]
    bars = axes.barh(names, seconds, color=[(colors | grey).get(n, ORANGE) for n in names])
    axes.bar_label(bars, fmt="%.2f", padding=3)
    axes.set(xlabel="seconds an epoch", xlim=(0, 1.12 * max(seconds)))


print(
    curves(
        "epoch",
        draw,
        "Bars of the seconds that an epoch takes: "
        + ", ".join(f"{row['contestant']} {row['seconds']:.2f}" for row in rows),
        "Seconds an epoch. In blue, tape and by hand: this package. In grey, the matrix products "
        "alone, which every contestant has to compute.",
    )
)
```"""
"""Of the epoch's seconds; it is drawn when the site is built."""
QUESTIONS = ("epoch", "step", "op", "process", "curvature", "inference", "growth")


def rounded(value):
    """Three digits that count, without an exponent."""
    return f"{float(f'{value:.3g}'):.10g}"


def table(columns, rows):
    """Rows of values as Markdown: numbers with three digits, nothing for None."""
    cells = [[cell(value) for value in row] for row in rows]
    return "\n".join(f"| {' | '.join(row)} |" for row in [columns, ["---"] * len(columns), *cells])


def cell(value):
    if value is None:
        return ""
    return rounded(value) if isinstance(value, float) else str(value)


def ratio(row, peer="", digits=2):
    """The ratio of the shortest times to a peer's, and that of the medians in brackets."""
    name = f" to {peer}" if peer else ""
    return f"{row['ratio' + name]:.{digits}f} ({row['medians' + name]:.{digits}f})"


def epochs(rows):
    """The cell that all contestants ran."""
    of_it = [row for row in rows if (row["batch"], row["hidden"]) == (128, 256)]
    columns = ["contestant", "an epoch, s", "to PyTorch", "to the matrix products"]
    peers = ("PyTorch", "products (NumPy)")
    lines = [
        [row["contestant"], row["seconds"], *(ratio(row, peer) for peer in peers)] for row in of_it
    ]
    return table(columns, lines)


def grid(rows):
    """Ratio to PyTorch in every cell of the grid."""
    cells = {(row["batch"], row["hidden"], row["contestant"]): row for row in rows}
    lines = []
    for batch, hidden in sorted({key[:2] for key in cells}):
        theirs, tape, hand, products, torch_products = (
            cells[batch, hidden, name]
            for name in ("PyTorch", "tape", "by hand", "products (NumPy)", "products (PyTorch)")
        )
        columns = {
            "batch": batch,
            "hidden": hidden,
            "PyTorch, s": theirs["seconds"],
            "tape to PyTorch": ratio(tape, "PyTorch"),
            "by hand to PyTorch": ratio(hand, "PyTorch"),
            "tape to NumPy's products": f"{tape['ratio to products (NumPy)']:.2f}",
            "NumPy's products to PyTorch's": products["seconds"] / torch_products["seconds"],
        }
        lines.append(columns.values())
    return table(list(columns), lines)


def contestants(question, first, measure):
    """A table of a question whose rows are contestants, compared with one of them."""
    rows = load(question)["rows"]
    return table(
        [*first, measure, "ratio"],
        [[*(row[name] for name in first), row[measure], ratio(row)] for row in rows],
    )


def steps(question, of):
    """The ratios of a replay to each peer, for every size of the network."""
    peers = ("tape", "tuned NumPy", "PyTorch", "torch.compile", "JAX jit")
    rows = [
        row for row in load(question)["rows"] if row["of"] == of and row["contestant"] == "replay"
    ]
    lines = [
        [row["batch"], row["hidden"], row["µs"], *(ratio(row, peer) for peer in peers)]
        for row in rows
    ]
    return table(["batch", "hidden", "replay, µs", *(f"to {peer}" for peer in peers)], lines)


def against(question, first, peers, digits=2):
    """A table of a question whose rows are contestants, compared with several of them."""
    lines = [
        [*(row[name] for name in first), row["µs"], *(ratio(row, peer, digits) for peer in peers)]
        for row in load(question)["rows"]
    ]
    return table([*first, "µs", *(f"to {peer}" for peer in peers)], lines)


def growth():
    """Times over sizes, and the exponent at the end of each."""
    rows = load("growth")["rows"]
    lines = []
    for what in dict.fromkeys(row["over"] for row in rows):
        of_it = [row for row in rows if row["over"] == what]
        lines.append(
            [
                what,
                ", ".join(str(row["size"]) for row in of_it),
                ", ".join(rounded(row["ms"]) for row in of_it),
                f"{of_it[-1]['exponent']:.2f}",
            ]
        )
    return table(["over", "sizes", "ms", "exponent"], lines)


def processes():
    """Whole processes: time, accuracy, memory."""
    columns = ["process", "seconds", "ratio", "lowest test accuracy", "peak memory, MB"]
    rows = [row | {"ratio": ratio(row)} for row in load("process")["rows"]]
    return table(columns, [[row.get(column) for column in columns] for row in rows])


def threads():
    """On how many threads each library computed, as far as the results say."""
    said = {question: load(question).get("threads") for question in QUESTIONS}
    unsaid = [f"`{question}`" for question, of_it in said.items() if of_it is None]
    if unsaid:
        return (
            "Some results do not say on how many threads each contestant computed, so a ratio may\n"
            f"compare one thread with several: {', '.join(unsaid)}."
        )
    found = sorted(
        {(library, count) for of_it in said.values() for library, count in of_it.items()}
    )
    of_each = ", ".join(f"{library} {count}" for library, count in found)
    return (
        f"Threads of each library: {of_each}. The hand derivation, the tape, HIPS autograd and\n"
        "scikit-learn compute with NumPy, and no contestant kept more than one core busy."
    )


def page():
    """The text of docs/performance.md."""
    measured = load("epoch")
    on = measured["machine"]
    return f"""# Performance

<!-- Written by benchmarks/page.py from benchmarks/results/*.json. -->

Every figure comes from one run in which the contestants took turns, each doing the same work,
{measured["rounds"]} rounds or more. A time is the shortest of all rounds. A ratio is one shortest
time divided by another; the ratio of the medians follows in brackets. Where the two differ, the
machine was busy with something else, and the first is to be trusted.
Measured on: {on["processor"]}, {on["cores"]} cores, {on["system"]},
Python {on["python"]}, NumPy {on["numpy"]} with {on["blas"]}.
{threads()}
Measure your own machine with `tinygrad-mnist bench`, or everything with
`pip install -r benchmarks/requirements.txt` and the commands below.

## An epoch of training

60 000 images through 784-256-10: sigmoid, softmax with cross-entropy, batches of 128, float32,
SGD with momentum and weight decay; the rows of each batch are gathered from the shuffled images.
All contestants start from the same weights and see the same batches, and their accuracies
afterwards are equal to 0.001. `{measured["command"]}`

{epochs(measured["rows"])}

{FIGURE}

The matrix products alone bound what any program over the same BLAS can reach. PyTorch's are those
of MKL, NumPy's those of OpenBLAS.

## Other batches and widths

{grid(measured["rows"])}

## A step, replayed

`train --replay`, or [`autodiff.replay`](reference/autodiff.md#replay), runs a step once while it
writes down every call of NumPy, and from then on repeats the calls. The results are those of the
tape, bit by bit. What is saved:

- the tape: no tensor is made, no rule is looked up;
- work that is done twice: the rule of the sigmoid computes exp(-|x|) as the sigmoid itself did;
- work on constants, such as the gradient of a mean;
- memory: every array has its place before the step begins, and dead arrays give theirs to others.

So it helps where steps are short: small batches, narrow layers, many small ops. Where a step
consists of large matrix products, it saves the tenth that is left beside them.

Gradients of 784-hidden-10 for one batch, forward and backward. Tuned NumPy is a program for this
very network, with the shortest formulas, and every array made once; `torch.compile` and JAX
compile the same. Processor time, one thread. `{load("step")["command"]}`

{steps("step", "gradients")}

The whole step, with SGD, momentum and weight decay. Our optimizer is not replayed, while JAX
compiles it into the step:

{steps("step", "a step")}

On two threads, by the clock: noisy, and only there to be compared with the figures for one.
`{load("step-2")["command"]}`

{steps("step-2", "gradients")}

The chain of the next section, 4000 times y * b + a on 4 elements, forward and backward. If b and a
are constants, so is the backward pass, and a replay makes no call of it.

{against("chain", ["b and a", "contestant"], ["tape", "PyTorch"], 3)}

The network of [micrograd](https://github.com/karpathy/micrograd), 2-16-16-1 with relu, forward and
backward for one point. micrograd makes an object per number; the others compute with matrices.

{against("tiny", ["contestant"], ["tape", "micrograd", "PyTorch"], 3)}

## One op

The chain y = y * b + a, 4000 times on 4 elements, forward and backward.
`{load("op")["command"]}`

{contestants("op", ["b and a", "contestant"], "µs an op")}

What bounds it: NumPy's own arithmetic is the last row of each group. The rest is Python: creating
the tensor, remembering its op and inputs, and one call of a derivative rule an input. A tape in
C++ pays less for these, and more for its generality.

## From the start of the process to 98 %

One training program, `benchmarks/cold_start.py`, run under both packages: start Python, import,
load the data, train, look at the test set. `{load("process")["command"]}`

{processes()}

## Second derivatives

The product of the Hessian of the loss with a direction, for a batch of 128 in 784-256-10.
`{load("curvature")["command"]}`

{contestants("curvature", ["contestant"], "ms")}

## A convolutional network

LeNet of `tinygrad_mnist.examples`, forward and backward on one batch of 128 images, with one thread
for each contestant; all find the same gradients, to 1e-4 of the largest. PyTorch runs convolutions
faster if it is told to keep the channels last in memory; in ours the batch is last.
`{load("lenet")["command"]}`

{contestants("lenet", ["contestant"], "ms")}

## Answers

The logits of 784-256-10. `{load("inference")["command"]}`

{contestants("inference", ["images", "contestant"], "µs")}

## Growth

Time of a training step over batch size, width (of the hidden layer) and depth (hidden layers of
64), and of a chain of ops forward and backward over its length. The exponent is the slope of log
time over log size between the two largest sizes. `{load("growth")["command"]}`

{growth()}
"""


def main():
    (DOCS / "performance.md").write_text(page(), encoding="utf-8")


if __name__ == "__main__":
    main()
