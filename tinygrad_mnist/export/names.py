"""The format of an exported file: its name decides, and an option that disagrees is refused."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tinygrad_mnist.export.layers import ExportError

if TYPE_CHECKING:
    from pathlib import Path

ENDINGS = {".onnx": "onnx", ".safetensors": "safetensors", ".npz": "npz"}
"""Ending of a file name -> format."""


def format_of(path: Path | None, asked: str | None = None) -> str:
    """The format to export in: the one asked for, or the one that the file name implies.

    Parameters
    ----------
    path : Path, optional
        The file to write. Its ending may be in capitals.
    asked : {"onnx", "safetensors", "npz"}, optional
        The format that was asked for; it must not contradict the name. With neither, the format is
        safetensors.

    Raises
    ------
    ExportError
        If the two disagree, if the name has an unknown ending, or if it has none and no format was
        asked for.
    """
    ending = path.suffix.lower() if path else ""
    known = ", ".join(ENDINGS)
    if path and path.is_dir():
        raise ExportError(f"{path} is a folder. Name a file in it, such as {path / 'model.onnx'}.")
    if path and ending not in ("", *ENDINGS):
        raise ExportError(
            f"{path}: no format has the ending {ending!r}. Give the file one of {known}."
        )
    if path and not ending and not asked:
        raise ExportError(
            f"{path}: the name has no ending that says which format to write. "
            f"Give it one of {known}, or add --format."
        )
    named = ENDINGS.get(ending)
    if named and asked and asked != named:
        right = path.with_suffix(f".{asked}") if path else ""
        raise ExportError(
            f"{path} is the name of a file in {named}, but --format asks for {asked}. "
            f"Leave out --format, or write --out {right}."
        )
    return asked or named or "safetensors"
