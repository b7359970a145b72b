"""Makes `torch_zip.pth`, `torch_legacy.pth` and `torch_outputs.npz`, which test_torch.py reads.

And `torch_checkpoint.pth`, what a training script saves of the same network.

Needs torch:

    python tests/weights/make_torch_reference.py     (torch 2.13.0, CPU)

A VGG16 of width 1/32 with a top of 24 hidden units and 10 classes for images of 64 x 64, as a
`Sequential` with torchvision's layer names. The numbers are random, scaled so that the activations
of every layer are about 1.
"""

import argparse
import collections
import datetime
import pathlib

import numpy as np
import torch
from torch import nn

HERE = pathlib.Path(__file__).parent
CHANNELS = [2, 2, "M", 4, 4, "M", 8, 8, 8, "M", 16, 16, 16, "M", 16, 16, 16, "M"]


def network():
    layers, before = [], 3
    for channels in CHANNELS:
        if channels == "M":
            layers.append(nn.MaxPool2d(2, 2))
        else:
            layers += [nn.Conv2d(before, channels, 3, padding=1), nn.ReLU()]
            before = channels
    top = [
        nn.Linear(64, 24),
        nn.ReLU(),
        nn.Dropout(),
        nn.Linear(24, 24),
        nn.ReLU(),
        nn.Dropout(),
        nn.Linear(24, 10),
    ]
    parts = {
        "features": nn.Sequential(*layers),
        "flatten": nn.Flatten(),
        "classifier": nn.Sequential(*top),
    }
    model = nn.Sequential(collections.OrderedDict(parts)).eval()
    for parameter in model.parameters():
        if parameter.ndim == 1:
            nn.init.uniform_(parameter, -0.1, 0.1)
        else:
            nn.init.kaiming_normal_(parameter)
    return model


def outputs(model, images):
    """Every convolution, pooling and dense layer's, after relu where it has one;
    NHWC as in Keras.
    """
    found, x = {}, images
    for part, layers in model.named_children():
        if part == "flatten":
            x = layers(x)
            continue
        for number, layer in layers.named_children():
            x = layer(x)
            if not isinstance(layer, (nn.Conv2d, nn.Dropout)):
                value = x.detach().numpy()
                found[f"{part}.{number}"] = (
                    value.transpose(0, 2, 3, 1) if value.ndim == 4 else value
                )
    del found["classifier.0"], found["classifier.3"]  # before their relu
    return found


def main():
    torch.manual_seed(0)
    model = network()
    images = torch.randn(1, 3, 64, 64)
    stored = {"images": images.numpy().transpose(0, 2, 3, 1)} | outputs(model, images)
    np.savez_compressed(HERE / "torch_outputs.npz", **stored)
    state = model.state_dict()
    # Kernels with the strides of channels last, in the container of today.
    strided = {
        name: t.contiguous(memory_format=torch.channels_last) if t.ndim == 4 else t
        for name, t in state.items()
    }
    torch.save(collections.OrderedDict(strided), HERE / "torch_zip.pth")
    # All tensors are views into one storage, in the container before it.
    flat, views, offset = (
        torch.cat([t.reshape(-1) for t in state.values()]),
        collections.OrderedDict(),
        0,
    )
    for name, t in state.items():
        views[name] = flat[offset : offset + t.numel()].view(t.shape)
        offset += t.numel()
    views._metadata = state._metadata
    torch.save(views, HERE / "torch_legacy.pth", _use_new_zipfile_serialization=False)
    torch.save(checkpoint(state), HERE / "torch_checkpoint.pth")


def checkpoint(state):
    """The state dict as a script saves it that trained with several GPUs: in half precision."""
    model = nn.Linear(3, 2)
    optimizer = torch.optim.Adam(model.parameters())
    model(torch.ones(1, 3)).sum().backward()
    optimizer.step()
    return {
        "epoch": 3,
        "net": {f"module.{name}": tensor.half() for name, tensor in state.items()}
        | {"criterion.weight": torch.ones(2, 2)},
        "optimizer": optimizer.state_dict(),
        "scheduler": torch.optim.lr_scheduler.StepLR(optimizer, 3).state_dict(),
        "args": argparse.Namespace(lr=0.1, out=pathlib.Path("runs")),
        "best": np.float64(71.6),
        "began": datetime.datetime(2026, 11, 1),
        "losses": collections.defaultdict(list, {"train": [np.float32(0.5)]}),
        "numpy": np.random.get_state(),
        "torch": torch.get_rng_state(),
        "criterion": nn.CrossEntropyLoss(),
        "device": torch.device("cpu"),
    }


if __name__ == "__main__":
    main()
