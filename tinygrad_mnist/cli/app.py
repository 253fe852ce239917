"""The command `tinygrad-mnist`: the parts that its subcommands share."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, TypeVar

from cyclopts import App, Parameter

from tinygrad_mnist import __version__
from tinygrad_mnist.cli.streams import tell
from tinygrad_mnist.files import refuse_names
from tinygrad_mnist.words import reflowed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path
from typing import Any

F = TypeVar("F", bound="Callable[..., Any]")

app = App(
    name="tinygrad-mnist",
    version=__version__,
    help="Backpropagation derived twice: "
    "train a network for handwritten digits by hand and by machine.",
    help_format="plaintext",
)

app.register_install_completion_command(
    help="Make the Tab key complete commands, options and choices in your shell."
)

SEVERAL = Parameter(negative="", consume_multiple=True)
HIDDEN = Parameter(show_default=False)
Settings = Annotated[tuple[str, ...], SEVERAL, HIDDEN, Parameter(name="--set")]
Overrides = Annotated[tuple[str, ...], SEVERAL, HIDDEN, Parameter(name="--override")]
Positions = Annotated[tuple[int, ...], SEVERAL, HIDDEN]
Shapes = Annotated[tuple[str, ...], SEVERAL]
Arguments = Annotated[tuple[str, ...], SEVERAL, HIDDEN]
Seeds = Annotated[tuple[int, ...], SEVERAL]
Json = Annotated[bool, Parameter(name="--json", negative="", show_default=False)]
Flag = Annotated[bool, Parameter(negative="", show_default=False)]


def command(*examples: str) -> Callable[[F], F]:
    """Make a function a command: its docstring becomes the help text, which ends with examples."""

    def register(function: F) -> F:
        function.__doc__ = reflowed(function.__doc__)
        epilogue = "\n".join(["Examples:", *(f"  {line}" for line in examples)])
        app.command(function, help_epilogue=epilogue if examples else None)
        return function

    return register


class UserFileError(Exception):
    """A file or value that the user named is wrong; the message says how."""


FORMATS = (".csv", ".db", ".json", ".npz", ".npy", ".onnx", ".safetensors", ".png", ".jpg")


def refuse_ending(path: Path | None, right: str, what: str) -> None:
    """Refuse a file name whose ending belongs to another format, or that Windows cannot have.

    Raises
    ------
    UserFileError, WriteError
        For such a name; the message suggests another.
    """
    if path:
        refuse_names(path)
    ending = path.suffix.lower() if path else ""
    if ending in FORMATS and ending != right:
        raise UserFileError(
            f"{path}: {what} is written here, but the name ends in {ending}. "
            f"Call it {path and path.stem}{right}."
        )


def make_room(path: Path) -> None:
    """Make the folder for a file that will be written; a device or a pipe already has one.

    Raises
    ------
    WriteError
        If the folder cannot be made or written to.
    """
    from tinygrad_mnist.files import prepare

    if path.is_file() or not path.exists():
        prepare(path.parent)


def verdict(name: str, test: dict[str, Any], images: str = "test images") -> str:
    """The results of a network on some images, in one line."""
    return (
        f"{name}: {100 * test['accuracy']:.2f} % of the {images} right "
        f"({test['correct']:,} correct, {test['incorrect']:,} incorrect), "
        f"cross-entropy {test['cross_entropy']:z.4f}."
    )


def warn(notices: Iterable[str]) -> None:
    """Print notices on standard error."""
    for notice in notices:
        tell(f"warning: {notice}")
