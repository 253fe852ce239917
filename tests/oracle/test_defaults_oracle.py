"""The defaults of what has PyTorch's name are PyTorch's."""

import importlib
import inspect

import pytest

torch = pytest.importorskip("torch")

ROOMS = ("nn", "nn.functional", "nn.init", "nn.utils", "optim", "optim.lr_scheduler")
OTHERWISE = {  # PyTorch's None means what is written out here
    "nn.Linear(dtype=)",
    "nn.init.Tensor.backward(retain_graph=)",
}


def pairs():
    """Name and both functions of everything that both libraries have."""
    for room in ROOMS:
        ours = importlib.import_module(f"tinygrad_mnist.{room}")
        theirs = importlib.import_module(f"torch.{room}")
        for name, value in vars(ours).items():
            home = getattr(value, "__module__", None) or ""
            if home.startswith("tinygrad_mnist") and callable(getattr(theirs, name, None)):
                yield f"{room}.{name}", value, getattr(theirs, name)
                methods = vars(value) if inspect.isclass(value) else {}
                for method in methods:
                    if not method.startswith("_") and hasattr(getattr(theirs, name), method):
                        both = (getattr(kind, method) for kind in (value, getattr(theirs, name)))
                        yield (f"{room}.{name}.{method}", *both)


def defaults(function):
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):  # written in C
        return {}
    return {p.name: p.default for p in parameters if p.default is not p.empty}


SHARED = {
    f"{name}({key}=)": (ours[key], theirs[key])
    for name, *both in pairs()
    for ours, theirs in [map(defaults, both)]
    for key in ours.keys() & theirs.keys()
}


@pytest.mark.parametrize("place", sorted(SHARED.keys() - OTHERWISE))
def test_a_default_is_pytorchs(place):
    ours, theirs = SHARED[place]
    assert ours == theirs


def test_where_pytorch_has_none_is_known():
    assert {place for place, (ours, theirs) in SHARED.items() if ours != theirs} == OTHERWISE
    assert len(SHARED) > 60
