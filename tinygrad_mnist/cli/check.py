"""The commands that check and show: compare, gradcheck, bench, tutorials."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, cast

from tinygrad_mnist.cli.app import (
    Arguments,
    Flag,
    Json,
    Settings,
    Shapes,
    UserFileError,
    command,
)
from tinygrad_mnist.cli.streams import say, say_json, say_lines
from tinygrad_mnist.words import counted, quoted

if TYPE_CHECKING:
    from tinygrad_mnist import nn

MOST_ROUNDS = 1000
"""The most rounds of a benchmark."""


@command("tinygrad-mnist compare seed-a-two-hidden")
def compare(recipe: str = "default", *, settings: Settings = (), json: Json = False) -> int:
    """Compare the hand derivation with the tape, term by term, on one batch of digits in float64.

    Parameters
    ----------
    recipe
        The recipe whose network, loss and L2 penalty to use, without dropout.
    settings
        key=value: replaces a value of the recipe. May be repeated.
    json
        Print the table as JSON.
    """
    import numpy as np

    from tinygrad_mnist import bridge
    from tinygrad_mnist.data import load_mnist
    from tinygrad_mnist.training import Recipe, build_model

    chosen = Recipe.load(recipe).changed(settings)
    if "model" in chosen.own:
        raise UserFileError(
            f"This recipe uses the model {chosen.model}, which has no hand derivation to compare "
            "with. Name a recipe of the built-in network; the derivatives of your own are checked "
            f"by tinygrad-mnist gradcheck {quoted(chosen.model)}"
        )
    images, labels = load_mnist(chosen.normalize)
    rng = np.random.default_rng(chosen.seed)
    model = cast("nn.MLP", build_model(chosen, images.shape[1], int(labels.max()) + 1, rng))
    paper = bridge.to_paper(model, chosen.activation, chosen.weight_decay, dtype=np.float64)
    batch = slice(chosen.batch_size)
    comparison = bridge.compare(paper, images[batch].astype(np.float64), labels[batch])
    if json:
        say_json([row._asdict() for row in comparison.rows])
    else:
        say_lines(str(comparison).split("\n"))
    return 0 if comparison.first_divergence is None else 1


@command(
    "tinygrad-mnist gradcheck my_ops.py:cube --shape 3,4",
    "tinygrad-mnist gradcheck my_ops.py:conv --shape 2,8 --shape 3 --arg stride=2",
    "tinygrad-mnist gradcheck my_layers.py:Scale --shape 5,3 --arg features=3",
)
def gradcheck(
    function: str,
    *,
    shape: Shapes,
    arg: Arguments = (),
    seed: int = 0,
    json: Json = False,
) -> int:
    """Check the first and second derivatives of your own code against central differences.

    Parameters
    ----------
    function
        FILE.py:NAME of a function that takes tensors and returns one; or of a module or its class,
        whose parameters are checked as well. The file is run.
    shape
        Shape of an argument, such as 3,4; repeat it for each argument. Values are drawn from a
        normal distribution.
    arg
        NAME=VALUE: a further argument of the function, or of the class of a module; a Python value.
        May be repeated.
    seed
        Decides the values.
    json
        Print the result as JSON.
    """
    from tinygrad_mnist import checking, owncode

    if seed < 0:
        raise UserFileError(f"--seed is a whole number from 0 up, but is {seed}.")
    shapes, options = [checking.shape_of(text) for text in shape], checking.options_of(arg)
    with owncode.opened(function) as target:
        found = checking.check(target, shapes, options, seed)
    if json:
        say_json({"function": function, **found._asdict()})
        return 1 if found.problem else 0
    parameters = len(found.names) - len(shapes)
    also = f" of {counted(len(shapes), 'input')} and {counted(parameters, 'parameter')}"
    for order, agrees in (("first", found.first), ("second", found.second)):
        what = f"{function}: {order} derivatives{also if parameters else ''}"
        if agrees:
            say(f"{what} agree with central differences.")
        elif agrees is not None:
            say_lines(f"{what}: {found.problem}".split("\n"))
    return 1 if found.problem else 0


@command("tinygrad-mnist bench", "tinygrad-mnist bench --rounds 3 --json")
def bench(*, rounds: int = 7, json: Json = False) -> None:
    """Measure the speed on this machine: an epoch of training, one op, the import, an answer.

    This takes about half a minute.

    Parameters
    ----------
    rounds
        Number of times that each is measured; the median counts.
    json
        Print the measurements as JSON.
    """
    from tinygrad_mnist import benchmark
    from tinygrad_mnist.data import load_mnist

    if not 1 <= rounds <= MOST_ROUNDS:
        raise UserFileError(
            f"For a median, --rounds must lie between 1 and {MOST_ROUNDS}, but is {rounds}."
        )
    measured = benchmark.report(benchmark.Training(*load_mnist()), rounds)
    if json:
        say_json(measured, indent=1)
    else:
        say_lines(benchmark.text(measured).split("\n"))


@command(
    "tinygrad-mnist tutorials",
    "tinygrad-mnist tutorials my-notebooks",
    "tinygrad-mnist tutorials --solutions",
)
def tutorials(folder: Path = Path("notebooks"), *, solutions: Flag = False) -> None:
    """Write the tutorials, and the exercises to the derivations, as notebooks for Jupyter.

    Parameters
    ----------
    folder
        The folder; made if it does not exist. Nothing is overwritten. The exercises are in a
        folder of their own inside it.
    solutions
        Write the notebooks with the exercises solved, as NAME-solutions.ipynb.
    """
    from tinygrad_mnist.files import refuse_names
    from tinygrad_mnist.tutorials import write_notebooks

    refuse_names(folder)
    try:
        written = write_notebooks(folder, solutions=solutions)
    except FileExistsError as error:
        raise UserFileError(str(error)) from error
    except OSError as error:
        raise UserFileError(
            f"{folder}: cannot be written to: {error.strerror}. Name another folder."
        ) from error
    say(
        f"{counted(len(written), 'notebook')} are in {folder}. "
        "Open them in your editor, or in the browser:",
        f"pip install notebook && jupyter notebook {quoted(str(folder))}",
    )
