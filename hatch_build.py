"""Puts into a wheel what lies beside the package: tutorials, exercises, a starting point."""

from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class Beside(BuildHookInterface):
    """Adds `tinygrad_mnist/notebooks` and `tinygrad_mnist/new`, where the package looks for them.

    As texts: a name with dashes is no module's, and the code of the starting point is a user's.
    """

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """An editable install finds them in the checkout, and needs no copy."""
        if version != "standard":
            return
        included = build_data["force_include"]
        for script in Path(self.root, "tutorials").glob("[0-9]*.py"):
            included[str(script)] = f"tinygrad_mnist/notebooks/{script.stem}.txt"
        for script in Path(self.root, "exercises").glob("*.py"):
            included[str(script)] = f"tinygrad_mnist/notebooks/exercises/{script.stem}.txt"
        start = Path(self.root, "starter")
        for name in (start / "FILES").read_text(encoding="utf-8").split():
            included[str(start / name)] = f"tinygrad_mnist/new/{name}.txt"
