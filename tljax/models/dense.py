"""A dense head: class scores for every place of an image, from activations at several strides.

Long, Shelhamer and Darrell, "Fully Convolutional Networks for Semantic Segmentation", 2015, arXiv
1411.4038: coarse activations say what, fine ones say where. They are joined from the top down as in
a feature pyramid (Lin et al. 2017, arXiv 1612.03144).
"""

import functools
import math
from collections.abc import Mapping

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import Array
from jax.typing import DTypeLike

from tljax.errors import InputError
from tljax.models.architecture import Architecture
from tljax.models.convs import Conv
from tljax.models.heads import needed, rms_norm
from tljax.models.layers import dropout
from tljax.tasks.pixels import resized

FINEST = 4  # pixels between places of the finest activation that is read
_SIDE = 256  # of the image on which strides are measured: a power of 2 that every base takes


class DenseHead(nn.Module):
    """Join the activations that it `reads`, from coarse to fine: logits `[N, h, w, outputs]` f32.

    `h` and `w` are those of the finest; the task resizes them to pixels. Each activation is divided
    by the root mean square of each place with `norm`, projected to `hidden` channels, and added to
    the coarser ones before a 3 x 3 convolution with relu. `hidden=0` is the linear head of the
    first paper: the scores of the levels are added. `dropout_hidden` is dropout before the scores.
    """

    outputs: int
    reads: tuple[str, ...]  # layers of the base, from the coarsest to the finest
    hidden: int = 64
    norm: bool = False
    dropout_hidden: bool = False
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(
        self,
        x: Array,
        *,
        activations: Mapping[str, Array],
        train: bool = False,
        rate: Array | float = 0.0,
        keys: Array | None = None,
    ) -> tuple[Array, dict[str, Array]]:
        """Compute the logits and the named activations.

        `activations` are those of `reads`, `[N, h, w, C]` each. `keys` `[N]` are dropout's.
        """
        del x  # the base's output; the coarsest map is among the activations
        out: dict[str, Array] = {}
        joined: Array | None = None
        for number, name in enumerate(self.reads, start=1):
            level = activations[name].astype(self.dtype)
            if self.norm:
                level = rms_norm(level)
            features = self.hidden or self.outputs
            level = Conv(features, 1, bias=True, name=f"level{number}")(level)
            if joined is not None:
                level += resized(joined, (level.shape[1], level.shape[2]))
            if self.hidden:
                level = Conv(self.hidden, 3, bias=True, name=f"join{number}")(nn.relu(level))
                level = nn.relu(level)
            joined = out[f"join{number}"] = level
        assert joined is not None
        if train and self.dropout_hidden:
            joined = dropout(joined, rate=rate, keys=needed(keys))
        logits = joined
        if self.hidden:
            logits = Conv(self.outputs, 1, bias=True, name="predictions")(joined)
        logits = out["predictions"] = logits.astype(jnp.promote_types(logits.dtype, jnp.float32))
        return logits, out


def levels(architecture: Architecture, base: nn.Module, *, finest: int = FINEST) -> tuple[str, ...]:
    """Name the layers that a dense head reads of a base, from the coarsest to the finest.

    For each stride of a power of 2 from `finest` on it is the last layer with a map of it.
    InputError for a base without two of them.
    """
    last: dict[int, str] = {}
    for name, places in _places(architecture.names, base).items():
        last[round(math.log2(_SIDE / places))] = name
    strides = sorted((stride for stride in last if 2**stride >= finest), reverse=True)
    if len(strides) < 2:
        found = ", ".join(last.values()) or "none"
        raise InputError(
            f"masks need a base with maps of two strides of {finest} pixels or more, "
            f"{architecture.name} has {found}"
        )
    return tuple(last[stride] for stride in strides)


@functools.cache
def _places(cuts: tuple[str, ...], base: nn.Module) -> dict[str, int]:
    """Count the rows of each map of a base, in the order of its cuts, on a square image."""
    image = jax.ShapeDtypeStruct((1, _SIDE, _SIDE, 3), jnp.float32)
    (_, out), _ = jax.eval_shape(base.init_with_output, jax.random.key(0), image)
    maps = {name: out[name].shape for name in cuts}  # eval_shape sorts by name
    return {name: shape[1] for name, shape in maps.items() if len(shape) == 4 and shape[1] > 1}
