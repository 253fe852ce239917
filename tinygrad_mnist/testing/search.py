"""Search for the smallest case that fails, using Hypothesis, and for the cause of the failure."""

from __future__ import annotations

from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

from hypothesis import Phase, given, settings
from hypothesis.errors import Flaky

from tinygrad_mnist.autodiff.causes import UNKNOWN
from tinygrad_mnist.testing.failures import CAUSE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from hypothesis import strategies as st

    Failure = tuple[Any, AssertionError]

UNSHRUNK = (Phase.explicit, Phase.generate)
MORE = 20
"""The number of cases drawn after a failure to explain it."""
_phases: ContextVar[tuple[Phase, ...] | None] = ContextVar("_phases", default=None)


@contextmanager
def unshrunk() -> Iterator[None]:
    """Accept any case that fails, where it only matters whether there is one."""
    token = _phases.set(UNSHRUNK)
    try:
        yield
    finally:
        _phases.reset(token)


class Found(Exception):
    """Raised to report a case that fails."""


def searched(
    holds: Callable[[Any], None],
    strategy: st.SearchStrategy[Any],
    variety: Callable[[Any], int],
) -> Failure | None:
    """The smallest case for which `holds` fails, and why; None if there is none.

    The smallest case may have several explanations: at x = -1, for example, reading the input in
    place of the output looks like a wrong sign. So the cause is taken from a case with more
    different numbers.

    Parameters
    ----------
    holds : callable
        Raises AssertionError for a case that fails.
    strategy : strategy
        Draws the cases.
    variety : callable
        Returns the number of different numbers in a case.
    """
    failures: list[Failure] = []

    def look(drawn: Any) -> None:
        if (failed := failure(holds, drawn)) is not None:
            failures.append(failed)
            raise Found

    def look_on(drawn: Any) -> None:
        failures.extend(filter(None, [failure(holds, drawn)]))

    # All searches have one key in Hypothesis's database: it would replay the cases of other ops.
    how = settings(deadline=None, report_multiple_bugs=False, database=None)
    if phases := _phases.get():
        how = settings(how, phases=phases)
    try:
        _draw(look, strategy, how)
    except (Found, Flaky):
        smallest = failures[-1]
        if not phases:
            _draw(look_on, strategy, settings(how, phases=[Phase.generate], max_examples=MORE))
        return _explained(smallest, failures, variety)
    return None


def _draw(look: Callable[[Any], None], strategy: st.SearchStrategy[Any], how: settings) -> None:
    how(given(strategy)(lambda drawn: look(drawn)))()


def failure(holds: Callable[[Any], None], drawn: Any) -> Failure | None:
    """A case and its error, if it fails; otherwise None."""
    try:
        holds(drawn)
    except AssertionError as error:
        return drawn, error
    return None


def _explained(
    smallest: Failure, failures: list[Failure], variety: Callable[[Any], int]
) -> Failure:
    """The smallest case, with the cause taken from a more telling one."""

    def telling(failed: Failure) -> tuple[bool, bool, int]:
        numbers = variety(failed[0])
        return numbers > 2, UNKNOWN not in str(failed[1]), numbers

    drawn, error = smallest
    alike = [failed for failed in failures if _kind(failed) == _kind(smallest)]
    _, most = max(alike, key=telling)
    seen, cause = str(error).partition(CAUSE)[0], "".join(str(most).partition(CAUSE)[1:])
    return drawn, type(error)(seen + cause)


def _kind(failed: Failure) -> tuple[type, str]:
    """The type of the error and the first words of what was seen."""
    return type(failed[1]), str(failed[1])[:12]
