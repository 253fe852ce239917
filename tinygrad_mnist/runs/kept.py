"""Trainings that are finished while others are not yet: kept on disk, for when one goes on."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from tinygrad_mnist.files import WriteError, write
from tinygrad_mnist.runs.environment import DECIDING, environment

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from tinygrad_mnist.training.recipe import Recipe


def identity(recipe: Recipe, code: Mapping[str, Mapping[str, str]]) -> dict[str, Any]:
    """All that decides the outcome of a training: recipe, sums of code of one's own, software."""
    here = environment(recipe.threads)
    deciding = {name: here[name] for name in DECIDING}
    whole = {"recipe": asdict(recipe), "code": code, "environment": deciding}
    same: dict[str, Any] = json.loads(json.dumps(whole, default=str))
    return same


class Kept:
    """What finished trainings came to, in a file that is whole at any time.

    Parameters
    ----------
    path : Path or None
        The file, which need not exist; None keeps nothing.

    Raises
    ------
    WriteError
        If it exists and is something else.
    """

    def __init__(self, path: Path | None) -> None:
        self.path = path
        self.entries = _read(path) if path and path.exists() else []

    def find(self, identity: Mapping[str, Any]) -> dict[str, Any] | None:
        """What a training came to, if it is here."""
        for entry in self.entries:
            if entry["of"] == identity:
                run: dict[str, Any] = entry["run"]
                return run
        return None

    def add(self, identity: Mapping[str, Any], run: Mapping[str, Any]) -> None:
        """Keep what a training came to."""
        self.entries.append({"of": identity, "run": run})
        if self.path:
            write(self.path, json.dumps(self.entries, indent=1) + "\n")


def _read(path: Path) -> list[dict[str, Any]]:
    try:
        entries: list[dict[str, Any]] = json.loads(path.read_text(encoding="utf-8"))
        for entry in entries:
            of, run = entry["of"], entry["run"]
            numbers = [run[part]["accuracy"] for part in ("training", "validation", "test")]
            numbers += [run["training_seconds"], run["seed"]]
            if not (isinstance(of, dict) and all(type(n) in (int, float) for n in numbers)):
                raise TypeError
    except OSError as error:
        raise WriteError(f"{path}: cannot be read: {error.strerror}.") from error
    except (ValueError, LookupError, TypeError, RecursionError) as error:
        raise WriteError(
            f"{path}: not what an interrupted reproduce leaves. Remove it, or choose another --out."
        ) from error
    return entries
