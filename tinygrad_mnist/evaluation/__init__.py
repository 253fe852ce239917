"""How good a model is, in numbers, pictures and words.

It works on any model with the methods of our networks.
"""

from tinygrad_mnist.evaluation import figures
from tinygrad_mnist.evaluation.calibration import Bin, expected_calibration_error, reliability
from tinygrad_mnist.evaluation.metrics import (
    Predictions,
    classification_report,
    confusion_matrix,
    evaluate,
    examine,
    predict,
    score,
)
from tinygrad_mnist.evaluation.mistakes import most_confident_mistakes
from tinygrad_mnist.evaluation.model_card import model_card, to_markdown
from tinygrad_mnist.evaluation.report import html_report
from tinygrad_mnist.evaluation.saliency import Saliency, first_of_each_class
from tinygrad_mnist.evaluation.show import show_page
from tinygrad_mnist.evaluation.subject import Subject

__all__ = [
    "Bin",
    "Predictions",
    "Saliency",
    "Subject",
    "classification_report",
    "confusion_matrix",
    "evaluate",
    "examine",
    "expected_calibration_error",
    "figures",
    "first_of_each_class",
    "html_report",
    "model_card",
    "most_confident_mistakes",
    "predict",
    "reliability",
    "score",
    "show_page",
    "to_markdown",
]
