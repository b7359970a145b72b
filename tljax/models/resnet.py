"""ResNet-18, 34 and 50, for torchvision's and timm's files, whose names are the same.

He et al., "Deep Residual Learning for Image Recognition", 2015, arXiv 1512.03385. In a block of
ResNet-50 the second convolution has the stride, as in torchvision and timm, not the first.
"""

import functools
import re
from collections.abc import Callable, Mapping

import flax.linen as nn
import jax.numpy as jnp
from jax import Array
from jax.typing import DTypeLike

from tljax.data.preprocess import TORCH
from tljax.models.architecture import (
    Architecture,
    Cut,
    Layout,
    Options,
    Shape,
    torch_turned,
    within,
)
from tljax.models.branches import Branches, Drop
from tljax.models.convs import Conv
from tljax.models.layers import batch_norm
from tljax.models.pools import max_pool_3x3

WIDTHS = (64, 128, 256, 512)  # channels of the 3 x 3 convolutions, by stage
NORM_EPSILON, NORM_MOMENTUM = 1e-5, 0.9  # torch's BatchNorm2d; it calls 1 - 0.9 the momentum


class ResNet(nn.Module):
    """ResNet without its classifier: preprocessed images `[N, H, W, 3]` to features `[N, C]`.

    `counts` are the blocks of the four stages. The last branch is dropped at `drop_path` times the
    `rate` of the call.
    """

    between: Callable[[str | None, str | None], tuple[Cut, ...]]
    counts: tuple[int, ...]
    bottleneck: bool
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
        """Run the layers from `start` to `stop`, both included; see `Base`."""
        most = self.drop_path * rate if train and self.drop_path else None
        branches, out = Branches(sum(self.counts), most, keys), dict[str, Array]()
        x = x.astype(self.dtype)
        for cut in self.between(start, stop):
            if cut.name == "stem":
                x = Conv(64, 7, stride=2, padding=3, name="stem_conv")(x)
                x = nn.relu(_norm(x, "stem_norm", train=train, frozen=self.frozen))
            elif cut.name == "stem_pool":
                x = max_pool_3x3(x)
            elif cut.name == "pool":
                x = x.mean((1, 2))
            else:
                stage, place = (int(number) for number in cut.name[len("layer") :].split("_"))
                block = Block(
                    width=WIDTHS[stage - 1],
                    stride=2 if place == 0 and stage > 1 else 1,
                    bottleneck=self.bottleneck,
                    frozen=within(self.frozen, cut.name),
                    name=cut.name,
                )
                x = block(x, train=train, drop=branches.drop(sum(self.counts[: stage - 1]) + place))
            out[cut.name] = x
        return x, out


class Block(nn.Module):
    """A residual block: two 3 x 3 convolutions, or with `bottleneck` 1 x 1, 3 x 3 and 1 x 1.

    The input is added; where the shape changes, a strided 1 x 1 convolution of it.
    """

    width: int
    stride: int
    bottleneck: bool
    frozen: frozenset[str]

    @nn.compact
    def __call__(self, x: Array, *, train: bool, drop: Drop) -> Array:
        """Compute the activation after the last relu; `drop` drops the branch."""
        outputs = 4 * self.width if self.bottleneck else self.width
        layers = (
            [(self.width, 1, 1), (self.width, 3, self.stride), (outputs, 1, 1)]
            if self.bottleneck
            else [(self.width, 3, self.stride), (outputs, 3, 1)]
        )
        y = x
        for number, (features, size, stride) in enumerate(layers, start=1):
            y = nn.relu(y) if number > 1 else y
            y = Conv(features, size, stride, padding=size // 2, name=f"conv{number}")(y)
            y = _norm(y, f"norm{number}", train=train, frozen=self.frozen)
        if self.stride > 1 or x.shape[-1] != outputs:
            x = Conv(outputs, 1, self.stride, padding=0, name="down_conv")(x)
            x = _norm(x, "down_norm", train=train, frozen=self.frozen)
        return nn.relu(x + drop(y))


def _norm(x: Array, name: str, *, train: bool, frozen: frozenset[str]) -> Array:
    return batch_norm(
        x, name=name, train=train, frozen=frozen, epsilon=NORM_EPSILON, momentum=NORM_MOMENTUM
    )


def architecture(name: str, *, counts: tuple[int, ...], bottleneck: bool) -> Architecture:
    """Describe the ResNet with this many blocks in each of the four stages."""
    blocks = [f"layer{stage}_{i}" for stage, count in enumerate(counts, 1) for i in range(count)]
    whole = Architecture(
        name=name,
        cuts=(
            Cut("stem", ("stem_conv", "stem_norm"), "stem"),
            Cut("stem_pool", (), "stem"),
            *(Cut(block, (block,), block.partition("_")[0]) for block in blocks),
            Cut("pool", (), "layer4"),
        ),
        make=functools.partial(
            ResNet, lambda start, stop: whole.between(start, stop), counts, bottleneck
        ),
        options={"drop_path": 0.0},
        layouts=(_layout(name, counts, bottleneck),),
        fine_tune="layer4",
    )
    return whole


def _layout(name: str, counts: tuple[int, ...], bottleneck: bool) -> Layout:
    def options(shapes: Mapping[str, Shape]) -> Options | None:
        blocks = {match[0] for leaf in shapes if (match := re.match(r"layer\d\.\d+\.", leaf))}
        expected = {
            f"layer{stage}.{i}." for stage, count in enumerate(counts, 1) for i in range(count)
        }
        widths = [shapes.get(f"layer{stage}.0.conv2.weight", ())[:1] for stage in range(1, 5)]
        same = (
            blocks == expected
            and widths == [(width,) for width in WIDTHS]
            and ("layer1.0.conv3.weight" in shapes) == bottleneck
            and shapes.get("conv1.weight") == (64, 3, 7, 7)
        )
        return {} if same else None

    return Layout(f"torchvision's or timm's {name}", TORCH, options, _ours, torch_turned)


_NORM = {"weight": "scale", "bias": "bias", "running_mean": "mean", "running_var": "var"}
_MODULES = (  # of the files, and ours
    (r"conv1", "stem_conv"),
    (r"bn1", "stem_norm"),
    (r"layer(\d)\.(\d+)\.conv(\d)", r"layer\1_\2/conv\3"),
    (r"layer(\d)\.(\d+)\.bn(\d)", r"layer\1_\2/norm\3"),
    (r"layer(\d)\.(\d+)\.downsample\.0", r"layer\1_\2/down_conv"),
    (r"layer(\d)\.(\d+)\.downsample\.1", r"layer\1_\2/down_norm"),
    (r"fc", "predictions"),
)


def _ours(name: str) -> str:
    module, _, leaf = name.rpartition(".")
    if leaf == "num_batches_tracked":
        return ""
    for pattern, replacement in _MODULES:
        if match := re.fullmatch(pattern, module):
            path = match.expand(replacement)
            leaves = _NORM if "norm" in path else {"weight": "kernel", "bias": "bias"}
            return f"{path}/{leaves[leaf]}" if leaf in leaves else name
    return name


RESNET18 = architecture("resnet18", counts=(2, 2, 2, 2), bottleneck=False)
RESNET34 = architecture("resnet34", counts=(3, 4, 6, 3), bottleneck=False)
RESNET50 = architecture("resnet50", counts=(3, 4, 6, 3), bottleneck=True)
ARCHITECTURES = (RESNET18, RESNET34, RESNET50)
