"""Record what timm's and torchvision's vision transformers give: `vit*.npz`.

Made with torch 2.13.0, torchvision 0.28.0 and timm 1.0.31, in an environment of their own:

    python tests/models/references/make_vit.py
"""

import numpy as np
import timm
import torch
import torchvision
from recorded import packed, record, shapes, write
from timm.models.vision_transformer import VisionTransformer

# The small ones; at the second size timm resizes the positions.
SMALL = {"embed_dim": 128, "depth": 4, "num_heads": 2, "num_classes": 10, "dynamic_img_size": True}
VARIANTS = {
    "augreg": ({"img_size": 96}, (96, 80)),
    "dinov2": ({"img_size": 84, "patch_size": 14, "init_values": 1e-5}, (84, 112)),
    "registers": ({"img_size": 80, "reg_tokens": 4, "no_embed_class": True}, (80, 96)),
    "placed": ({"img_size": 80, "reg_tokens": 4, "init_values": 1e-5}, (80, 48)),
    "mean": (
        {"img_size": 64, "class_token": False, "global_pool": "avg", "fc_norm": False},
        (64, 80),
    ),
    "mean_norm": ({"img_size": 64, "global_pool": "avg"}, (64, 48)),
}


def timms(network: torch.nn.Module) -> dict[str, torch.nn.Module]:
    """Name the modules of timm's network whose outputs are our cuts."""
    blocks = {f"blocks{i // 3 + 1}_{i}": block for i, block in enumerate(network.blocks)}
    embedded = {"embed_patches": network.patch_embed.proj, "embed_tokens": network.pos_drop}
    return {**embedded, **blocks, "pool": network.head_drop}


def torchvisions(network: torch.nn.Module) -> dict[str, torch.nn.Module]:
    """Name the modules of torchvision's network whose outputs are our cuts."""
    encoder = network.encoder
    blocks = {f"blocks{i // 3 + 1}_{i}": block for i, block in enumerate(encoder.layers)}
    network.heads = torch.nn.Sequential()
    network.heads.add_module("before", torch.nn.Identity())
    network.heads.add_module("head", torch.nn.Linear(128, 10))
    embedded = {"embed_patches": network.conv_proj, "embed_tokens": encoder.dropout}
    return {**embedded, **blocks, "pool": network.heads.before}


for variant, (options, sizes) in VARIANTS.items():
    network = VisionTransformer(**SMALL, **options)
    write(f"vit_{variant}", record(network, timms(network), sizes=sizes))
network = torchvision.models.VisionTransformer(
    image_size=96, patch_size=16, num_layers=4, num_heads=2, hidden_dim=128, mlp_dim=512
)
write("vit_torchvision", record(network, torchvisions(network), sizes=(96,)))

names = (
    "vit_small_patch16_224",
    "vit_base_patch16_224",
    "vit_base_patch16_384",
    "vit_small_patch14_dinov2",
    "vit_base_patch14_dinov2",
    "vit_small_patch14_reg4_dinov2",
)
published = {name: timm.create_model(name) for name in names}
published["torchvision"] = torchvision.models.vit_b_16()
for name, network in published.items():
    print(name, sum(np.prod(shape) for shape in shapes(network).values()))
write("vit_shapes", {name: packed(shapes(network)) for name, network in published.items()})
