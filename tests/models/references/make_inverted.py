"""Make the reference of EfficientNet-Lite and the MobileNets: timm's outputs for seeded weights.

    python make_inverted.py NAME...

with torch 2.13.0 and timm 1.0.31 in an environment of its own. For each network, at two image
sizes, in evaluation and in training: a summary of the output of each cut and, after training, of
each running statistic. All is computed in float64: in float32 torch's batch statistics alone are
so coarse that its last cuts are off by a thousandth. A running variance is stored as it would be
with the batch's own variance: torch takes n / (n - 1) times that.
"""

import sys
from pathlib import Path

import numpy as np
import seeded
import timm
import torch

NETWORKS = {
    "efficientnet-lite0": ("tf_efficientnet_lite0", 1e-3, 0.01),
    "efficientnet-lite0-torch": ("efficientnet_lite0", 1e-5, 0.1),
    "mobilenet-v2": ("mobilenetv2_100", 1e-5, 0.1),
    "mobilenet-v3-large": ("mobilenetv3_large_100", 1e-5, 0.1),
}
SIZES, NUMBER, SEED = (64, 97), 8, 3


def reference(name: str) -> dict[str, np.ndarray]:
    """Return names, shapes and summaries of one network."""
    model, epsilon, momentum = NETWORKS[name]
    net = timm.create_model(model, pretrained=False).double()
    shapes = {key: tuple(tensor.shape) for key, tensor in net.state_dict().items()}
    stored = {"shapes": seeded.packed(shapes)}
    for size in SIZES:
        x = torch.from_numpy(seeded.images(size, number=NUMBER).transpose(0, 3, 1, 2)).double()
        for train in (False, True):
            values = seeded.filled(shapes, seed=SEED)
            net.load_state_dict({key: torch.from_numpy(value) for key, value in values.items()})
            net.train(train)
            norms = [norm for norm in net.modules() if isinstance(norm, torch.nn.BatchNorm2d)]
            for norm in norms:
                assert norm.eps == epsilon, norm.eps
                norm.momentum = momentum
            outputs, counts = watch(net)
            with torch.no_grad():
                outputs["predictions"] = net(x)
            mode = f"{size}/{'train' if train else 'evaluate'}"
            for cut, output in outputs.items():
                stored[f"{mode}/{cut}"] = seeded.summary(channels_last(output)).astype(np.float32)
            if train:
                moved = {key: tensor.numpy() for key, tensor in net.state_dict().items()}
                biased(values, moved, counts, momentum)
                stored[f"{mode}/statistics"] = statistics(moved)
    return stored


def watch(net: torch.nn.Module) -> tuple[dict[str, torch.Tensor], dict[str, int]]:
    """Record the output of each cut, and how many places each normalisation averages over."""
    outputs, counts = dict[str, torch.Tensor](), dict[str, int]()

    def keep(name: str):
        def hook(_module, _inputs, output):
            outputs[name] = output.detach().clone()

        return hook

    def count(name: str):
        def hook(_module, inputs, _output):
            counts[name] = inputs[0].numel() // inputs[0].shape[1]

        return hook

    handles = getattr(net, "handles", [])
    for handle in handles:
        handle.remove()
    named = {"bn1": "stem", "bn2": "top", "global_pool": "pool"}
    if not hasattr(net, "bn2"):  # MobileNetV3: its last stage is the top, its head is the last cut
        named = {"bn1": "stem", "blocks.6.0": "top", "global_pool": "pool", "act2": "wide"}
    handles = []
    for name, module in net.named_modules():
        parts = name.split(".")
        if name in named:
            handles.append(module.register_forward_hook(keep(named[name])))
        elif parts[0] == "blocks" and len(parts) == 3:
            handles.append(
                module.register_forward_hook(keep(f"stage{int(parts[1]) + 1}_{parts[2]}"))
            )
        if isinstance(module, torch.nn.BatchNorm2d):
            handles.append(module.register_forward_hook(count(name)))
    net.handles = handles
    return outputs, counts


def channels_last(output: torch.Tensor) -> np.ndarray:
    """Bring an activation into `[N, H, W, C]`; `[N, C, 1, 1]` becomes `[N, C]`."""
    if output.dim() == 4 and output.shape[2:] == (1, 1):
        output = output.flatten(1)
    return output.permute(0, 2, 3, 1).numpy() if output.dim() == 4 else output.numpy()


def biased(before, moved, counts: dict[str, int], momentum: float) -> None:
    """Turn the running variances into what the batch's own variance would have made of them."""
    for name, count in counts.items():
        key = f"{name}.running_var"
        batch = (moved[key] - (1 - momentum) * before[key]) / momentum
        moved[key] = (1 - momentum) * before[key] + momentum * batch * (count - 1) / count


def statistics(moved) -> np.ndarray:
    """Summarise each running statistic, in the order of the state dict: `[statistics, 67]`."""
    keys = [key for key in moved if key.endswith(("running_mean", "running_var"))]
    return np.stack([seeded.summary(moved[key]) for key in keys]).astype(np.float32)


if __name__ == "__main__":
    for name in sys.argv[1:] or NETWORKS:
        place = Path(__file__).parent / f"{name}.npz"
        np.savez_compressed(place, **reference(name))
        print(place.name, place.stat().st_size)
