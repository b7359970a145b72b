"""How timm's, DINOv2's and torchvision's files name the leaves of a vision transformer."""

import math
import re
from collections.abc import Callable, Mapping
from typing import Any

from tljax.data.preprocess import TORCH, Preprocess
from tljax.models.architecture import Layout, Option, Options, Shape, torch_turned

# timm's augreg, trained on [-1, 1]. Files of DeiT have its names and shapes, and ImageNet's mean:
# only the hub's config.json tells them apart.
AUGREG = Preprocess(scale=1 / 255, mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5))


def layouts(name: str, width: int, blocks: tuple[str, ...]) -> tuple[Layout, ...]:
    """Make the layouts of a ViT with these channels and our names of its blocks, by number."""

    def timm(leaf: str) -> str:
        return _timm(leaf, blocks)

    def torchvision(leaf: str) -> str:
        return _timm(_as_timm(leaf), blocks, unknown=leaf)

    def supervised(shapes: Mapping[str, Shape]) -> Options | None:
        found = _options(shapes, timm, width, blocks)
        return found if found and not found["layer_scale"] and "head.weight" in shapes else None

    def others(shapes: Mapping[str, Shape]) -> Options | None:
        return _options(shapes, timm, width, blocks) if supervised(shapes) is None else None

    def torchvisions(shapes: Mapping[str, Shape]) -> Options | None:
        return _options(shapes, torchvision, width, blocks)

    return (
        Layout(f"timm's {name}", AUGREG, supervised, timm, _turned),
        # DINO, DINOv2, MAE and DeiT III, which have a scale for each layer or no top.
        Layout(f"DINOv2's {name}", TORCH, others, timm, _turned, size=518),
        Layout(f"torchvision's {name}", TORCH, torchvisions, torchvision, _turned),
    )


_LEAVES = {
    "cls_token": "embed_tokens/class_token",
    "reg_token": "embed_tokens/registers",
    "register_tokens": "embed_tokens/registers",  # DINOv2's own
    "pos_embed": "embed_tokens/positions",
    "mask_token": "",  # of DINOv2's training
}
_LAYERS = {
    "norm1": "norm1",
    "attn.qkv": "qkv",
    "attn.proj": "proj",
    "norm2": "norm2",
    "mlp.fc1": "fc1",
    "mlp.fc2": "fc2",
}


def _timm(name: str, blocks: tuple[str, ...], *, unknown: str | None = None) -> str:
    """Name a leaf of timm's or DINOv2's file as ours; `unknown`, or the name, where it is none."""
    if name in _LEAVES:
        return _LEAVES[name]
    last = f"{blocks[-1].partition('_')[0]}_norm"
    modules = {"patch_embed.proj": "embed_patches", "norm": last, "fc_norm": last}
    module, _, leaf = name.rpartition(".")
    path = (modules | {"head": "predictions"}).get(module, "")
    match = re.fullmatch(r"blocks\.(\d+)\.(.+)", module)
    if match and int(match[1]) < len(blocks):
        block = blocks[int(match[1])]
        if name.endswith((".ls1.gamma", ".ls2.gamma")):
            return f"{block}/gamma{module[-1]}"
        path = f"{block}/{_LAYERS[match[2]]}" if match[2] in _LAYERS else ""
    leaves = {"weight": "scale" if "norm" in path else "kernel", "bias": "bias"}
    found = path and leaf in leaves
    return f"{path}/{leaves[leaf]}" if found else name if unknown is None else unknown


_TORCHVISION = (
    (r"class_token", "cls_token"),
    (r"encoder\.pos_embedding", "pos_embed"),
    (r"conv_proj\.(.*)", r"patch_embed.proj.\1"),
    (r"encoder\.ln\.(.*)", r"norm.\1"),
    (r"heads\.head\.(.*)", r"head.\1"),
    (r"encoder\.layers\.encoder_layer_(\d+)\.ln_([12])\.(.*)", r"blocks.\1.norm\2.\3"),
    (
        r"encoder\.layers\.encoder_layer_(\d+)\.self_attention\.in_proj_(.*)",
        r"blocks.\1.attn.qkv.\2",
    ),
    (
        r"encoder\.layers\.encoder_layer_(\d+)\.self_attention\.out_proj\.(.*)",
        r"blocks.\1.attn.proj.\2",
    ),
    (r"encoder\.layers\.encoder_layer_(\d+)\.mlp\.(?:0|linear_1)\.(.*)", r"blocks.\1.mlp.fc1.\2"),
    (r"encoder\.layers\.encoder_layer_(\d+)\.mlp\.(?:3|linear_2)\.(.*)", r"blocks.\1.mlp.fc2.\2"),
)


def _as_timm(name: str) -> str:
    """Name a leaf of torchvision's file as timm does; "" where it is none."""
    for pattern, replacement in _TORCHVISION:
        if match := re.fullmatch(pattern, name):
            return match.expand(replacement)
    return ""


def _options(
    shapes: Mapping[str, Shape], ours: Callable[[str], str], width: int, blocks: tuple[str, ...]
) -> Options | None:
    """Read the options of a ViT from a file's names and shapes; None for another network."""
    named = {ours(name): shape for name, shape in shapes.items()}
    patch, positions = named.get("embed_patches/kernel", ()), named.get("embed_tokens/positions")
    numbers = {name for path in named if (name := path.partition("/")[0]) in blocks}
    deeper = any(re.match(rf"(.*_|blocks\.){len(blocks)}\.", name) for name in shapes)
    if patch[:2] != (width, 3) or positions is None or numbers != set(blocks) or deeper:
        return None
    class_token = "embed_tokens/class_token" in named
    registers = named.get("embed_tokens/registers", (0, 0))[-2]
    for placed in (class_token + registers, int(class_token), 0):
        grid = math.isqrt(positions[-2] - placed)
        if grid**2 == positions[-2] - placed:
            break
    else:
        return None
    return dict[str, Option](
        patch=patch[-1],
        grid=grid,
        class_token=class_token,
        registers=registers,
        placed=placed,
        layer_scale=f"{blocks[0]}/gamma1" in named,
        pool="mean_norm" if "fc_norm.weight" in shapes else "token" if class_token else "mean",
    )


def _turned(path: str, array: Any) -> Any:
    """Turn a torch leaf into our layout; tokens and positions lose their axis of examples."""
    return (
        array.reshape(array.shape[-2:]) if path in _LEAVES.values() else torch_turned(path, array)
    )
