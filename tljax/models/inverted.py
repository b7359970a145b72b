"""Networks of inverted residual blocks: the one module of EfficientNet-Lite and the MobileNets.

Sandler et al., "MobileNetV2: Inverted Residuals and Linear Bottlenecks", 2018, arXiv 1801.04381.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import flax.linen as nn
import jax.numpy as jnp
from jax import Array
from jax.typing import DTypeLike

from tljax.models.architecture import Architecture, Cut, Shape, within
from tljax.models.branches import Branches, Drop
from tljax.models.convs import Conv, Padding
from tljax.models.layers import batch_norm

Activation = Callable[[Array], Array]


@dataclass(frozen=True)
class Maker:
    """What differs between those who trained the same network."""

    same: bool  # TensorFlow's padding; else torch's, alike on all sides
    epsilon: float  # of the batch normalisation
    momentum: float

    def padding(self, size: int) -> Padding:
        """Return the padding of a kernel of this size."""
        return "SAME" if self.same else size // 2


MAKERS = {
    # Of TensorFlow's TPU models, and of the files that others converted from them.
    "tf": Maker(same=True, epsilon=1e-3, momentum=0.99),
    # torch's defaults; its momentum of 0.1 is our 0.9.
    "torch": Maker(same=False, epsilon=1e-5, momentum=0.9),
    # torchvision's MobileNetV3.
    "torchvision-v3": Maker(same=False, epsilon=1e-3, momentum=0.99),
}


@dataclass(frozen=True)
class Block:
    """One inverted residual block."""

    name: str  # "stage2_0": the cut and the module
    expanded: int  # channels between; those of the input need no expansion
    features: int
    size: int = 3  # of the depthwise kernel
    stride: int = 1
    squeezed: int = 0  # channels of squeeze and excitation; 0 is none
    activation: Activation = nn.relu6


@dataclass(frozen=True)
class Plan:
    """A whole network as data."""

    name: str
    blocks: tuple[Block, ...]
    stem: int
    top: int  # channels of the last convolution
    wide: int = 0  # units of a layer after the pooling; 0 is none
    activation: Activation = nn.relu6

    def cuts(self) -> tuple[Cut, ...]:
        """Return the cuts from input to output; the last gives `[N, C]`."""
        return (
            Cut("stem", ("stem_conv", "stem_norm"), "stem"),
            *(Cut(block.name, (block.name,), block.name.split("_")[0]) for block in self.blocks),
            Cut("top", ("top_conv", "top_norm"), "top"),
            Cut("pool", (), "top"),
            *([Cut("wide", ("wide_dense",), "wide")] if self.wide else []),
        )


class Inverted(nn.Module):
    """A base of inverted residual blocks, from any cut to any other; see `Base`.

    With `drop_path` the branch of the last block is dropped at `drop_path` times the stage's rate,
    those before it less: see `Branches`.
    """

    plan: Plan
    maker: Maker
    drop_path: float = 0.0
    frozen: frozenset[str] = frozenset()
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(
        self,
        x: Array,
        *,
        train: bool = False,
        start: str | None = None,
        stop: str | None = None,
        rate: Array | float = 0.0,
        keys: Array | None = None,
    ) -> tuple[Array, dict[str, Array]]:
        """Run the cuts from `start` to `stop`, both included."""
        plan, out = self.plan, dict[str, Array]()
        most = self.drop_path * rate if train and self.drop_path else None
        branches = Branches(len(plan.blocks), most, keys)
        blocks = {block.name: (place, block) for place, block in enumerate(plan.blocks)}
        network = Architecture(plan.name, plan.cuts(), make=Inverted)
        x = x.astype(self.dtype)
        for cut in network.between(start, stop):
            if cut.name in blocks:
                place, block = blocks[cut.name]
                residual = Residual(
                    block, self.maker, within(self.frozen, block.name), name=cut.name
                )
                x = residual(x, train=train, drop=branches.drop(place))
            elif cut.name == "pool":
                x = x.mean((1, 2))
            elif cut.name == "wide":
                x = plan.activation(nn.Dense(plan.wide, dtype=self.dtype, name="wide_dense")(x))
            else:
                x = plan.activation(self._edge(x, cut.name, train))
            out[cut.name] = x
        return x, out

    def _edge(self, x: Array, name: str, train: bool) -> Array:
        """Convolve and normalise: the stem (3 x 3, stride 2) or the top (1 x 1)."""
        features, size, stride = {"stem": (self.plan.stem, 3, 2), "top": (self.plan.top, 1, 1)}[
            name
        ]
        pad = self.maker.padding(size)
        x = Conv(features, size, stride=stride, padding=pad, name=f"{name}_conv")(x)
        return _norm(x, f"{name}_norm", train=train, frozen=self.frozen, maker=self.maker)


class Residual(nn.Module):
    """Expand by 1 x 1, filter each channel by itself, project by 1 x 1; add a fitting input."""

    block: Block
    maker: Maker
    frozen: frozenset[str] = frozenset()

    @nn.compact
    def __call__(self, x: Array, *, train: bool, drop: Drop) -> Array:
        block, y, channels = self.block, x, x.shape[-1]

        def norm(y: Array, name: str) -> Array:
            return _norm(y, name, train=train, frozen=self.frozen, maker=self.maker)

        if block.expanded != channels:
            y = block.activation(norm(Conv(block.expanded, 1, name="expand")(y), "expand_norm"))
        depthwise = Conv(
            block.expanded,
            block.size,
            stride=block.stride,
            padding=self.maker.padding(block.size),
            groups=block.expanded,
            name="depthwise",
        )
        y = block.activation(norm(depthwise(y), "depthwise_norm"))
        if block.squeezed:
            gate = nn.relu(Conv(block.squeezed, 1, bias=True, name="squeeze")(_mean(y)))
            y = y * nn.hard_sigmoid(Conv(block.expanded, 1, bias=True, name="excite")(gate))
        y = norm(Conv(block.features, 1, name="project")(y), "project_norm")
        if block.stride > 1 or block.features != channels:
            return y
        return x + drop(y)


def _norm(x: Array, name: str, *, train: bool, frozen: frozenset[str], maker: Maker) -> Array:
    return batch_norm(
        x, name=name, train=train, frozen=frozen, epsilon=maker.epsilon, momentum=maker.momentum
    )


def _mean(x: Array) -> Array:
    return x.mean((1, 2), keepdims=True)


def rounded(channels: float) -> int:
    """Round channels to a multiple of 8, never down by more than a tenth: the makers' rule.

    >>> rounded(24 * 1.1), rounded(112 * 1.1), rounded(18)
    (24, 120, 24)
    """
    whole = max(8, int(channels + 4) // 8 * 8)
    return whole + 8 if whole < 0.9 * channels else whole


def fits(plan: Plan, shapes: Mapping[str, Shape]) -> bool:
    """Say whether torch shapes, by our paths, are those of the plan's blocks: no more, no fewer."""
    found = {path: tuple(shape) for path, shape in shapes.items() if _KERNEL.fullmatch(path)}
    expected: dict[str, Shape] = {}
    for block in plan.blocks:
        size = (block.size, block.size)
        expected[f"{block.name}/depthwise/kernel"] = (block.expanded, 1, *size)
        expected[f"{block.name}/project/kernel"] = (block.features, block.expanded, 1, 1)
    return found == expected


_KERNEL = re.compile(r"stage\d+_\d+/(depthwise|project)/kernel")
# torch's names of a layer's leaves.
KERNELS = {"weight": "kernel", "bias": "bias"}
STATISTICS = {
    "weight": "scale",
    "bias": "bias",
    "running_mean": "mean",
    "running_var": "var",
    "num_batches_tracked": "",
}


def leaf(layer: str, name: str) -> str:
    """Return our path of a torch leaf of a layer; "" for the count of batches.

    >>> leaf("stem_norm", "running_var"), leaf("stem_conv", "weight")
    ('stem_norm/var', 'stem_conv/kernel')
    """
    ours = (STATISTICS if layer.endswith("norm") else KERNELS).get(name, name)
    return ours and f"{layer}/{ours}"


def timm_name(name: str) -> str:
    """Return our path of a leaf as timm names it; an unknown name comes back as it is."""
    module, _, last = name.rpartition(".")
    if match := re.fullmatch(r"blocks\.(\d+)\.(\d+)\.(.+)", module):
        stage, block, part = match.groups()
        parts = _SEPARABLE if stage == "0" else _INVERTED
        if part in parts:
            return leaf(f"stage{int(stage) + 1}_{block}/{parts[part]}", last)
    return leaf(_OUTSIDE[module], last) if module in _OUTSIDE else name


# The first block has no expansion, so timm's numbers of its layers begin one later.
_GATE = {"se.conv_reduce": "squeeze", "se.conv_expand": "excite"}
_SEPARABLE = _GATE | {
    "conv_dw": "depthwise",
    "bn1": "depthwise_norm",
    "conv_pw": "project",
    "bn2": "project_norm",
}
_INVERTED = _GATE | {
    "conv_pw": "expand",
    "bn1": "expand_norm",
    "conv_dw": "depthwise",
    "bn2": "depthwise_norm",
    "conv_pwl": "project",
    "bn3": "project_norm",
}
_OUTSIDE = {
    "conv_stem": "stem_conv",
    "bn1": "stem_norm",
    "conv_head": "top_conv",
    "bn2": "top_norm",
    "classifier": "predictions",
}
