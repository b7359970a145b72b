"""Vision transformers: ViT-S and ViT-B, for timm's, DINOv2's and torchvision's files.

Dosovitskiy et al., "An Image is Worth 16x16 Words", 2020, arXiv 2010.11929; Steiner et al., "How to
train your ViT?", 2021, arXiv 2106.10270 (timm's augreg); Oquab et al., "DINOv2", 2023, arXiv
2304.07193; Darcet et al., "Vision Transformers Need Registers", 2023, arXiv 2309.16588.
"""

import functools
from collections.abc import Callable

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import Array
from jax.typing import DTypeLike

from tljax.errors import InputError
from tljax.models.architecture import Architecture, Cut
from tljax.models.branches import Branches, Drop
from tljax.models.convs import Conv
from tljax.models.vit_files import layouts

NORM_EPSILON = 1e-6  # of all three makers
LAYER_SCALE = 1e-5  # DINOv2's, at the beginning of its training
HEAD_UNITS = 64  # of an attention head, in every published ViT-S and ViT-B
GROUP = 3  # blocks that train at one rate


class ViT(nn.Module):
    """A vision transformer without its classifier: preprocessed images to features `[N, C]`.

    `patch` pixels make a side of a patch; there are learned positions for `grid` x `grid` patches,
    resized to those of the image, and for the first `placed` of the tokens before them: the class
    token and `registers`. `pool` gives the features: the normalised class "token", the "mean" of
    the normalised patches, or the normalised mean of the patches ("mean_norm").
    """

    between: Callable[[str | None, str | None], tuple[Cut, ...]]
    width: int
    blocks: int
    patch: int = 16
    grid: int = 14
    class_token: bool = True
    registers: int = 0
    placed: int = 1
    layer_scale: bool = False
    pool: str = "token"
    drop_path: float = 0.0
    frozen: frozenset[str] = frozenset()  # it has no batch statistics
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
        """Run the layers from `start` to `stop`, both included; see `Base`.

        "embed_patches" gives `[N, H / patch, W / patch, C]`; "embed_tokens" and the blocks give
        `[N, tokens, C]`. InputError for images that patches do not fill.
        """
        most = self.drop_path * rate if train and self.drop_path else None
        branches, out = Branches(self.blocks, most, keys), dict[str, Array]()
        x = x.astype(self.dtype)
        for cut in self.between(start, stop):
            if cut.name == "embed_patches":
                x = self._patches(x)
            elif cut.name == "embed_tokens":
                before = int(self.class_token), self.registers
                x = Tokens(self.grid, *before, self.placed, name=cut.name)(x)
            elif cut.name == "pool":
                x = self._pooled(x, *cut.modules)
            else:
                number = int(cut.name.partition("_")[2])
                drops = branches.drop(number, 0), branches.drop(number, 1)
                x = Block(self.layer_scale, name=cut.name)(x, drops=drops)
            out[cut.name] = x
        return x, out

    def _patches(self, x: Array) -> Array:
        if x.shape[1] % self.patch or x.shape[2] % self.patch:
            raise InputError(
                f"images of {x.shape[1]} x {x.shape[2]} pixels: expected sides that patches of "
                f"{self.patch} fill, such as {max(1, x.shape[1] // self.patch) * self.patch}"
            )
        name = "embed_patches"
        return Conv(self.width, self.patch, self.patch, padding=0, bias=True, name=name)(x)

    def _pooled(self, x: Array, norm: str) -> Array:
        if self.pool == "token":
            return _norm(x[:, 0], norm)  # normalisation is of each token by itself
        patches = x[:, self.class_token + self.registers :]
        if self.pool == "mean":
            return _norm(patches, norm).mean(1)
        return _norm(patches.mean(1), norm)


class Tokens(nn.Module):
    """Turn patches `[N, h, w, C]` into tokens: class token, registers, patches, with positions."""

    grid: int
    class_tokens: int
    registers: int
    placed: int

    @nn.compact
    def __call__(self, x: Array) -> Array:
        """Compute `[N, tokens, C]`."""
        count, height, width, channels = x.shape
        names = {"class_token": self.class_tokens, "registers": self.registers}
        before = [
            self.param(name, nn.initializers.zeros, (number, channels))
            for name, number in names.items()
            if number
        ]
        shape = (self.placed + self.grid**2, channels)
        positions = self.param("positions", nn.initializers.normal(0.02), shape)
        first, rest = positions[: self.placed], positions[self.placed :]
        if (height, width) != (self.grid, self.grid):
            # As timm does it: smoothed where there are fewer patches than positions.
            square = rest.reshape(self.grid, self.grid, channels)
            rest = jax.image.resize(square, (height, width, channels), "bicubic", antialias=True)
        x = x.reshape(count, -1, channels) + rest.reshape(-1, channels).astype(x.dtype)
        if not before:
            return x
        tokens = jnp.concatenate(before).at[: self.placed].add(first).astype(x.dtype)
        tokens = jnp.broadcast_to(tokens, (count, *tokens.shape))
        return jnp.concatenate([tokens, x], axis=1)


class Block(nn.Module):
    """A transformer block: attention between the tokens, then two dense layers for each.

    Each is a branch that is added to the tokens, normalised before and, with `layer_scale`, scaled
    by channel behind.
    """

    layer_scale: bool

    @nn.compact
    def __call__(self, x: Array, *, drops: tuple[Drop, Drop]) -> Array:
        """Compute `[N, tokens, C]`; `drops` drop the branches."""
        shape = (*x.shape[:2], 3, x.shape[-1] // HEAD_UNITS, HEAD_UNITS)
        qkv = _dense(_norm(x, "norm1"), 3 * x.shape[-1], "qkv").reshape(shape)
        mixed = jax.nn.dot_product_attention(qkv[:, :, 0], qkv[:, :, 1], qkv[:, :, 2])
        y = _dense(mixed.reshape(x.shape), x.shape[-1], "proj")
        x = x + drops[0](self._scaled(y, "gamma1"))
        y = nn.gelu(_dense(_norm(x, "norm2"), 4 * x.shape[-1], "fc1"), approximate=False)
        return x + drops[1](self._scaled(_dense(y, x.shape[-1], "fc2"), "gamma2"))

    def _scaled(self, y: Array, name: str) -> Array:
        if not self.layer_scale:
            return y
        gamma = self.param(name, nn.initializers.constant(LAYER_SCALE), (y.shape[-1],))
        return y * gamma.astype(y.dtype)


def _dense(x: Array, features: int, name: str) -> Array:
    draw = nn.initializers.truncated_normal(0.02)
    return nn.Dense(features, dtype=x.dtype, kernel_init=draw, name=name)(x)


def _norm(x: Array, name: str) -> Array:
    # The variance as it is defined: a difference of means loses digits where the mean is large.
    return nn.LayerNorm(NORM_EPSILON, dtype=x.dtype, use_fast_variance=False, name=name)(x)


def architecture(name: str, *, width: int, blocks: int = 12) -> Architecture:
    """Describe the ViT with this many channels and blocks."""
    modules = tuple(f"blocks{i // GROUP + 1}_{i}" for i in range(blocks))
    last = modules[-1].partition("_")[0]
    whole = Architecture(
        name=name,
        cuts=(
            Cut("embed_patches", ("embed_patches",), "embed"),
            Cut("embed_tokens", ("embed_tokens",), "embed"),
            *(Cut(module, (module,), module.partition("_")[0]) for module in modules),
            Cut("pool", (f"{last}_norm",), last),
        ),
        make=functools.partial(ViT, lambda start, stop: whole.between(start, stop), width, blocks),
        options={"patch": 16, "grid": 14, "class_token": True, "registers": 0, "placed": 1}
        | {"layer_scale": False, "pool": "token", "drop_path": 0.0},
        layouts=layouts(name, width, modules),
        fine_tune=last,
    )
    return whole


SMALL = architecture("vit-small", width=384)
BASE = architecture("vit-base", width=768)
ARCHITECTURES = (SMALL, BASE)
