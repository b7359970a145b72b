"""The facts of a base network that other rooms need; how it computes is the module's own affair.

A base is one file of this room: a linen module, and an `Architecture` that says where the module
can be stopped and started, which layers train at one rate, and how other people's files name its
leaves.
"""

import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import Array

from tljax.data.photos import Size, sides
from tljax.data.preprocess import Prepare
from tljax.errors import InputError
from tljax.files.download import Download
from tljax.files.packaged import Packaged
from tljax.models.field import Field
from tljax.optim.rules import Rules, discriminative
from tljax.tree import Params

Option = float | bool | str
Options = Mapping[str, Option]
Shape = tuple[int, ...]


class Base(Protocol):
    """A linen module that can be run from any cut to any other.

    Maps preprocessed images `[N, H, W, 3]`, or the activations that `start` takes, to `(output of
    stop, out)`; `out` has the output of every cut that ran, by name. `start` and `stop` are both
    included; None is the first and the last. In training `rate` and `keys` `[N]` are what dropout
    of whole branches draws with; a base without any ignores them.
    """

    def __call__(
        self,
        x: Array,
        *,
        train: bool = False,
        start: str | None = None,
        stop: str | None = None,
        rate: Array | float = 0.0,
        keys: Array | None = None,
    ) -> tuple[Array, dict[str, Array]]: ...


# Makes the module of a base from its options, by keyword, with `frozen` and `dtype`; `frozen` has
# slash paths, relative to the base, of layers whose batch statistics stay fixed.
Make = Callable[..., nn.Module]


@dataclass(frozen=True)
class Cut:
    """A place where a base can be stopped and started again: the output of `name`.

    `modules` are the top-level modules with parameters between the cut before and this one. The
    name of each begins with that of its `group`, the layers that train at one rate: group "block5"
    has the modules `block5_conv1`, `block5_conv2` and so on, and is the pattern `base/block5_.*`.
    A group of one module may have its name.
    """

    name: str
    modules: tuple[str, ...] = ()
    group: str = ""


@dataclass(frozen=True)
class Layout:
    """How other people's torch files name and lay out the leaves of a base.

    `options` reads the options of the base from the file's names and shapes; None where the file
    is of another network. `ours` maps a name to our slash path ("layer1_0/conv1/kernel",
    "layer1_0/norm1/mean"; "predictions/kernel" is the top's); "" leaves a leaf out, and a name
    that it does not know comes back as it is, to be reported. `turned` brings an array into our
    layout by `transpose` and `reshape` alone.
    """

    label: str  # for messages: "torchvision's ResNet"
    preprocess: Prepare
    options: Callable[[Mapping[str, Shape]], Options | None]
    ours: Callable[[str], str]
    turned: Callable[[str, Any], Any]
    size: int = 224  # pixels of a side of the photographs it was trained on
    classes: tuple[str, ...] = ()  # of its top, where the file does not say

    def arranged(self, leaves: Mapping[str, Any]) -> dict[str, Any]:
        """Rename a file's arrays to our slash paths and turn them; those to leave out are gone."""
        named = {self.ours(name): leaf for name, leaf in leaves.items()}
        return {path: self.turned(path, leaf) for path, leaf in named.items() if path}


def images_of(size: Size) -> jax.ShapeDtypeStruct:
    """Return shape and dtype of one image as a network takes it."""
    return jax.ShapeDtypeStruct((1, *sides(size), 3), jnp.float32)


def tokens_of(size: Size) -> jax.ShapeDtypeStruct:
    """Return shape and dtype of one text of so many tokens."""
    assert isinstance(size, int)  # a pair is of an image
    return jax.ShapeDtypeStruct((1, size), jnp.int32)


@dataclass(frozen=True)
class Architecture:
    """A base network as the other rooms know it.

    Options are those of `make`, with their defaults. `fine_tune` is the group from which the rung
    `finetune` trains. With `pretrained=False` it is a network for training from scratch, which
    takes no weights. `field_of_view(cut, options)` gives the receptive field of a cut, where it has
    one smaller than the photograph. `example(size)` is what the network takes of one example: an
    image of so many pixels, or so many tokens. `fold(parameters, statistics)` makes parameters of
    the same network without its option `norm`, where batch normalisation can be folded away
    exactly.
    """

    name: str
    cuts: tuple[Cut, ...]  # from input to output
    make: Make
    options: Options = field(default_factory=dict[str, Option])
    least_size: int = 32  # pixels of a side
    layouts: tuple[Layout, ...] = ()
    published: Mapping[str, Download | Packaged] = field(default_factory=dict)
    fine_tune: str = ""
    pretrained: bool = True
    field_of_view: Callable[[str, Options], Field] | None = None
    fold: Callable[[Params, Params], Params] | None = None
    example: Callable[[Size], jax.ShapeDtypeStruct] = images_of  # what it takes, at a size

    def __post_init__(self) -> None:
        for cut in self.cuts:
            for module in cut.modules:
                if not re.fullmatch(self.pattern(cut.group), f"base/{module}/kernel"):
                    raise InputError(
                        f"base {self.name}: cut {cut.name}: expected modules of group "
                        f"{cut.group!r} to be called {cut.group}_..., found {module!r}"
                    )
        if self.fine_tune and self.fine_tune not in self.groups:
            raise InputError(
                f"base {self.name}: fine_tune: expected one of {', '.join(self.groups)}, "
                f"found {self.fine_tune!r}"
            )

    @property
    def names(self) -> tuple[str, ...]:
        """Name the cuts from input to output."""
        return tuple(cut.name for cut in self.cuts)

    @property
    def modules(self) -> tuple[str, ...]:
        """Name the top-level modules with parameters from input to output."""
        return tuple(module for cut in self.cuts for module in cut.modules)

    @property
    def groups(self) -> tuple[str, ...]:
        """Name the groups of layers from input to output."""
        return tuple(dict.fromkeys(cut.group for cut in self.cuts if cut.modules))

    def pattern(self, group: str) -> str:
        """Return a group as a pattern of `optim.rules`; a group may be one module of its name."""
        return f"base/{group}/.*" if group in self.modules else f"base/{group}_.*"

    def patterns(self) -> tuple[str, ...]:
        """Return each group as a pattern of `optim.rules`, from input to output."""
        return tuple(self.pattern(group) for group in self.groups)

    def rules(self, start: str, *, factor: float = 1.0) -> Rules:
        """Make rules that train the head, and the base from `start` on, by group.

        `start` is a group or a cut with parameters. Each group has a rate `factor` times smaller
        than the next; what comes before `start` stays frozen.
        """
        groups, patterns = self.groups, self.patterns()
        starts = [cut.name for cut in self.cuts if cut.modules]
        if start in groups:
            start = next(cut.name for cut in self.cuts if cut.group == start and cut.modules)
        if start not in starts:
            raise InputError(
                f"unfreeze: {self.name} has no layer {start!r}; one of {', '.join(starts)}"
            )
        first = self.cuts[self.names.index(start)].group
        cuts = self.cuts[self.names.index(start) :]
        inside = [module for cut in cuts if cut.group == first for module in cut.modules]
        whole = [module for cut in self.cuts if cut.group == first for module in cut.modules]
        place = groups.index(first)
        opening = patterns[place] if inside == whole else [f"base/{module}/.*" for module in inside]
        freeze = None if start == starts[0] else "base/.*"
        return discriminative(
            [opening, *patterns[place + 1 :], "head/.*"], factor=factor, freeze=freeze
        )

    def frozen_prefix(self, frozen: Collection[str]) -> str | None:
        """Name the last cut before the first layer that trains; None if the first layer trains.

        `frozen` names top-level modules without a trainable parameter.
        """
        last = None
        for cut in self.cuts:
            if not set(cut.modules) <= set(frozen):
                break
            last = cut.name
        return last

    def between(self, start: str | None = None, stop: str | None = None) -> tuple[Cut, ...]:
        """Return the cuts from `start` to `stop`, both included; None is the first and the last.

        InputError for an unknown name or the wrong order.
        """
        first = 0 if start is None else self.place(start)
        last = len(self.cuts) - 1 if stop is None else self.place(stop)
        if first > last:
            raise InputError(
                f"{self.name} cannot run from {start!r} to {stop!r}: {stop!r} comes first"
            )
        return self.cuts[first : last + 1]

    def following(self, cut: str) -> str:
        """Return the cut that takes this one's output; "head" after the last."""
        return (*self.names, "head")[self.place(cut) + 1]

    def place(self, cut: str) -> int:
        """Return the place of a cut, counted from the input; InputError for an unknown name."""
        if cut not in self.names:
            raise InputError(
                f"{self.name} has no layer {cut!r}; its layers are {', '.join(self.names)}"
            )
        return self.names.index(cut)


def within(frozen: frozenset[str], module: str) -> frozenset[str]:
    """Return the frozen paths inside a module, relative to it.

    >>> within(frozenset({"layer1_0/norm1", "stem_norm"}), "layer1_0")
    frozenset({'norm1'})
    """
    inside = f"{module}/"
    return frozenset(path[len(inside) :] for path in frozen if path.startswith(inside))


def torch_turned(path: str, array: Any) -> Any:
    """Turn a torch leaf into our layout: OIHW to HWIO, (out, in) to (in, out), others as they are.

    A depthwise kernel `(C, 1, H, W)` becomes `(H, W, 1, C)`.
    """
    if not path.endswith("/kernel"):
        return array
    if len(array.shape) == 4:
        return array.transpose(2, 3, 1, 0)
    return array.transpose(1, 0) if len(array.shape) == 2 else array
