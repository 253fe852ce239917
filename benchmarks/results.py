"""Where the measurements are kept: one JSON file per question, with machine, threads, command."""

import json
from pathlib import Path
from statistics import median

from threads import threads

from tinygrad_mnist.benchmark import machine

FOLDER = Path(__file__).parent / "results"
ROUNDS = 7


def save(question, rows, **notes):
    """Write the rows of a table, each a dict, and print them."""
    FOLDER.mkdir(exist_ok=True)
    content = {
        "machine": machine(),
        "threads": threads(),
        "command": f"python benchmarks/{question}.py",
        "rounds": ROUNDS,
        **notes,
        "rows": rows,
    }
    (FOLDER / f"{question}.json").write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    for row in rows:
        print("  ".join(f"{key} {shown(value)}" for key, value in row.items()))


def shown(value):
    return f"{value:.4g}" if isinstance(value, float) else f"{value}"


def load(question):
    """What `save` wrote."""
    return json.loads((FOLDER / f"{question}.json").read_text(encoding="utf-8"))


def compared(times, name, peer):
    """One contestant's time divided by another's: of their shortest times, and of the medians."""
    ratio, medians = (of(times[name]) / of(times[peer]) for of in (min, median))
    return {"ratio": ratio, "medians": medians}


def compared_with(times, name, peers):
    """The entries of `compared` for several peers, whose names are in the keys."""
    return {
        f"{key} to {peer}": value
        for peer in peers
        for key, value in compared(times, name, peer).items()
    }
