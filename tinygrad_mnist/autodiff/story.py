"""What a walk through a graph tells: each step in numbers and in words, as JSON can hold it."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any

import numpy as np

from tinygrad_mnist.autodiff.draw import Layout, numbers
from tinygrad_mnist.autodiff.trace import forward, walks
from tinygrad_mnist.autodiff.variable import Variable

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from tinygrad_mnist.autodiff.trace import Step, Walk

FEW, MANY = 12, 60_000
"""Up to so many numbers are written out; up to so many become a picture; of more, the shape."""
STAYS = {
    "right order": "is the youngest that waits. Everything computed from it has passed on its "
    "share, so its cotangent is complete:",
    "pass on at once": "passes on all that has arrived so far:",
    "visit once": "passes on what has arrived, now and never again:",
    "every path": "passes on this one share alone:",
}


class Story:
    """The way through a graph: tensors, numbered by age, and arrays, each in a list once."""

    def __init__(self, result: Variable, placed: Layout) -> None:
        self.result = result
        self.tensors = placed.tensors[::-1]
        self.called, self.box_of = placed.called, placed.box_of
        self.name = {t: placed.called[t].partition(":")[0] for t in self.tensors}
        self.number = {t: n for n, t in enumerate(self.tensors)}
        self.boxes = {box: n for n, box in enumerate(placed.boxes)}
        self.arrows: dict[tuple[Any, Any], list[int]] = {}
        for n, arrow in enumerate(placed.arrows):
            self.arrows.setdefault((arrow.path[0], arrow.path[-1]), []).append(n)
        self.arrays: list[dict[str, Any]] = []
        self.places: dict[tuple[Any, ...], int] = {}

    def told(self) -> dict[str, Any]:
        """All of it; `page/steps.js` says how it is read."""
        right, *others = walks(self.result)
        box_of, boxes = self.box_of, self.boxes
        return {
            "tensors": [
                {"name": self.name[t], "box": boxes[box_of[t]], "value": self.place(t._data)}
                for t in self.tensors
            ],
            "forward": [
                {"tensor": self.number[t], "text": self.computed(t)} for t in forward(self.tensors)
            ],
            "walks": [self.walk(walk, right) for walk in (right, *others)],
            "arrays": self.arrays,
        }

    def walk(self, walk: Walk, right: Walk) -> dict[str, Any]:
        """A walk, and what comes out differently from the right one."""
        return {
            "name": walk.name,
            "waiting": "Waiting, the next one first" if walk is right else "Not finished yet",
            "steps": [self.step(step, walk) for step in walk.steps],
            "end": self.ending(walk, right),
        }

    def step(self, step: Step, walk: Walk) -> dict[str, Any]:
        """A step of the way back."""
        x, y = step.to, step.tensor
        told: dict[str, Any] = {
            "tensor": self.number[y],
            "cotangent": self.place(step.cotangent),
            "waiting": [self.number[t] for t in step.waiting],
        }
        if x is None:
            return told | {"text": self.taken(step, walk)}
        parts = {"slope": step.slope, "share": step.share, "arrived": step.arrived}
        told |= {key: self.place(array) for key, array in parts.items() if array is not None}
        arrow = self.arrows[self.box_of[x], self.box_of[y]][step.use]
        return told | {"text": self.passed(step), "to": self.number[x], "arrow": arrow}

    def place(self, array: NDArray[Any]) -> int:
        """The place of an array in the list."""
        key = array.shape, array.dtype.str, array.tobytes()
        if key not in self.places:
            self.places[key] = len(self.arrays)
            self.arrays.append(written(array))
        return self.places[key]

    # ---------------------------------------------------------------- in words

    def computed(self, t: Any) -> str:
        """A step forward."""
        given = " and ".join(
            self.name[x] if isinstance(x, Variable) else numbers(x) for x in t.inputs
        )
        return f"Forward: {t.op.name} of {given} gives {self.name[t]}, {shown(t._data)}."

    def taken(self, step: Step, walk: Walk) -> str:
        """A tensor whose turn it is."""
        y = self.name[step.tensor]
        if step.tensor is self.result:
            return (
                f"Backward: we start at {y}. It changes exactly as much as it changes, "
                "so its cotangent is 1."
            )
        return f"{y} {STAYS[walk.name]} {shown(step.cotangent)}."

    def passed(self, step: Step) -> str:
        """A share that is passed on."""
        y, x = self.name[step.tensor], self.name[step.to]
        if step.slope is None:
            said = f"{y} passes {x} its share"
        else:
            product = f"{shown(step.slope)} × {shown(step.cotangent)} = {shown(step.share)}"
            said = f"{y} passes {x} the local slope times its cotangent, {product}"
        if np.array_equal(step.share, step.arrived):
            return f"{said}."
        return f"{said}. With what came before, {x} has {shown(step.arrived)}."

    def ending(self, walk: Walk, right: Walk) -> str:
        """What a walk has found in the end."""
        rules = f"{walk.applied:,} rules".replace(",", "\u202f")
        if not walk.complete:
            return (
                f"We stop here, after {len(walk.steps)} steps. The whole walk applies {rules}; "
                f"in the right order, {right.applied} are enough."
            )
        wrong = [
            f"The gradient of {self.name[x]} came out as {shown(g)}, "
            f"but it is {shown(right.gradients[x])}."
            for x, g in walk.gradients.items()
            if not np.allclose(g, right.gradients[x])
        ]
        verdict = " ".join(wrong) or "All gradients are right."
        return f"The walk is over: {rules} were applied. {verdict}"


def shown(array: NDArray[Any]) -> str:
    """An array in a sentence."""
    if array.size == 1:
        return f"{array.item():.6g}"
    return numbers(array) if array.size <= FEW else f"an array of shape {array.shape}"


def written(array: NDArray[Any]) -> dict[str, Any]:
    """An array as JSON can hold it; in a picture, each number is a byte from -127 to 127."""
    told: dict[str, Any] = {"shape": list(array.shape)}
    if array.size <= FEW:
        finite = np.isfinite(array).ravel()
        flat = array.ravel().tolist()
        return told | {"numbers": [x if ok else str(x) for x, ok in zip(flat, finite, strict=True)]}
    most = float(np.abs(array).max())
    told["most"] = most if np.isfinite(most) else str(most)
    if array.size <= MANY and np.isfinite(most):
        scaled = np.rint(array * (127 / most) if most else array).astype(np.int8)
        told["picture"] = base64.b64encode(scaled.tobytes()).decode()
    return told
