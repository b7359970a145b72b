"""What a torch network gives at each cut, recorded for the tests; imported by make_NAME.py.

The networks have the weights of `seeded.filled`; names and shapes of their state dicts are kept
beside the outputs, so that the tests make the same weights without torch. All is computed in
float64: batch statistics amplify rounding from cut to cut.
"""

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import torch
from seeded import filled, images, packed, summary

HERE = Path(__file__).parent
SEED = 7


def shapes(network: torch.nn.Module) -> dict[str, tuple[int, ...]]:
    """Name the tensors of a state dict, and their shapes."""
    return {name: tuple(leaf.shape) for name, leaf in network.state_dict().items()}


def fill(network: torch.nn.Module) -> None:
    """Give a network the weights that the tests make again."""
    arrays = filled(shapes(network), seed=SEED)
    network.load_state_dict({name: torch.from_numpy(array) for name, array in arrays.items()})


def outputs(
    network: torch.nn.Module, cuts: Mapping[str, torch.nn.Module], pixels: np.ndarray
) -> dict[str, np.ndarray]:
    """Run a network and return the output of each cut, channels last."""
    found: dict[str, np.ndarray] = {}

    def keep(name: str) -> Callable[..., None]:
        def hook(module: torch.nn.Module, inputs: object, output: torch.Tensor) -> None:
            array = output.detach().numpy().copy()
            found[name] = array.transpose(0, 2, 3, 1) if array.ndim == 4 else array

        return hook

    hooks = [module.register_forward_hook(keep(name)) for name, module in cuts.items()]
    with torch.no_grad():
        network(torch.from_numpy(pixels.transpose(0, 3, 1, 2).copy()).double())
    for hook in hooks:
        hook.remove()
    return found


def record(
    network: torch.nn.Module,
    cuts: Mapping[str, torch.nn.Module],
    *,
    sizes: tuple[int, ...],
) -> dict[str, np.ndarray]:
    """Summarise what a network gives in evaluation, and in training with its moved statistics.

    Statistics are those after one batch of the first size. Keys are MODE/SIZE/CUT, moved/TENSOR,
    values/LAYER (how many values its variance is of) and shapes.
    """
    network.double()
    fill(network)
    stored = {"shapes": packed(shapes(network))}
    for size in sizes:
        network.eval()
        given = outputs(network, cuts, images(size))
        stored |= {f"eval/{size}/{cut}": summary(value) for cut, value in given.items()}
    network.train()
    norms = {
        name: module
        for name, module in network.named_modules()
        if isinstance(module, torch.nn.BatchNorm2d)
    }
    for size in sizes:
        fill(network)
        given = outputs(network, cuts | norms, images(size))
        stored |= {f"train/{size}/{cut}": summary(given[cut]) for cut in cuts}
        if size == sizes[0]:
            moved = network.state_dict()
            for name in norms:
                stored[f"values/{name}"] = np.int64(given[name][..., 0].size)
                for leaf in ("running_mean", "running_var"):
                    stored[f"moved/{name}.{leaf}"] = summary(moved[f"{name}.{leaf}"])
    return stored


def same(first: Mapping[str, np.ndarray], second: Mapping[str, np.ndarray]) -> None:
    """Check that two libraries give the same at every cut, before one is stored."""
    for name in first:
        if name.startswith(("eval/", "train/")):
            np.testing.assert_allclose(first[name], second[name], rtol=1e-9)


def write(name: str, stored: Mapping[str, np.ndarray]) -> None:
    """Write a reference beside this file, rounded to float32."""
    path = HERE / f"{name}.npz"
    single = {
        key: array.astype(np.float32) if array.dtype == np.float64 else array
        for key, array in stored.items()
    }
    np.savez_compressed(path, **single)
    print(f"{path.name}: {path.stat().st_size} bytes, torch {torch.__version__}")
