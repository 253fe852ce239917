"""The command `tinygrad-mnist`: what its commands share."""

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
    """Make a function a command: its docstring becomes the help text, and examples its end."""

    def register(function: F) -> F:
        function.__doc__ = reflowed(function.__doc__)
        epilogue = "\n".join(["Examples:", *(f"  {line}" for line in examples)])
        app.command(function, help_epilogue=epilogue if examples else None)
        return function

    return register


class UserFileError(Exception):
    """Something in a file or value that the user named; the message says what."""


FORMATS = (".csv", ".db", ".json", ".npz", ".npy", ".onnx", ".safetensors", ".png", ".jpg")


def refuse_ending(path: Path | None, right: str, what: str) -> None:
    """Refuse a file name that says another format than what is written, or that some cannot have.

    Raises
    ------
    UserFileError, WriteError
        With another name.
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
    """Make the folder of a file that is to be written; a device, or a pipe, has its place already.

    Raises
    ------
    WriteError
        If it cannot be made or written to.
    """
    from tinygrad_mnist.files import prepare

    if path.is_file() or not path.exists():
        prepare(path.parent)


def verdict(name: str, test: dict[str, Any], images: str = "test images") -> str:
    """How a network did on some images, in one line."""
    return (
        f"{name}: {100 * test['accuracy']:.2f} % of the {images} right "
        f"({test['correct']:,} correct, {test['incorrect']:,} incorrect), "
        f"cross-entropy {test['cross_entropy']:z.4f}."
    )


def warn(notices: Iterable[str]) -> None:
    """Say what people should know, on standard error."""
    for notice in notices:
        tell(f"warning: {notice}")
