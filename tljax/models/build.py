"""Networks as data, the Flax modules they describe, and fresh variables."""

import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, Literal, get_args

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import Array
from jax.typing import DTypeLike

from tljax.data.photos import Size
from tljax.errors import InputError
from tljax.models import (
    cnn,
    convnext,
    efficientnet_lite,
    mobilenet,
    resnet,
    vgg,
    vit,
)
from tljax.models.architecture import Architecture, Option, Options, images_of
from tljax.models.classifiers import Classifier, TwoHeaded
from tljax.models.dense import DenseHead, levels
from tljax.models.heads import Head
from tljax.models.text import bag, bert, causal
from tljax.models.text.language import LanguageHead
from tljax.tasks.classification import CLASSIFICATION
from tljax.tasks.task import Task
from tljax.tree import Json, Variables

# Every base by name. Another is one file: see docs/howto/base.md.
BASES: dict[str, Architecture] = {
    architecture.name: architecture
    for architecture in (
        cnn.ARCHITECTURE,
        vgg.ARCHITECTURE,
        efficientnet_lite.LITE0,
        efficientnet_lite.LITE1,
        efficientnet_lite.LITE2,
        *resnet.ARCHITECTURES,
        *convnext.ARCHITECTURES,
        mobilenet.V2,
        mobilenet.V3,
        *vit.ARCHITECTURES,
        bag.BAG,
        causal.CAUSAL,
        bert.MINILM,
    )
}


Layers = Literal["last", "all"]
LAYERS: tuple[Layers, ...] = get_args(Layers)  # of the base that a flat head reads

MOST = 4096  # of any option of a base: what a stranger's file asks for must fit into memory
MOST_TOKENS = 1 << 18  # of a vocabulary


@dataclass(frozen=True)
class Network:
    """A base and a head. The defaults are the lecture's rung 3.

    `options` are those of the base where they differ from its `Architecture.options`, such as
    `{"width": 0.25}` of VGG16. A flat head reads the base's output, or the means of all `layers`
    too.
    """

    base: str = "vgg16"
    options: Options = field(default_factory=dict[str, Option])
    hidden: int = 256  # units of the head's hidden layer; 0 is a linear probe
    dropout_flat: bool = False  # dropout before the hidden layer
    dropout_hidden: bool = False  # dropout after the hidden layer
    feature_norm: bool = False  # divide each example's features by their root mean square
    layers: Layers = "last"

    @property
    def architecture(self) -> Architecture:
        """Return what is known of the base; InputError for one that is not known."""
        return named(self.base)

    def on(self, base: str, options: Options) -> "Network":
        """Return the network with its head on another base; one that takes no weights stays."""
        if not self.architecture.pretrained:
            return self
        return replace(self, base=base, options=checked(base, options))

    @property
    def reads(self) -> tuple[str, ...]:
        """Name the layers whose means a flat head reads: those with parameters but the last."""
        cuts = [cut.name for cut in self.architecture.cuts if cut.modules]
        return tuple(cuts[:-1]) if self.layers == "all" else ()


def named(base: str) -> Architecture:
    """Return what is known of a base; InputError for an unknown name."""
    if base not in BASES:
        raise InputError(f"unknown base {base!r}; one of {', '.join(BASES)}")
    return BASES[base]


def checked(base: str, options: Options) -> Options:
    """Return the options of a base that differ from its defaults.

    InputError for a name that it does not have, or a value of another kind or out of range.
    """
    defaults = named(base).options
    for name, value in options.items():
        if name not in defaults:
            raise InputError(
                f"{base}: unknown option {name!r}; one of {', '.join(defaults) or 'none'}"
            )
        kind = type(defaults[name])
        if type(value) is not kind and not (kind is float and type(value) is int):
            raise InputError(
                f"{base}: option {name}: expected {kind.__name__}, found {value!r:.60}"
            )
        # A width, a size or a number of something; 0 where that is the default.
        low = defaults[name] == 0
        most = MOST_TOKENS if name == "vocabulary" else MOST
        if kind in (int, float) and not (0 < float(value) <= most or (low and value == 0)):
            expected = f"{'from 0' if low else 'more than 0'} to {most}"
            raise InputError(f"{base}: option {name}: expected {expected}, found {value!r:.60}")
    return {name: value for name, value in options.items() if value != defaults[name]}


def described(architecture: Json, *, source: str = "") -> tuple[str, Options]:
    """Read `(base, options)` from what a weights file says of its network; see `Weights`.

    InputError, beginning with `source`, for a network that is not known.
    """
    name: Any = architecture.get("name")
    options = {key: value for key, value in architecture.items() if key not in ("name", "size")}
    try:
        return name, checked(name, options)
    except InputError as error:
        raise InputError(f"{source}: {error}" if source else str(error)) from None


def classifier(
    network: Network,
    *,
    classes: int,
    task: Task = CLASSIFICATION,
    frozen: frozenset[str] = frozenset(),
    dtype: DTypeLike = jnp.float32,
) -> Classifier:
    """Build the module for a task with a number of classes.

    `frozen` has paths of the base's layers whose batch statistics stay fixed, with or without the
    `base/` prefix of `optim.rules.frozen_layers`.
    """
    head = HEADS[task.head](network, task, classes, dtype)
    return Classifier(base=base_of(network, frozen=frozen, dtype=dtype), head=head)


def flat_head(network: Network, task: Task, classes: int, dtype: DTypeLike) -> Head:
    """Build the head that flattens the base's output: logits `[N, outputs]`."""
    return Head(
        outputs=task.outputs(classes),
        hidden=network.hidden,
        dropout_flat=network.dropout_flat,
        dropout_hidden=network.dropout_hidden,
        norm=network.feature_norm,
        reads=network.reads,
        dtype=dtype,
    )


def language_head(network: Network, task: Task, classes: int, dtype: DTypeLike) -> LanguageHead:
    """Build the head of the next token at each place: logits `[N, T, outputs]`."""
    _last_alone(network, "the next token")
    return LanguageHead(outputs=task.outputs(classes), dtype=dtype)


def dense_head(network: Network, task: Task, classes: int, dtype: DTypeLike) -> DenseHead:
    """Build the head that reads maps of several strides: logits `[N, h, w, outputs]`.

    It has a quarter of a flat head's hidden units, at each place.
    """
    _last_alone(network, "masks")
    return DenseHead(
        outputs=task.outputs(classes),
        reads=levels(network.architecture, base_of(network)),
        hidden=math.ceil(network.hidden / 4),
        norm=network.feature_norm,
        dropout_hidden=network.dropout_hidden,
        dtype=dtype,
    )


def _last_alone(network: Network, what: str) -> None:
    if network.layers != "last":
        raise InputError(f"{what}: expected a head that chooses its layers, found layers 'all'")


# Heads by the name that a task has for its own (`Task.head`).
HEADS: dict[str, Callable[[Network, Task, int, DTypeLike], nn.Module]] = {
    "flat": flat_head,
    "language": language_head,
    "dense": dense_head,
}


def base_of(
    network: Network, *, frozen: frozenset[str] = frozenset(), dtype: DTypeLike = jnp.float32
) -> nn.Module:
    """Build the module of a network's base."""
    still = frozenset(layer.removeprefix("base/") for layer in frozen)
    # An open set of options, which the architecture names and `checked` has checked.
    options = checked(network.base, network.options)
    return network.architecture.make(frozen=still, dtype=dtype, **options)


def base_variables(variables: Variables) -> Variables:
    """Select the base's variables from those of a classifier, as the base's module takes them."""
    return {kind: tree["base"] for kind, tree in variables.items() if "base" in tree}


def folded(network: Network, base: Variables) -> tuple[Network, Variables]:
    """Fold the batch normalisation of a base's variables away, where its architecture can.

    Returns the network and variables that compute the same without.
    """
    fold = network.architecture.fold
    if fold is None or not base.get("batch_stats"):
        return network, base
    options = {name: value for name, value in network.options.items() if name != "norm"}
    return replace(network, options=options), {"params": fold(base["params"], base["batch_stats"])}


def two_headed(
    network: Network, *, classes: int, others: int, dtype: DTypeLike = jnp.float32
) -> TwoHeaded:
    """Build the module with a second, linear head for a task of `others` classes."""
    if network.layers != "last":
        raise InputError(f"two heads: expected layers 'last', found {network.layers!r}")
    single = classifier(network, classes=classes, dtype=dtype)
    other = Head(outputs=CLASSIFICATION.outputs(others), hidden=0, dtype=dtype)
    return TwoHeaded(base=single.base, head=single.head, other=other)


def init(module: Classifier, *, key: Array, size: Size) -> Variables:
    """Make fresh variables for `size` x `size` images; see `init_like`."""
    return init_like(module, key=key, like=images_of(size))


def init_like(module: nn.Module, *, key: Array, like: jax.ShapeDtypeStruct) -> Variables:
    """Make fresh variables for inputs of this shape: `{"params": {"base", "head"}}`.

    With `norm` there are `batch_stats` too.
    """
    # Run once, so compiled without optimisation: with it, XLA on CPU spends ten times longer on the
    # random draws.
    options = {"xla_backend_optimization_level": 0} if jax.default_backend() == "cpu" else None
    return jax.jit(module.init, compiler_options=options)(key, jnp.zeros(like.shape, like.dtype))
