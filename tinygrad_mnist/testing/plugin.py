"""A pytest plugin that plants wrong derivative rules and says which of them no test notices.

``pytest -p tinygrad_mnist.testing.plugin --mutate-gradients`` first runs the tests as usual. If all
pass, it takes each of your ops that they call, plants wrong twins of its rules, runs the tests of
that op again, and prints which twins were noticed.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import pytest
from _pytest.runner import runtestprotocol
from hypothesis import settings

from tinygrad_mnist.autodiff import Op
from tinygrad_mnist.testing.mutants import TWINS, Seen, planted, tried
from tinygrad_mnist.testing.search import UNSHRUNK

if TYPE_CHECKING:
    from collections.abc import Generator

PROFILE = "mutate-gradients"
KINDS = (*TWINS, "exchanged")


def pytest_addoption(parser: pytest.Parser) -> None:
    """``--mutate-gradients`` and ``--mutate-threshold``."""
    group = parser.getgroup("tinygrad_mnist", "wrong derivative rules")
    group.addoption(
        "--mutate-gradients",
        action="store_true",
        help="after the tests, plant wrong derivative rules and see which of them a test notices",
    )
    group.addoption(
        "--mutate-threshold",
        type=float,
        default=100.0,
        metavar="PERCENT",
        help="fail if less than this share of the wrong rules is noticed (default: 100)",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Start the plugin if ``--mutate-gradients`` was given."""
    if not config.getoption("mutate_gradients"):
        return
    if getattr(config.option, "numprocesses", None):
        raise pytest.UsageError("--mutate-gradients runs in one process: leave out -n.")
    if not 0 <= config.getoption("mutate_threshold") <= 100:
        raise pytest.UsageError("--mutate-threshold is a share in percent, from 0 to 100.")
    settings.register_profile(PROFILE, settings(), database=None, phases=UNSHRUNK)
    settings.load_profile(PROFILE)
    config.pluginmanager.register(Mutation(config.getoption("mutate_threshold")), "mutation")


class Mutation:
    """The tests of each op, and the outcomes of its mutants."""

    def __init__(self, threshold: float) -> None:
        self.threshold = threshold
        modules = [m for name, m in sys.modules.items() if name.startswith("tinygrad_mnist.")]
        self.known = {value for m in modules for value in vars(m).values() if isinstance(value, Op)}
        self.tests: dict[Op, dict[pytest.Item, None]] = {}
        self.outcomes: list[tuple[str, int, str, bool]] = []

    @property
    def noticed(self) -> int:
        """How many of the mutants a test noticed."""
        return sum(not alive for *_, alive in self.outcomes)

    @property
    def share(self) -> float:
        """The same in percent of all mutants."""
        return 100 * self.noticed / max(1, len(self.outcomes))

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_call(self, item: pytest.Item) -> Generator[None, Any, Any]:
        """Note which ops a test calls."""
        call = Op.__call__

        def noted(op: Op, *args: Any, **params: Any) -> Any:
            if op not in self.known:
                self.tests.setdefault(op, {})[item] = None
            return call(op, *args, **params)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Op, "__call__", noted)
            return (yield)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtestloop(self, session: pytest.Session) -> Generator[None, Any, Any]:
        """After the tests, try every mutant of every op, if all tests have passed."""
        done = yield
        if not session.testsfailed and not session.config.option.collectonly:
            for op, items in list(self.tests.items()):
                if op.differentiable:
                    self._try(op, list(items))
            if self.outcomes and self.share < self.threshold:
                session.testsfailed = 1
        return done

    def _try(self, op: Op, items: list[pytest.Item]) -> None:
        seen = Seen()
        with planted(op, seen.watch):
            for item in items:
                _fails(item)
        for i, kind, alive in tried(op, seen, lambda: any(map(_fails, items))):
            self.outcomes.append((op.name, i, kind, alive))

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        """Print the matrix."""
        write = terminalreporter.write_line
        terminalreporter.section("wrong derivative rules")
        if not self.outcomes:
            write("No rule was tried: a test failed, or none calls an op of your own.")
            return
        width = max(len(name) for name, *_ in self.outcomes) + 2
        write(" " * (width + 8) + "  ".join(KINDS))
        for name, i in dict.fromkeys((name, i) for name, i, *_ in self.outcomes):
            cells = {kind: alive for n, j, kind, alive in self.outcomes if (n, j) == (name, i)}
            words = {True: "ALIVE", False: "noticed", None: "-"}
            row = (f"{words[cells.get(kind)]:<{len(kind)}}" for kind in KINDS)
            write(f"{name:<{width}} arg {i}  " + "  ".join(row))
        verdict = "" if self.share >= self.threshold else "FAILED: "
        counts = f"{self.noticed} of {len(self.outcomes)}"
        write(f"{verdict}{counts} wrong rules noticed: {self.share:.0f} %")
        write(f"asked for: {self.threshold:g} % (--mutate-threshold)")


def _fails(item: pytest.Item) -> bool:
    """Whether a test fails, when it is run once more."""
    if hasattr(item, "_initrequest"):
        item._initrequest()
    return any(report.failed for report in runtestprotocol(item, log=False, nextitem=None))
