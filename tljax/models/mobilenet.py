"""MobileNetV2, and MobileNetV3-large with squeeze and excitation and hard swish.

Sandler et al. 2018, arXiv 1801.04381; Howard et al., "Searching for MobileNetV3", 2019, arXiv
1905.02244. Layouts for timm's and torchvision's names.
"""

import functools
import re
from collections.abc import Callable, Mapping
from typing import Any

import flax.linen as nn
import jax.numpy as jnp
from jax.typing import DTypeLike

from tljax.data.preprocess import TORCH
from tljax.errors import InputError
from tljax.models.architecture import Architecture, Layout, Options, Shape, torch_turned
from tljax.models.inverted import (
    MAKERS,
    Block,
    Inverted,
    Maker,
    Plan,
    fits,
    leaf,
    rounded,
    timm_name,
)

# (blocks, stride of the first, expansion, channels)
_V2 = (
    (1, 1, 1, 16),
    (2, 2, 6, 24),
    (3, 2, 6, 32),
    (4, 2, 6, 64),
    (3, 1, 6, 96),
    (3, 2, 6, 160),
    (1, 1, 6, 320),
)
# A line for each stage, of blocks (kernel, channels between, channels, stride).
_V3 = (
    ((3, 16, 16, 1),),
    ((3, 64, 24, 2), (3, 72, 24, 1)),
    ((5, 72, 40, 2), (5, 120, 40, 1), (5, 120, 40, 1)),
    ((3, 240, 80, 2), (3, 200, 80, 1), (3, 184, 80, 1), (3, 184, 80, 1)),
    ((3, 480, 112, 1), (3, 672, 112, 1)),
    ((5, 672, 160, 2), (5, 960, 160, 1), (5, 960, 160, 1)),
)
_SQUEEZED, _SWISH = (3, 5, 6), (4, 5, 6)  # stages with squeeze and excitation, with hard swish
_WIDTHS = (1.0, 0.75, 1.4, 0.5, 0.35, 1.1, 1.2)  # recognised in a file


def plan_v2(width: float = 1.0) -> Plan:
    """Return MobileNetV2 of a width."""
    blocks, channels = list[Block](), rounded(32 * width)
    for stage, (number, stride, expansion, features) in enumerate(_V2, start=1):
        for place in range(number):
            blocks.append(
                Block(
                    name=f"stage{stage}_{place}",
                    expanded=channels * expansion,
                    features=rounded(features * width),
                    stride=1 if place else stride,
                )
            )
            channels = rounded(features * width)
    top = rounded(1280 * max(1.0, width))
    return Plan("mobilenet-v2", tuple(blocks), stem=rounded(32 * width), top=top)


def plan_v3(width: float = 1.0) -> Plan:
    """Return MobileNetV3-large of a width."""
    blocks = [
        Block(
            name=f"stage{stage}_{place}",
            expanded=rounded(expanded * width),
            features=rounded(features * width),
            size=size,
            stride=stride,
            squeezed=rounded(rounded(expanded * width) / 4) if stage in _SQUEEZED else 0,
            activation=nn.hard_swish if stage in _SWISH else nn.relu,
        )
        for stage, row in enumerate(_V3, start=1)
        for place, (size, expanded, features, stride) in enumerate(row)
    ]
    return Plan(
        "mobilenet-v3-large",
        tuple(blocks),
        stem=rounded(16 * width),
        top=rounded(960 * width),
        wide=1280,
        activation=nn.hard_swish,
    )


def make_v2(
    *,
    width: float = 1.0,
    maker: str = "torch",
    drop_path: float = 0.0,
    frozen: frozenset[str] = frozenset(),
    dtype: DTypeLike = jnp.float32,
) -> Inverted:
    """Make MobileNetV2; `maker` is one of `inverted.MAKERS`."""
    return Inverted(plan_v2(width), _maker(maker), drop_path, frozen, dtype)


def make_v3(
    *,
    width: float = 1.0,
    maker: str = "torchvision-v3",
    drop_path: float = 0.0,
    frozen: frozenset[str] = frozenset(),
    dtype: DTypeLike = jnp.float32,
) -> Inverted:
    """Make MobileNetV3-large; `maker` is one of `inverted.MAKERS`."""
    return Inverted(plan_v3(width), _maker(maker), drop_path, frozen, dtype)


def _maker(name: str) -> Maker:
    if name not in MAKERS:
        raise InputError(f"maker: expected one of {', '.join(MAKERS)}, found {name!r}")
    return MAKERS[name]


def _torchvision(
    plan: Plan, parts: Mapping[str, str], outside: Mapping[str, str], name: str
) -> str:
    """Return our path of a leaf as torchvision names it; an unknown name comes back as it is."""
    module, _, last = name.rpartition(".")
    if match := re.fullmatch(r"features\.(\d+)\.(?:conv|block)\.(.+)", module):
        place, part = int(match[1]) - 1, match[2]
        if 0 <= place < len(plan.blocks):
            block = plan.blocks[place].name
            # The first block has no expansion: its numbers begin with the depthwise layer.
            known = parts if place else _FIRST
            if part in known:
                return leaf(f"{block}/{known[part]}", last)
    return leaf(outside[module], last) if module in outside else name


_FIRST = {
    "0.0": "depthwise",
    "0.1": "depthwise_norm",
    "1": "project",  # V2
    "2": "project_norm",
    "1.0": "project",  # V3
    "1.1": "project_norm",
}
_SHARED = {
    "0.0": "expand",
    "0.1": "expand_norm",
    "1.0": "depthwise",
    "1.1": "depthwise_norm",
}
_V2_PARTS = _SHARED | {"2": "project", "3": "project_norm"}
_V3_PARTS = _SHARED | {
    "2.fc1": "squeeze",
    "2.fc2": "excite",
    "2.0": "project",  # of a block without squeeze and excitation
    "2.1": "project_norm",
    "3.0": "project",
    "3.1": "project_norm",
}
_STEM = {"features.0.0": "stem_conv", "features.0.1": "stem_norm"}
_V2_OUTSIDE = _STEM | {
    "features.18.0": "top_conv",
    "features.18.1": "top_norm",
    "classifier.1": "predictions",
}
_V3_OUTSIDE = _STEM | {
    "features.16.0": "top_conv",
    "features.16.1": "top_norm",
    "classifier.0": "wide_dense",
    "classifier.3": "predictions",
}


def _timm_v3(name: str) -> str:
    """Return our path of a leaf as timm names it: its last stage is our top."""
    module, _, last = name.rpartition(".")
    tops = {"blocks.6.0.conv": "top_conv", "blocks.6.0.bn1": "top_norm", "conv_head": "wide_dense"}
    return leaf(tops[module], last) if module in tops else timm_name(name)


def _turned(path: str, array: Any) -> Any:
    """Turn a torch leaf into our layout; timm's wide layer is a convolution, ours a matrix."""
    turned = torch_turned(path, array)
    return turned.reshape(turned.shape[-2:]) if path == "wide_dense/kernel" else turned


def _layout(
    label: str, ours: Callable[[str], str], plan: Callable[[float], Plan], *, maker: str
) -> Layout:
    def options(shapes: Mapping[str, Shape]) -> Options | None:
        named = {ours(name): shape for name, shape in shapes.items()}
        for width in _WIDTHS:
            if fits(plan(width), named):
                return {"width": width, "maker": maker}
        return None

    return Layout(label, TORCH, options, ours, _turned)


V2 = Architecture(
    name="mobilenet-v2",
    cuts=plan_v2().cuts(),
    make=make_v2,
    options={"width": 1.0, "maker": "torch", "drop_path": 0.0},
    layouts=(
        _layout(
            "torchvision's MobileNetV2",
            functools.partial(_torchvision, plan_v2(), _V2_PARTS, _V2_OUTSIDE),
            plan_v2,
            maker="torch",
        ),
        _layout("timm's MobileNetV2", timm_name, plan_v2, maker="torch"),
    ),
    fine_tune="stage6",
)
V3 = Architecture(
    name="mobilenet-v3-large",
    cuts=plan_v3().cuts(),
    make=make_v3,
    options={"width": 1.0, "maker": "torchvision-v3", "drop_path": 0.0},
    layouts=(
        _layout(
            "torchvision's MobileNetV3-large",
            functools.partial(_torchvision, plan_v3(), _V3_PARTS, _V3_OUTSIDE),
            plan_v3,
            maker="torchvision-v3",
        ),
        _layout("timm's MobileNetV3-large", _timm_v3, plan_v3, maker="torch"),
    ),
    fine_tune="stage6",
)
