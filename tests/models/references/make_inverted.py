"""Make the references of EfficientNet-Lite and the MobileNets: outputs for seeded weights.

    python make_inverted.py NAME...

with torch 2.13.0, timm 1.0.31 and torchvision 0.28.0 in an environment of its own. For each
network, at two image sizes, in evaluation and in training: a summary of the output of each cut and,
after training at the first size, of each running statistic. All is computed in float64: in float32
torch's batch statistics alone are so coarse that its last cuts are off by a thousandth. A running
variance is stored as it would be with the batch's own variance: torch takes n / (n - 1) times that.
"""

import sys
from pathlib import Path

import numpy as np
import seeded
import timm
import torch
import torchvision

# The library's name, and the epsilon and momentum of the batch normalisation.
NETWORKS = {
    "efficientnet-lite0-tf": ("tf_efficientnet_lite0", 1e-3, 0.01),
    "efficientnet-lite0-timm": ("efficientnet_lite0", 1e-5, 0.1),
    "mobilenet-v2-timm": ("mobilenetv2_100", 1e-5, 0.1),
    "mobilenet-v2-torchvision": ("mobilenet_v2", 1e-5, 0.1),
    "mobilenet-v3-large-timm": ("mobilenetv3_large_100", 1e-5, 0.1),
    "mobilenet-v3-large-torchvision": ("mobilenet_v3_large", 1e-3, 0.01),
}
SIZES, NUMBER, SEED = (48, 75), 8, 3


def reference(name: str) -> dict[str, np.ndarray]:
    """Return names, shapes and summaries of one network."""
    model, epsilon, momentum = NETWORKS[name]
    theirs = name.endswith("torchvision")
    net = torchvision.models.get_model(model) if theirs else timm.create_model(model)
    net = net.double()
    shapes = {key: tuple(tensor.shape) for key, tensor in net.state_dict().items()}
    cuts = torchvision_cuts(net) if theirs else timm_cuts(net)
    outputs, counts = dict[str, torch.Tensor](), dict[str, int]()
    for path, module in net.named_modules():
        if path in cuts:
            module.register_forward_hook(keep(cuts[path], outputs))
        if isinstance(module, torch.nn.BatchNorm2d):
            assert module.eps == epsilon, module.eps
            module.momentum = momentum
            module.register_forward_hook(count(path, counts))
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
    stored = {"shapes": seeded.packed(shapes)}
    values = seeded.filled(shapes, seed=SEED)
    for size in SIZES:
        x = torch.from_numpy(seeded.images(size, number=NUMBER).transpose(0, 3, 1, 2)).double()
        for mode in ("evaluate", "train"):
            net.load_state_dict({key: torch.from_numpy(value) for key, value in values.items()})
            net.train(mode == "train")
            with torch.no_grad():
                outputs["predictions"] = net(x)
            for cut, output in outputs.items():
                summary = seeded.summary(channels_last(output))
                stored[f"{size}/{mode}/{cut}"] = summary.astype(np.float32)
            if mode == "train" and size == SIZES[0]:
                moved = {key: tensor.numpy() for key, tensor in net.state_dict().items()}
                stored["statistics"] = statistics(values, moved, counts, momentum)
    return stored


def timm_cuts(net: torch.nn.Module) -> dict[str, str]:
    """Return our cut for each of timm's modules that gives its output."""
    cuts = {
        f"blocks.{stage}.{place}": f"stage{stage + 1}_{place}"
        for stage, blocks in enumerate(net.blocks)
        for place in range(len(blocks))
    }
    if hasattr(net, "bn2"):
        return cuts | {"bn1": "stem", "bn2": "top", "global_pool": "pool"}
    # MobileNetV3's last stage is our top, and its head is the last cut.
    return cuts | {"bn1": "stem", "blocks.6.0": "top", "global_pool": "pool", "act2": "wide"}


def torchvision_cuts(net: torch.nn.Module) -> dict[str, str]:
    """Return our cut for each of torchvision's modules that gives its output."""
    v2 = isinstance(net, torchvision.models.MobileNetV2)
    stages = (1, 2, 3, 4, 3, 3, 1) if v2 else (1, 2, 3, 4, 2, 3)
    names = [f"stage{i}_{place}" for i, n in enumerate(stages, start=1) for place in range(n)]
    names = ["stem", *names, "top"]
    cuts = {f"features.{place}": name for place, name in enumerate(names)}
    return cuts | ({"classifier.0": "pool"} if v2 else {"avgpool": "pool", "classifier.1": "wide"})


def keep(cut: str, outputs: dict[str, torch.Tensor]):
    """Make a hook that keeps a module's output."""

    def hook(_module, _inputs, output):
        outputs[cut] = output.detach().clone()

    return hook


def count(path: str, counts: dict[str, int]):
    """Make a hook that notes how many places a normalisation averages over."""

    def hook(_module, inputs, _output):
        counts[path] = inputs[0].numel() // inputs[0].shape[1]

    return hook


def channels_last(output: torch.Tensor) -> np.ndarray:
    """Bring an activation into `[N, H, W, C]`; what is pooled becomes `[N, C]`."""
    return output.permute(0, 2, 3, 1).numpy() if output.dim() == 4 else output.numpy()


def statistics(before, moved, counts: dict[str, int], momentum: float) -> np.ndarray:
    """Summarise each running statistic, in the order of the state dict: `[statistics, 67]`."""
    rows = []
    for key, value in moved.items():
        path, _, leaf = key.rpartition(".")
        if leaf == "running_var":
            old, places = (1 - momentum) * before[key], counts[path]
            value = old + (value - old) * (places - 1) / places
        if leaf in ("running_mean", "running_var"):
            rows.append(seeded.summary(value))
    return np.stack(rows).astype(np.float32)


if __name__ == "__main__":
    for name in sys.argv[1:] or NETWORKS:
        place = Path(__file__).parent / f"{name}.npz"
        np.savez_compressed(place, **reference(name))
        print(place.name, place.stat().st_size)
