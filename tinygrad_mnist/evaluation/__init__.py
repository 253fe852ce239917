"""How good a model is. Works on any model that has `predict_proba`."""

from tinygrad_mnist.evaluation.metrics import evaluate, score

__all__ = ["evaluate", "score"]
