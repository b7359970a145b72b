"""Transfer learning as pure functions: the names people import, each looked up when first used.

`import tljax` loads nothing else: the processes that draw critters, and `--help`, want no JAX.
Checkers and editors read the imports under TYPE_CHECKING; a test holds both lists equal.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tljax import data, models, weights
    from tljax.climb import ladder as ladder
    from tljax.config import Plan as Plan
    from tljax.config import Stage as Stage
    from tljax.data import ImageSet as ImageSet
    from tljax.data import ImageSets as ImageSets
    from tljax.data import from_arrays as from_arrays
    from tljax.data.augment import Augment as Augment
    from tljax.data.augment import Photometric as Photometric
    from tljax.data.preprocess import Preprocess as Preprocess
    from tljax.errors import InputError as InputError
    from tljax.inputs import images
    from tljax.inputs.images import Inputs as Inputs
    from tljax.models import Architecture as Architecture
    from tljax.models import Classifier as Classifier
    from tljax.models import Cut as Cut
    from tljax.models import Head as Head
    from tljax.models import Layout as Layout
    from tljax.models import Network as Network
    from tljax.models import classifier as classifier
    from tljax.optim import Cyclic as Cyclic
    from tljax.optim import LowRank as LowRank
    from tljax.optim import OneCycle as OneCycle
    from tljax.optim import OneCycleMomentum as OneCycleMomentum
    from tljax.optim import Optimizer as Optimizer
    from tljax.optim import Piecewise as Piecewise
    from tljax.optim import WarmRestarts as WarmRestarts
    from tljax.optim import WarmupCosine as WarmupCosine
    from tljax.optim import WarmupLinear as WarmupLinear
    from tljax.optim import discriminative as discriminative
    from tljax.optim.objective import Objective as Objective
    from tljax.recipe import fine_tune as fine_tune
    from tljax.recipe import fine_tuning as fine_tuning
    from tljax.recipe import freeze as freeze
    from tljax.recipe import full_recipe as full_recipe
    from tljax.recipe import gradual_unfreezing as gradual_unfreezing
    from tljax.recipe import lr_find as lr_find
    from tljax.recipe import one_cycle as one_cycle
    from tljax.recipe import scaled_batch as scaled_batch
    from tljax.recipe import unfreeze as unfreeze
    from tljax.runs.difference import load_difference as load_difference
    from tljax.runs.difference import save_difference as save_difference
    from tljax.runs.predict import load_run as load_run
    from tljax.train import History as History
    from tljax.train import Ready as Ready
    from tljax.train import Source as Source
    from tljax.train import State as State
    from tljax.train import make_eval_step as make_eval_step
    from tljax.train import make_train_step as make_train_step
    from tljax.train import prepare as prepare
    from tljax.train import train_plan as train_plan
    from tljax.train import train_stage as train_stage
    from tljax.train.outcome.prediction import Prediction as Prediction
    from tljax.train.outcome.trained import Trained as Trained
    from tljax.weights import PreprocessCheck as PreprocessCheck
    from tljax.weights import Weights as Weights
    from tljax.weights import check_preprocess as check_preprocess

    init_classifier = models.init
    inputs_from_images = images.from_images
    load_images = data.load
    load_weights = weights.load
    save_weights = weights.write
    __version__: str

_HOMES = {
    "tljax.config": ("Plan", "Stage"),
    "tljax.data": ("ImageSet", "ImageSets", "from_arrays", "load_images"),
    "tljax.data.augment": ("Augment", "Photometric"),
    "tljax.data.preprocess": ("Preprocess",),
    "tljax.errors": ("InputError",),
    "tljax.models": (
        "Architecture",
        "Classifier",
        "Cut",
        "Head",
        "Layout",
        "Network",
        "classifier",
        "init_classifier",
    ),
    "tljax.runs.difference": ("load_difference", "save_difference"),
    "tljax.runs.predict": ("load_run",),
    "tljax.optim": (
        "Cyclic",
        "LowRank",
        "OneCycle",
        "OneCycleMomentum",
        "Optimizer",
        "Piecewise",
        "WarmRestarts",
        "WarmupCosine",
        "WarmupLinear",
        "discriminative",
    ),
    "tljax.optim.objective": ("Objective",),
    "tljax.recipe": (
        "fine_tune",
        "fine_tuning",
        "freeze",
        "full_recipe",
        "gradual_unfreezing",
        "lr_find",
        "one_cycle",
        "scaled_batch",
        "unfreeze",
    ),
    "tljax.train": (
        "History",
        "Ready",
        "Source",
        "State",
        "make_eval_step",
        "make_train_step",
        "prepare",
        "train_plan",
        "train_stage",
    ),
    "tljax.climb": ("ladder",),
    "tljax.inputs.images": ("Inputs", "inputs_from_images"),
    "tljax.train.outcome.prediction": ("Prediction",),
    "tljax.train.outcome.trained": ("Trained",),
    "tljax.weights": (
        "PreprocessCheck",
        "Weights",
        "check_preprocess",
        "load_weights",
        "save_weights",
    ),
}
_SHORT = {  # what a name is called in its own module, which says of what
    "init_classifier": "init",
    "inputs_from_images": "from_images",
    "load_images": "load",
    "load_weights": "load",
    "save_weights": "write",
}
_HOME = {name: (home, _SHORT.get(name, name)) for home, names in _HOMES.items() for name in names}
__all__ = sorted(_HOME)  # pyright: ignore[reportUnsupportedDunderAll]


if not TYPE_CHECKING:  # else a checker would take any name for one of ours

    def __getattr__(name: str) -> Any:
        if name == "__version__":
            from tljax.version import installed_version

            return installed_version()
        if name not in _HOME:
            raise AttributeError(f"module 'tljax' has no attribute {name!r}")
        home, own = _HOME[name]
        return getattr(import_module(home), own)


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
