"""Puts the tutorials into a wheel: as texts, since a name with dashes is no module's."""

from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class Tutorials(BuildHookInterface):
    """Adds `tinygrad_mnist/notebooks`, where `tinygrad_mnist.tutorials` looks for them."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """An editable install finds them in the checkout, and needs no copy."""
        if version == "standard":
            for script in Path(self.root, "tutorials").glob("[0-9]*.py"):
                target = f"tinygrad_mnist/notebooks/{script.stem}.txt"
                build_data["force_include"][str(script)] = target
