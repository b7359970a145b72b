"""Networks: image arrays -> logits."""

from tljax.models.architecture import Architecture, Cut, Layout
from tljax.models.build import BASES, Network, classifier, init
from tljax.models.classifiers import Classifier
from tljax.models.cnn import CNN
from tljax.models.heads import Head
from tljax.models.vgg import LAYERS, VGG16, fold_norm

__all__ = [
    "BASES",
    "CNN",
    "LAYERS",
    "VGG16",
    "Architecture",
    "Classifier",
    "Cut",
    "Head",
    "Layout",
    "Network",
    "classifier",
    "fold_norm",
    "init",
]
