"""Record what torchvision's ResNets give: `resnet_*.npz`, compared with timm's before.

Made with torch 2.13.0, torchvision 0.28.0 and timm 1.0.31, in an environment of their own:

    python tests/models/references/make_resnet.py
"""

import numpy as np
import timm
import torch
import torchvision
from recorded import packed, record, same, shapes, write
from torchvision.models.resnet import BasicBlock, Bottleneck

COUNTS = (1, 2, 1, 1)  # of the small ones; a second block in a stage keeps its shape
SIZES = (75, 64)


def cuts(network: torch.nn.Module) -> dict[str, torch.nn.Module]:
    """Name the modules whose outputs are our cuts."""
    blocks = {
        f"layer{stage}_{i}": block
        for stage in range(1, 5)
        for i, block in enumerate(getattr(network, f"layer{stage}"))
    }
    relu, pooled = ("relu", "avgpool") if hasattr(network, "relu") else ("act1", "global_pool")
    stem = {"stem": getattr(network, relu), "stem_pool": network.maxpool}
    return {**stem, **blocks, "pool": getattr(network, pooled)}


def recorded(network: torch.nn.Module) -> dict[str, np.ndarray]:
    """Record one network."""
    return record(network, cuts(network), sizes=SIZES)


for kind, block in (("basic", BasicBlock), ("bottleneck", Bottleneck)):
    theirs = recorded(torchvision.models.ResNet(block, list(COUNTS)))
    other = {"basic": timm.models.resnet.BasicBlock, "bottleneck": timm.models.resnet.Bottleneck}
    same(theirs, recorded(timm.models.resnet.ResNet(other[kind], COUNTS)))
    write(f"resnet_{kind}", theirs)

write(
    "resnet_shapes",
    {
        name: packed(shapes(make(name)))
        for name in ("resnet18", "resnet34", "resnet50")
        for make in (timm.create_model,)
    },
)
for name in ("resnet18", "resnet34", "resnet50"):
    ours = shapes(timm.create_model(name))
    assert ours == shapes(getattr(torchvision.models, name)())
    print(name, sum(np.prod(shape) for leaf, shape in ours.items() if "num_b" not in leaf))
