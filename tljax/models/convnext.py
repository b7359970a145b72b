"""ConvNeXt-Tiny and Small, for timm's and torchvision's files.

Liu et al., "A ConvNet for the 2020s", 2022, arXiv 2201.03545.
"""

import functools
import re
from collections.abc import Callable, Mapping
from typing import Any

import flax.linen as nn
import jax.numpy as jnp
from jax import Array
from jax.typing import DTypeLike

from tljax.data.preprocess import TORCH
from tljax.models.architecture import Architecture, Cut, Layout, Options, Shape, torch_turned
from tljax.models.branches import Branches, Drop
from tljax.models.convs import Conv

WIDTHS = (96, 192, 384, 768)  # channels, by stage
NORM_EPSILON, LAYER_SCALE = 1e-6, 1e-6  # the paper's code, and both libraries


class ConvNeXt(nn.Module):
    """ConvNeXt without its classifier: preprocessed images `[N, H, W, 3]` to features `[N, C]`.

    `counts` are the blocks of the four stages. The last branch is dropped at `drop_path` times the
    `rate` of the call. It has no batch statistics, so nothing of it is `frozen`.
    """

    between: Callable[[str | None, str | None], tuple[Cut, ...]]
    counts: tuple[int, ...]
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
            stage, _, place = cut.name.removeprefix("stage").partition("_")
            if cut.name == "stem":
                x = _patches(x, WIDTHS[0], 4, name="stem_conv")
                x = _norm(x, "stem_norm")
            elif cut.name == "pool":
                x = _norm(x.mean((1, 2)), "stage4_norm")
            elif place == "down":
                x = Downsample(WIDTHS[int(stage) - 1], name=cut.name)(x)
            else:
                number = sum(self.counts[: int(stage) - 1]) + int(place)
                x = Block(name=cut.name)(x, drop=branches.drop(number))
            out[cut.name] = x
        return x, out


class Downsample(nn.Module):
    """Halve height and width: layer normalisation, then a convolution of 2 x 2 patches."""

    features: int

    @nn.compact
    def __call__(self, x: Array) -> Array:
        """Compute `[N, H / 2, W / 2, features]`; an odd last row or column is dropped."""
        return _patches(_norm(x, "norm"), self.features, 2, name="conv")


class Block(nn.Module):
    """A residual block: 7 x 7 depthwise convolution, normalisation, two dense layers with GELU."""

    @nn.compact
    def __call__(self, x: Array, *, drop: Drop) -> Array:
        """Add the branch, scaled by channel with `gamma`; `drop` drops it."""
        channels = x.shape[-1]
        y = Conv(channels, 7, padding=3, groups=channels, bias=True, name="conv")(x)
        y = _dense(_norm(y, "norm"), 4 * channels, name="fc1")
        y = _dense(nn.gelu(y, approximate=False), channels, name="fc2")
        gamma = self.param("gamma", nn.initializers.constant(LAYER_SCALE), (channels,))
        return x + drop(y * gamma.astype(y.dtype))


def _patches(x: Array, features: int, size: int, *, name: str) -> Array:
    return Conv(features, size, stride=size, padding=0, bias=True, name=name)(x)


def _dense(x: Array, features: int, *, name: str) -> Array:
    draw = nn.initializers.truncated_normal(0.02)
    return nn.Dense(features, dtype=x.dtype, kernel_init=draw, name=name)(x)


def _norm(x: Array, name: str) -> Array:
    # The variance as it is defined: a difference of means loses digits where the mean is large.
    return nn.LayerNorm(NORM_EPSILON, dtype=x.dtype, use_fast_variance=False, name=name)(x)


def architecture(name: str, *, counts: tuple[int, ...]) -> Architecture:
    """Describe the ConvNeXt with this many blocks in each of the four stages."""
    cuts = [Cut("stem", ("stem_conv", "stem_norm"), "stem")]
    for stage, count in enumerate(counts, start=1):
        modules = [*(["down"] if stage > 1 else []), *range(count)]
        cuts += [Cut(f"stage{stage}_{m}", (f"stage{stage}_{m}",), f"stage{stage}") for m in modules]
    whole = Architecture(
        name=name,
        cuts=(*cuts, Cut("pool", ("stage4_norm",), "stage4")),
        make=functools.partial(ConvNeXt, lambda start, stop: whole.between(start, stop), counts),
        options={"drop_path": 0.0},
        layouts=(
            _layout(f"timm's {name}", counts, _timm),
            _layout(f"torchvision's {name}", counts, _torchvision),
        ),
        fine_tune="stage4",
    )
    return whole


def _layout(label: str, counts: tuple[int, ...], ours: Callable[[str], str]) -> Layout:
    def options(shapes: Mapping[str, Shape]) -> Options | None:
        named = {ours(name): shape for name, shape in shapes.items()}
        blocks = {match[0] for path in named if (match := re.match(r"stage\d_\d+/", path))}
        expected = {f"stage{s}_{i}/" for s, count in enumerate(counts, 1) for i in range(count)}
        widths = [named.get(f"stage{stage}_0/gamma", ())[:1] for stage in range(1, 5)]
        return {} if blocks == expected and widths == [(width,) for width in WIDTHS] else None

    return Layout(label, TORCH, options, ours, _turned)


def _turned(path: str, array: Any) -> Any:
    """Turn a torch leaf into our layout; torchvision's gamma is `(C, 1, 1)`."""
    return array.reshape(-1) if path.endswith("/gamma") else torch_turned(path, array)


def _timm(name: str) -> str:
    """Name a leaf of timm's file as ours."""
    module, _, leaf = name.rpartition(".")
    layers = {"": "", "conv_dw": "conv", "norm": "norm", "mlp.fc1": "fc1", "mlp.fc2": "fc2"}
    others = {"stem.0": "stem_conv", "stem.1": "stem_norm", "head.norm": "stage4_norm"}
    if match := re.fullmatch(r"stages\.(\d)\.blocks\.(\d+)\.?(.*)", module):
        return _path(name, f"stage{int(match[1]) + 1}_{match[2]}", layers.get(match[3]), leaf)
    if match := re.fullmatch(r"stages\.(\d)\.downsample\.([01])", module):
        return _path(name, f"stage{int(match[1]) + 1}_down", _DOWN[match[2]], leaf)
    return _path(name, (others | {"head.fc": "predictions"}).get(module), "", leaf)


def _torchvision(name: str) -> str:
    """Name a leaf of torchvision's file as ours: stem, stage, downsampling, stage, and so on."""
    module, _, leaf = name.rpartition(".")
    layers = {"": "", "0": "conv", "2": "norm", "3": "fc1", "5": "fc2"}
    others = {"features.0.0": "stem_conv", "features.0.1": "stem_norm"}
    others |= {"classifier.0": "stage4_norm", "classifier.2": "predictions"}
    if match := re.fullmatch(r"features\.([1357])\.(\d+)(?:\.block\.)?(\d?)", module):
        stage = int(match[1]) // 2 + 1
        return _path(name, f"stage{stage}_{match[2]}", layers.get(match[3]), leaf)
    if match := re.fullmatch(r"features\.([246])\.([01])", module):
        return _path(name, f"stage{int(match[1]) // 2 + 1}_down", _DOWN[match[2]], leaf)
    return _path(name, others.get(module), "", leaf)


_DOWN = {"0": "norm", "1": "conv"}


def _path(name: str, module: str | None, layer: str | None, leaf: str) -> str:
    """Join our names of a leaf; `name` as it is where a part of it is unknown."""
    if module is None or layer is None:
        return name
    path = f"{module}/{layer}" if layer else module
    leaves = {"weight": "scale" if path.endswith("norm") else "kernel", "bias": "bias"}
    leaves |= {"gamma": "gamma", "layer_scale": "gamma"}
    return f"{path}/{leaves[leaf]}" if leaf in leaves else name


TINY = architecture("convnext-tiny", counts=(3, 3, 9, 3))
SMALL = architecture("convnext-small", counts=(3, 3, 27, 3))
ARCHITECTURES = (TINY, SMALL)
