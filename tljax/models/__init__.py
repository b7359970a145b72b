"""Networks: image arrays -> logits."""

from tljax.models.build import Network, classifier, init
from tljax.models.cnn import CNN
from tljax.models.heads import Classifier, Head
from tljax.models.vgg import LAYERS, VGG16, fold_norm

__all__ = [
    "CNN",
    "LAYERS",
    "VGG16",
    "Classifier",
    "Head",
    "Network",
    "classifier",
    "fold_norm",
    "init",
]
