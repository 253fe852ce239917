"""How the command ends: its exit codes and error messages."""

from __future__ import annotations

import sys
import warnings
from typing import TYPE_CHECKING, NoReturn

from cyclopts import CycloptsError

from tinygrad_mnist.cli import (  # noqa: F401  registers them
    check,
    log,
    models,
    new,
    predictions,
    sweep,
    train,
)
from tinygrad_mnist.cli.app import UserFileError, app
from tinygrad_mnist.cli.ranks import speaks
from tinygrad_mnist.cli.stop import BROKEN_PIPE
from tinygrad_mnist.cli.streams import discard, nobody_reads, ready, tell

if TYPE_CHECKING:
    from pathlib import Path

USAGE_ERROR, DIVERGED = 2, 3


def run(arguments: list[str] | None) -> NoReturn:
    """Run the command line and exit with a code of `tinygrad_mnist.cli.main`."""
    from tinygrad_mnist.data import DataWarning
    from tinygrad_mnist.training import DivergenceError

    ready()
    mistakes = mistakes_of_users()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("always", DataWarning)
            warnings.showwarning = lambda message, *_: tell(f"warning: {message}")
            code = app(
                arguments, exit_on_error=False, print_error=False, result_action="return_value"
            )
        sys.stdout.flush()
    except mistakes as error:
        fail(error, USAGE_ERROR)
    except DivergenceError as error:
        fail(error, DIVERGED)
    except MemoryError:
        fail(MemoryError("there is not enough memory. Ask for less at once."), USAGE_ERROR)
    except OSError as error:  # all others have been handled: this one is of standard output
        discard(sys.stdout)
        if nobody_reads(error):
            sys.exit(128 + BROKEN_PIPE)
        fail(error, USAGE_ERROR)
    sys.exit(code)


def refuse_archive(source: Path) -> None:
    """Say what to do if the package is run from a zip file, where its recipes are not files."""
    if not source.is_file():
        said = "the package is run from an archive. Unpack it, or install it with pip."
        fail(UserFileError(said), USAGE_ERROR)


def mistakes_of_users() -> tuple[type[Exception], ...]:
    """The errors whose message is all that a user needs."""
    from tinygrad_mnist.autodiff import ReplayError
    from tinygrad_mnist.data import DataError
    from tinygrad_mnist.export import ExportError
    from tinygrad_mnist.files import WriteError
    from tinygrad_mnist.owncode import OwnCodeError
    from tinygrad_mnist.store import StoreError
    from tinygrad_mnist.training import RecipeError

    of_files = DataError, ExportError, StoreError, UserFileError, WriteError
    return CycloptsError, OwnCodeError, RecipeError, ReplayError, *of_files


def fail(error: Exception, code: int) -> NoReturn:
    """Print what is wrong in one line, and in another how to continue if that was added; exit."""
    text, first = str(error), f"{error.__cause__}\n"
    advised = text.startswith(first)
    if speaks():
        tell(f"error: {error.__cause__ if advised else text}", *([text[len(first) :]] * advised))
    sys.exit(code)
