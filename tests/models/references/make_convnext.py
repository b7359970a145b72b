"""Record what timm's ConvNeXt gives, and the names of torchvision's: `convnext*.npz`.

Made with torch 2.13.0, torchvision 0.28.0 and timm 1.0.31, in an environment of their own:

    python tests/models/references/make_convnext.py
"""

import numpy as np
import timm
import torch
import torchvision
from recorded import packed, record, shapes, write
from torchvision.models.convnext import CNBlockConfig

COUNTS, WIDTHS = (1, 2, 1, 1), (96, 192, 384, 768)  # blocks of the small one, its real widths
SIZES = (75, 64)


def timms(network: torch.nn.Module) -> dict[str, torch.nn.Module]:
    """Name the modules of timm's network whose outputs are our cuts."""
    cuts: dict[str, torch.nn.Module] = {"stem": network.stem}
    for stage, module in enumerate(network.stages, start=1):
        if stage > 1:
            cuts[f"stage{stage}_down"] = module.downsample
        cuts |= {f"stage{stage}_{i}": block for i, block in enumerate(module.blocks)}
    return {**cuts, "pool": network.head.norm}


def torchvisions(network: torch.nn.Module) -> dict[str, torch.nn.Module]:
    """Name the modules of torchvision's network whose outputs are our cuts."""
    cuts: dict[str, torch.nn.Module] = {"stem": network.features[0]}
    for place, module in enumerate(network.features[1:], start=1):
        stage = place // 2 + 1
        if place % 2:
            cuts |= {f"stage{stage}_{i}": block for i, block in enumerate(module)}
        else:
            cuts[f"stage{stage}_down"] = module
    return {**cuts, "pool": network.classifier[0]}


settings = [
    CNBlockConfig(width, after, count)
    for width, after, count in zip(WIDTHS, (*WIDTHS[1:], None), COUNTS, strict=True)
]
first = timm.models.convnext.ConvNeXt(depths=COUNTS, dims=WIDTHS)
write("convnext_timm", record(first, timms(first), sizes=SIZES))
second = torchvision.models.ConvNeXt(settings)
write("convnext_torchvision", record(second, torchvisions(second), sizes=SIZES))

names = ("convnext_tiny", "convnext_small")
published = {f"timm/{name}": timm.create_model(name) for name in names}
published |= {f"torchvision/{name}": getattr(torchvision.models, name)() for name in names}
for name, network in published.items():
    print(name, sum(np.prod(shape) for shape in shapes(network).values()))
write("convnext_shapes", {name: packed(shapes(network)) for name, network in published.items()})
