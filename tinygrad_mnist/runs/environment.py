"""The software and machine that a result may depend on."""

from __future__ import annotations

import os
import platform
from typing import TYPE_CHECKING, Any

import numpy as np

from tinygrad_mnist import __version__
from tinygrad_mnist.data.errors import printable

if TYPE_CHECKING:
    from collections.abc import Mapping

DECIDING = (
    "tinygrad_mnist", "numpy", "blas", "blas threads", "blas kernels", "processor kind", "system",
)  # fmt: skip
"""Entries on which the last bit of a result may depend."""


def environment(threads: int = 1) -> dict[str, Any]:
    """Software and machine as a dict of texts and numbers; `threads` is that of the recipe."""
    from threadpoolctl import threadpool_info

    built = np.show_config(mode="dicts")
    linked = built["Build Dependencies"]["blas"]
    blas: dict[str, Any] = next(
        (library for library in threadpool_info() if library["user_api"] == "blas"), {}
    )
    return {
        "tinygrad_mnist": __version__,
        "python": platform.python_version(),
        "numpy": np.__version__,
        "blas": f"{linked.get('name', '')} {linked.get('version', '')}".strip(),
        "blas threads": threads,
        "blas kernels": blas.get("architecture", "unknown"),
        "processor kind": (built["SIMD Extensions"].get("found") or ["baseline"])[-1],
        "processors": os.cpu_count(),
        "system": f"{platform.system()} {platform.machine()}",
    }


def differences(then: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """Texts on the `DECIDING` entries that differ between two environments."""
    return [
        f"{name} is {now[name]}, was {printable(str(then.get(name)), 40)}"
        for name in DECIDING
        if now[name] != then.get(name)
    ]
