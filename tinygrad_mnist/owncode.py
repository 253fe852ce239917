"""Your own code: a file is run as Python would import it, and its errors become one line."""

from __future__ import annotations

import hashlib
import importlib
import importlib.machinery
import importlib.util
import inspect
import re
import sys
import traceback
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

REFERENCE = re.compile(r"(?P<file>.+\.py|[A-Za-z_]\w*(?:\.\w+)*):(?P<name>[A-Za-z_]\w*)", re.ASCII)
"""``FILE.py:NAME`` or ``package.module:NAME``."""
LONGEST = 500
"""The most characters of a reference."""
EXAMPLE = re.compile(r"tinygrad_mnist\.examples(\.[A-Za-z_]\w*)+:[A-Za-z_]\w*", re.ASCII)
"""References to the package's own examples, which a recipe may name."""
PACKAGES = {"site-packages", "dist-packages"}
"""Names of the folders of installed packages."""


class OwnCodeError(Exception):
    """Your own code cannot be used; the message says why."""


def is_reference(text: str) -> bool:
    """Whether a text has the form of a reference, and can be printed unchanged on one line."""
    return len(text) <= LONGEST and text.isprintable() and bool(REFERENCE.fullmatch(text))


def is_example(reference: str) -> bool:
    """Whether a reference has the form of one to an example of the package."""
    return bool(EXAMPLE.fullmatch(reference)) and not reference.partition(":")[0].endswith(".py")


def reference_to(own: Any) -> str:
    """``module:NAME`` of a class or function, or of the class of anything else."""
    made = _made_of(own)
    name = re.sub(r"\W", "_", made.__qualname__)
    return f"{made.__module__}:{name}"


def sums_of(own: Any) -> dict[str, str]:
    """SHA-256 of the file that a class or function is in, or the class of anything else.

    The result also has the files that it imports from the same folder and from folders inside it,
    unless they are installed packages. Names are relative to that folder. The result is empty for
    code that was typed in, or that belongs to this package.
    """
    made = _made_of(own)
    module = sys.modules.get(made.__module__)
    path = _file_of(module)
    if path is None or made.__module__.startswith("tinygrad_mnist."):
        return {}
    folder, found, waiting = path.parent, {path: module}, [module]
    while waiting:
        for value in list(vars(waiting.pop()).values()):
            of = value if inspect.ismodule(value) else sys.modules.get(_home(value))
            file = _file_of(of)
            if file and file not in found and _beside(file, folder):
                found[file] = of
                waiting.append(of)
    return {file.relative_to(folder).as_posix(): _sha256(file) for file in sorted(found)}


def _made_of(own: Any) -> Any:
    """The class or function itself; for anything else, its class."""
    while isinstance(own, partial):
        own = own.func
    return own if hasattr(own, "__qualname__") else type(own)


def _home(value: Any) -> str:
    """The name of the module that defines `value`; for an op, the module of its function."""
    made = getattr(value, "forward", value) if not isinstance(value, type) else value
    name = getattr(made, "__module__", None)
    return name if isinstance(name, str) else ""


def _file_of(module: Any) -> Path | None:
    name = getattr(module, "__file__", None)
    path = Path(name).resolve() if isinstance(name, str) else None
    return path if path and path.suffix == ".py" and path.is_file() else None


def _beside(file: Path, folder: Path) -> bool:
    """Whether a file belongs to the code in a folder and is not in an installed package."""
    return folder in file.parents and not PACKAGES & set(file.parts)


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


@contextmanager
def opened(reference: str) -> Iterator[Callable[..., Any]]:
    """The function or class that a reference names. A file is run as Python would import it.

    Inside the with block its folder is the first place to import from, and ``__name__`` is the name
    of the file. After the block everything is as before, except that modules of a package stay
    imported.

    Raises
    ------
    OwnCodeError
        If there is no such file, module or name, or running it fails.
    """
    found = REFERENCE.fullmatch(reference)
    if found and not found["file"].endswith(".py"):
        yield _from_package(found["file"], found["name"])
        return
    file, _, name = reference.rpartition(":")
    path = Path(file)
    if not file or not path.is_file():
        raise OwnCodeError(f"Write FILE.py:NAME; there is no file {file or reference!r}.")
    modules, search = set(sys.modules), list(sys.path)
    folder = path.resolve().parent
    sys.path.insert(0, str(folder))
    try:
        module = _run(path)
        yield _named(module, name, file)
    finally:
        sys.path[:] = search
        for added in set(sys.modules) - modules:
            origin = getattr(sys.modules[added], "__file__", None)
            if origin and folder in Path(origin).resolve().parents:
                del sys.modules[added]


def _from_package(dotted: str, name: str) -> Callable[..., Any]:
    try:
        with told(dotted):
            module = importlib.import_module(dotted)
    except OwnCodeError as error:
        if isinstance(error.__cause__, ModuleNotFoundError) and dotted.startswith(
            error.__cause__.name or "?"
        ):
            raise OwnCodeError(
                f"There is no module {dotted!r} to import. Write FILE.py:NAME for a file, "
                "or install the package that it is in."
            ) from error
        raise
    return _named(module, name, dotted)


def _named(module: Any, name: str, where: str) -> Callable[..., Any]:
    found: Any = vars(module).get(name)
    if callable(found):
        return found
    own = [key for key, value in vars(module).items() if _is_of(value, module)]
    raise OwnCodeError(
        f"{where} has no function {name!r}. It has {', '.join(own)[:200] or 'none'}."
    )


def _run(path: Path) -> Any:
    """Run a file and return its module."""
    taken = path.stem in sys.modules or path.stem in sys.stdlib_module_names
    name = f"own_{path.stem}" if taken else path.stem
    loader = importlib.machinery.SourceFileLoader(name, str(path.resolve()))
    spec = importlib.machinery.ModuleSpec(name, loader, origin=str(path))
    module = importlib.util.module_from_spec(spec)
    vars(module)["__file__"] = str(path)
    sys.modules[name] = module
    with told(path):  # without a cache beside the file, so that edits are always run
        exec(loader.source_to_code(path.read_bytes(), str(path)), vars(module))  # noqa: S102
    return module


def _is_of(value: Any, module: Any) -> bool:
    """Whether a callable was made in a file: a function, a class, an op, a layer."""
    made_in = getattr(getattr(value, "forward", value), "__module__", None)
    return callable(value) and made_in == module.__name__


def fits(
    function: Any, given: Sequence[Any], options: Mapping[str, Any], hints: tuple[str, str]
) -> None:
    """Check that a function takes these arguments.

    Parameters
    ----------
    function : callable
        The function; only its signature is read.
    given, options : sequence, mapping
        Arguments by position and by name.
    hints : tuple of str
        The way out if a name is unknown, and the way out if the arguments do not fit.

    Raises
    ------
    OwnCodeError
        If it does not take them.
    """
    name = getattr(function, "__qualname__", str(function))
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):  # a built-in function has no signature
        return
    anything = any(p.kind is p.VAR_KEYWORD for p in signature.parameters.values())
    unknown = [] if anything else [key for key in options if key not in signature.parameters]
    if unknown:
        raise OwnCodeError(f"{name} takes no {unknown[0]!r}: it is {name}{signature}. {hints[0]}")
    try:
        signature.bind(*given, **options)
    except TypeError as error:
        raise OwnCodeError(f"{name}{signature} does not fit: {error}. {hints[1]}") from error


@contextmanager
def told(whose: Any, within: Sequence[Any] = ()) -> Iterator[None]:
    """Turn an error of other people's code into an OwnCodeError of one line that names the code.

    Errors of the package that already explain themselves are not changed, and if functions `within`
    are given, neither are errors that did not come from one of them.
    """
    try:
        yield
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # also SystemExit: ending here would look like success
        codes = {function.__code__ for function in within}
        came = {frame.f_code for frame, _ in traceback.walk_tb(error.__traceback__)}
        if codes and not codes & came:
            raise
        frames = traceback.extract_tb(error.__traceback__)
        at = [frame for frame in frames if _is_own(frame)]
        ours = type(error).__module__.startswith("tinygrad_mnist.")
        if ours or (isinstance(error, SystemExit) and not _is_own(frames[-1])):
            raise
        where = f" in line {at[-1].lineno} of {Path(at[-1].filename).name}" if at else ""
        what = str(error).split("\n")[0][:200]
        did = "when it was run" if isinstance(whose, Path | str) else "when it was called"
        raise OwnCodeError(
            f"{name_of(whose)} raised {type(error).__name__}{where} {did}: {what or 'no message'}"
        ) from error


def _is_own(frame: traceback.FrameSummary) -> bool:
    inside = (str(Path(__file__).parent), str(Path(np.__file__).parent), "<")
    return not frame.filename.startswith(inside)


def name_of(whose: Any) -> str:
    """The name of a file, function, op, layer or class in messages."""
    if isinstance(whose, Path | str):
        return str(whose)
    whose = _made_of(whose) if isinstance(whose, partial) else whose
    kind = type(whose).__name__
    return str(getattr(whose, "__qualname__", getattr(whose, "name", kind)))
