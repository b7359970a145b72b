"""Transfer learning as pure functions: the names people import."""

from tljax.config import Augment, Network, Optimizer, Stage, WarmupCosine
from tljax.data import ImageSet, ImageSets, load
from tljax.data.preprocess import Preprocess
from tljax.errors import InputError
from tljax.models import classifier, init
from tljax.optim import discriminative
from tljax.train import History, State, train_stage
from tljax.weights import Weights, read, write

__all__ = [
    "Augment",
    "History",
    "ImageSet",
    "ImageSets",
    "InputError",
    "Network",
    "Optimizer",
    "Preprocess",
    "Stage",
    "State",
    "WarmupCosine",
    "Weights",
    "classifier",
    "discriminative",
    "init",
    "load",
    "read",
    "train_stage",
    "write",
]
