"""A residual network of two blocks, as a base of one's own: see own-base.md."""

import flax.linen as nn
import jax.numpy as jnp
from jax import Array
from jax.typing import DTypeLike

from tljax.data.preprocess import TORCH
from tljax.models.architecture import Architecture, Cut, Layout, torch_turned, within
from tljax.models.layers import batch_norm

EPSILON, MOMENTUM = 1e-5, 0.9  # torch's, whose momentum of 0.1 is Flax's 0.9


class Block(nn.Module):
    """Two 3 x 3 convolutions with batch normalisation, and a skip connection over both."""

    channels: int
    stride: int = 1
    frozen: frozenset[str] = frozenset()

    @nn.compact
    def __call__(self, x: Array, *, train: bool) -> Array:
        def conv(y: Array, name: str, stride: int, size: int = 3) -> Array:
            pad = [(size // 2, size // 2)] * 2
            convolved = nn.Conv(
                self.channels,
                (size, size),
                strides=stride,
                padding=pad,
                use_bias=False,
                dtype=x.dtype,
                name=f"{name}_conv",
            )(y)
            return batch_norm(
                convolved,
                name=f"{name}_norm",
                train=train,
                frozen=self.frozen,
                epsilon=EPSILON,
                momentum=MOMENTUM,
            )

        y = conv(nn.relu(conv(x, "a", self.stride)), "b", 1)
        skip = conv(x, "skip", self.stride, size=1) if self.stride > 1 else x
        return nn.relu(y + skip)


class TinyResNet(nn.Module):
    """Images `[N, H, W, 3]` -> `(features [N, 4 width], out)`; see `tljax.models.Architecture`."""

    width: int = 8
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
        """Run the cuts from `start` to `stop`, both included; `x` is the input of `start`."""
        del rate, keys  # no dropout inside
        out: dict[str, Array] = {}
        for cut in ARCHITECTURE.between(start, stop):
            if cut.name == "pool":
                x = x.mean((1, 2))
            elif cut.name == "stem":
                x = nn.relu(
                    nn.Conv(self.width, (3, 3), dtype=self.dtype, name="stem_conv")(
                        x.astype(self.dtype)
                    )
                )
            else:
                channels = self.width * (2 if cut.name == "first" else 4)
                module = f"{cut.name}_block"
                x = Block(channels, 2, within(self.frozen, module), name=module)(x, train=train)
            out[cut.name] = x
        return x, out


def _options(shapes):
    """Read the width from a file's shapes; None where it is of another network."""
    shape = shapes.get("stem.weight")
    return {"width": shape[0]} if shape and "second.skip.0.weight" in shapes else None


def _ours(name):
    """Translate "first.a.1.running_mean" to "first_block/a_norm/mean"."""
    parts = name.split(".")
    kinds = {"running_mean": "mean", "running_var": "var"}
    if parts[0] == "stem":
        return f"stem_conv/{'kernel' if parts[1] == 'weight' else 'bias'}"
    if len(parts) != 4:
        return name
    if parts[3] == "num_batches_tracked":
        return ""
    layer, norm = f"{parts[0]}_block/{parts[1]}", parts[2] == "1"
    kind = kinds.get(parts[3], parts[3])
    kind = {"weight": "scale" if norm else "kernel"}.get(kind, kind)
    return f"{layer}_{'norm' if norm else 'conv'}/{kind}"


ARCHITECTURE = Architecture(
    "tiny-resnet",
    cuts=(
        Cut("stem", ("stem_conv",), "stem"),
        Cut("first", ("first_block",), "first"),
        Cut("second", ("second_block",), "second"),
        Cut("pool", (), "second"),
    ),
    make=TinyResNet,
    options={"width": 8},
    least_size=16,
    fine_tune="second",
    layouts=(Layout("my training script", TORCH, _options, _ours, torch_turned, size=32),),
)
