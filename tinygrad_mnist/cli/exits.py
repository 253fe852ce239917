"""How the command ends: with which code, and in which words."""

from __future__ import annotations

import os
import signal
import sys
import warnings
from contextlib import suppress
from typing import NoReturn

from cyclopts import CycloptsError

from tinygrad_mnist.cli import (  # noqa: F401  registers them
    check,
    log,
    models,
    new,
    predictions,
    train,
)
from tinygrad_mnist.cli.app import UserFileError, app
from tinygrad_mnist.cli.stop import BROKEN_PIPE
from tinygrad_mnist.portable import nobody_reads

USAGE_ERROR, DIVERGED = 2, 3


def main(arguments: list[str] | None = None) -> NoReturn:
    """Run the command line and exit.

    With 0 if it is done, 1 if a check failed, 2 for wrong input, 3 if a training diverged,
    128 + n if signal n ended it.
    """
    from tinygrad_mnist.data import DataWarning
    from tinygrad_mnist.training import DivergenceError

    mistakes = mistakes_of_users()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("always", DataWarning)
            warnings.showwarning = lambda message, *_: print(f"warning: {message}", file=sys.stderr)
            code = app(
                arguments, exit_on_error=False, print_error=False, result_action="return_value"
            )
        sys.stdout.flush()
    except mistakes as error:
        fail(error, USAGE_ERROR)
    except DivergenceError as error:
        fail(error, DIVERGED)
    except MemoryError:
        fail(MemoryError("the memory is not enough for this. Ask for less at once."), USAGE_ERROR)
    except KeyboardInterrupt:
        sys.exit(128 + signal.SIGINT)
    except OSError as error:  # all others have been told apart: this one is of standard output
        discard_output()
        if nobody_reads(error):
            sys.exit(128 + BROKEN_PIPE)
        fail(error, USAGE_ERROR)
    sys.exit(code)


def mistakes_of_users() -> tuple[type[Exception], ...]:
    """The errors whose message is all that a user needs."""
    from tinygrad_mnist.data import DataError
    from tinygrad_mnist.export import ExportError
    from tinygrad_mnist.files import WriteError
    from tinygrad_mnist.owncode import OwnCodeError
    from tinygrad_mnist.store import StoreError
    from tinygrad_mnist.training import RecipeError

    of_files = DataError, ExportError, StoreError, UserFileError, WriteError
    return CycloptsError, OwnCodeError, RecipeError, *of_files


def discard_output() -> None:
    """Let Python forget what nobody reads: at the end it would complain of it."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def fail(error: Exception, code: int) -> NoReturn:
    """Print one line and exit."""
    with suppress(OSError):
        print(f"error: {error}", file=sys.stderr)
    sys.exit(code)
