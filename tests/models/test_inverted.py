"""EfficientNet-Lite and the MobileNets: agreement with timm, cuts, frozen statistics."""

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tljax import tree
from tljax.models.architecture import Architecture
from tljax.models.efficientnet_lite import LITE0

from .references import seeded

REFERENCES = Path(__file__).parent / "references"
# The stored reference, its architecture, and the place of its layout there.
CASES = {"efficientnet-lite0": (LITE0, 1), "efficientnet-lite0-torch": (LITE0, 2)}
SEED, NUMBER = 3, 8  # as in `make_inverted.py`


@pytest.fixture(scope="module", params=list(CASES))
def case(request):
    """Return a stored reference, the architecture, the file's options and its variables."""
    architecture, place = CASES[request.param]
    layout = architecture.layouts[place]
    stored = dict(np.load(REFERENCES / f"{request.param}.npz"))
    shapes = seeded.unpacked(stored["shapes"])
    options = layout.options(shapes)
    assert options is not None
    return (
        stored,
        architecture,
        options,
        variables(layout.arranged(seeded.filled(shapes, seed=SEED))),
    )


def variables(leaves) -> dict:
    """Sort leaves by path into parameters, batch statistics and the top."""
    flat = {"params": {}, "batch_stats": {}, "top": {}}
    for path, leaf in leaves.items():
        kind = "batch_stats" if path.endswith(("/mean", "/var")) else "params"
        flat["top" if path.startswith("predictions/") else kind][path] = leaf
    return {kind: tree.nest("test", leaves) for kind, leaves in flat.items()}


def run(architecture: Architecture, options, values, x, *, train: bool):
    """Run the whole base, compiled, in the dtype of `x`, and the top after it."""
    module = architecture.make(**options, dtype=x.dtype)

    @jax.jit
    def whole(values, x):
        net = {kind: values[kind] for kind in ("params", "batch_stats")}
        (y, out), moved = module.apply(net, x, train=train, mutable=["batch_stats"])
        top = values["top"]["predictions"]
        return {**out, "predictions": y @ top["kernel"] + top["bias"]}, moved["batch_stats"]

    return whole(values, x)


@pytest.mark.parametrize("size", [64, 97])
@pytest.mark.parametrize(
    ("mode", "dtype", "tolerance"),
    # Batch statistics of eight photographs amplify a rounding error from cut to cut.
    [("evaluate", "float32", 1e-5), ("train", "float32", 5e-5), ("train", "float64", 1e-6)],
)
def test_outputs_agree_with_timm_at_every_cut(case, size, mode, dtype, tolerance):
    stored, architecture, options, values = case
    with jax.enable_x64(dtype == "float64"):
        values = jax.tree.map(lambda leaf: jnp.asarray(leaf, dtype), values)
        x = jnp.asarray(seeded.images(size, number=NUMBER), dtype)
        out, _ = run(architecture, options, values, x, train=mode == "train")
    assert set(architecture.names) <= set(out)
    worst = {cut: seeded.error(y, stored[f"{size}/{mode}/{cut}"]) for cut, y in out.items()}

    assert max(worst.values()) < tolerance, worst
