"""The tutorials as notebooks: scripts with cells, which are easy to read and to compare, become .ipynb for Jupyter."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent


def scripts() -> list[Path]:
    """The scripts in order: in a checkout beside the package, in an installed package inside it."""
    return sorted((HERE.parent / "tutorials").glob("[0-9]*.py")) or sorted(
        (HERE / "tutorials").glob("[0-9]*.py")
    )


def notebook(script: Path) -> Any:
    """A script as a notebook without outputs, solutions folded; links lead to other notebooks, or name files of the documentation."""
    import jupytext

    made = jupytext.read(script)
    made.metadata = {
        "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"}
    }
    for number, cell in enumerate(made.cells):
        cell.id = f"cell-{number}"
        if cell.cell_type == "markdown":
            cell.source = re.sub(
                r"\[([^]]+)\]\(\.\./([\w/.-]+\.md)[^)]*\)", r"\1 (docs/\2)", cell.source
            )
            cell.source = re.sub(r"\]\(([\w-]+)\.md\)", r"](\1.ipynb)", cell.source)
        elif "solution" in cell.metadata.get("tags", []):
            cell.source = f"# One solution. Leave this cell out to check your own.\n{cell.source}"
            cell.metadata["jupyter"] = {"source_hidden": True}
    return made


def write_notebooks(folder: Path) -> list[Path]:
    """Write all tutorials to a folder, which is made if it is missing.

    Raises
    ------
    FileExistsError
        If one of them is there already: it may hold somebody's work.
    """
    import nbformat

    made = {folder / f"{script.stem}.ipynb": notebook(script) for script in scripts()}
    for path in made:
        if path.exists():
            raise FileExistsError(
                f"{path} is there already, perhaps with work of yours in it. Name another folder."
            )
    folder.mkdir(parents=True, exist_ok=True)
    for path, content in made.items():
        path.write_text(nbformat.writes(content) + "\n", encoding="utf-8")
    return list(made)
