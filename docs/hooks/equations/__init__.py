"""Numbered equations, each of them one Python function that is typeset, computed and checked.

    page = Derivation(2, B=2, n=3, m=2)
    page.given("X", "B n")
    page.given("W", "n m")

    @page.define("B m", code=lambda X, W: ops.matmul(X, W))
    def Z(X, W):
        return X @ W

    page.arriving("Z")  # a gradient dZ that comes from later layers

    @page.gradient
    def dW(X, dZ):
        return X.T @ dZ

`page` has what is said about equations, `values` what their names mean, `check` compares both
sides, and `write` is their LaTeX. A definition is compared with the package. Everything else is
compared with the definitions: SymPy differentiates those, and the claim, computed on the same
symbols, must be what comes out.
"""

from equations.check import EquationError
from equations.page import Derivation, equal

__all__ = ["Derivation", "EquationError", "equal"]
