"""The command that writes a starting point for your own code: new."""

from __future__ import annotations

from pathlib import Path

from tinygrad_mnist.cli.app import command
from tinygrad_mnist.cli.streams import say
from tinygrad_mnist.words import quoted


@command("tinygrad-mnist new mine")
def new(folder: Path) -> None:
    """Write an op, a layer, an optimizer and a network to start from, with their tests.

    All of it works as it is. Change it as you like.

    Parameters
    ----------
    folder
        The folder; made if it does not exist. Nothing is overwritten.
    """
    from tinygrad_mnist.starter import write_starting_point

    say(*(folder / name for name in write_starting_point(folder)))
    own = "--model my_net.py:Net --optimizer my_optimizer.py:RMSprop"
    say(
        "README.md says what is in these files. They work as they are:",
        f"cd {quoted(str(folder))}",
        "pip install 'tinygrad-mnist[testing]' pytest && pytest",
        f"tinygrad-mnist train recipe.toml {own}",
    )
