"""EfficientNet-Lite and the MobileNets: agreement with timm and torchvision, cuts, statistics."""

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tljax import tree
from tljax.errors import InputError
from tljax.models.architecture import Architecture
from tljax.models.efficientnet_lite import LITE0, LITE1, LITE2
from tljax.models.mobilenet import V2, V3

from .references import seeded

REFERENCES = Path(__file__).parent / "references"
# The stored reference, its architecture, and the place of its layout there.
CASES = {
    "efficientnet-lite0-tf": (LITE0, 1),
    "efficientnet-lite0-timm": (LITE0, 2),
    "mobilenet-v2-timm": (V2, 1),
    "mobilenet-v2-torchvision": (V2, 0),
    "mobilenet-v3-large-timm": (V3, 1),
    "mobilenet-v3-large-torchvision": (V3, 0),
}
SEED, NUMBER = 3, 8  # as in `make_inverted.py`
# Of timm's networks without their top.
ARCHITECTURES = {architecture.name: architecture for architecture in (LITE0, LITE1, LITE2, V2, V3)}
PARAMETERS = dict(zip(ARCHITECTURES, (3371008, 4135680, 4811072, 2223872, 4202032), strict=True))


@pytest.fixture(scope="module", params=list(CASES))
def case(request):
    """Return a stored reference, the architecture, the file's options, its variables and paths."""
    architecture, place = CASES[request.param]
    layout = architecture.layouts[place]
    stored = dict(np.load(REFERENCES / f"{request.param}.npz"))
    shapes = seeded.unpacked(stored["shapes"])
    options = layout.options(shapes)
    values = variables(layout.arranged(seeded.filled(shapes, seed=SEED)))
    moving = [layout.ours(name) for name in shapes if "running_" in name]
    return stored, architecture, options, values, moving


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

    def whole(values, x):
        net = {kind: values[kind] for kind in ("params", "batch_stats")}
        (y, out), moved = module.apply(net, x, train=train, mutable=["batch_stats"])
        top = values["top"]["predictions"]
        return {**out, "predictions": y @ top["kernel"] + top["bias"]}, moved["batch_stats"]

    return jax.jit(whole)(values, x)


@pytest.mark.parametrize(
    ("size", "mode", "dtype", "tolerance"),
    # Batch statistics of eight photographs amplify a rounding error from cut to cut.
    [
        (48, "evaluate", "float32", 2e-5),
        (75, "evaluate", "float32", 2e-5),
        (48, "train", "float64", 1e-6),
        (75, "train", "float32", 2e-4),
    ],
)
def test_outputs_agree_at_every_cut(case, size, mode, dtype, tolerance):
    stored, architecture, options, values, moving = case
    with jax.enable_x64(dtype == "float64"):
        values = jax.tree.map(lambda leaf: jnp.asarray(leaf, dtype), values)
        x = jnp.asarray(seeded.images(size, number=NUMBER), dtype)
        out, moved = run(architecture, options, values, x, train=mode == "train")
    assert set(out) == {*architecture.names, "predictions"}
    worst = {cut: seeded.error(y, stored[f"{size}/{mode}/{cut}"]) for cut, y in out.items()}
    assert max(worst.values()) < tolerance, worst
    if mode == "train" and size == 48:
        moved = tree.flatten(moved)
        assert set(moved) == set(moving)
        errors = [
            seeded.error(moved[path], row)
            for path, row in zip(moving, stored["statistics"], strict=True)
        ]
        assert max(errors) < tolerance


def small(architecture: Architecture, **options):
    """Make a narrow network of the architecture, and variables that are not its defaults."""
    module = architecture.make(width=0.25, **options)
    shapes = jax.eval_shape(module.init, jax.random.key(0), jnp.zeros((1, 32, 32, 3)))
    draw = np.random.default_rng(5)

    def leaf(shape: tuple[int, ...]) -> np.ndarray:
        if len(shape) == 1:
            return draw.uniform(0.5, 1.5, shape).astype(np.float32)
        return draw.normal(0, np.sqrt(1.5 / np.prod(shape[:-1])), shape).astype(np.float32)

    return module, jax.tree.map(lambda shaped: leaf(shaped.shape), shapes)


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_the_published_network_has_the_makers_number_of_parameters(name):
    architecture = ARCHITECTURES[name]
    module = architecture.make(**architecture.options)
    shapes = jax.eval_shape(module.init, jax.random.key(0), jnp.zeros((1, 32, 32, 3)))
    assert sum(leaf.size for leaf in jax.tree.leaves(shapes["params"])) == PARAMETERS[name]
    assert set(shapes["params"]) == set(architecture.modules)
    assert architecture.names[-1] == ("wide" if name == "mobilenet-v3-large" else "pool")


@pytest.mark.parametrize(
    "name", ["efficientnet-lite0", pytest.param("mobilenet-v3-large", marks=pytest.mark.slow)]
)
def test_stopping_and_starting_at_a_cut_gives_the_same_bits(name):
    architecture = ARCHITECTURES[name]
    module, values = small(architecture)
    x = seeded.images(32)
    whole, out = module.apply(values, x)
    for cut in architecture.names[:-1]:
        half, before = module.apply(values, x, stop=cut)
        rest, after = module.apply(values, half, start=architecture.following(cut))
        assert [*before, *after] == list(architecture.names)
        np.testing.assert_array_equal(half, out[cut])
        np.testing.assert_array_equal(rest, whole)


@pytest.mark.parametrize(
    "name", ["efficientnet-lite0", pytest.param("mobilenet-v3-large", marks=pytest.mark.slow)]
)
def test_frozen_statistics_stay_and_others_move_and_every_leaf_has_a_gradient(name):
    architecture = ARCHITECTURES[name]
    _, values = small(architecture)
    norms = sorted({path.rpartition("/")[0] for path in tree.flatten(values["batch_stats"])})
    frozen = frozenset(norms[::2])
    module, _ = small(architecture, frozen=frozen)
    x = seeded.images(32, number=4)

    def loss(params, statistics):
        net = {"params": params, "batch_stats": statistics}
        (y, _), moved = module.apply(net, x, train=True, mutable=["batch_stats"])
        return (y * jnp.arange(y.size).reshape(y.shape)).sum(), moved["batch_stats"]

    gradient, moved = jax.jit(jax.grad(loss, has_aux=True))(values["params"], values["batch_stats"])
    before, after = tree.flatten(values["batch_stats"]), tree.flatten(moved)
    for path in before:
        still = path.rpartition("/")[0] in frozen
        assert np.array_equal(before[path], after[path]) == still, path
    for path, leaf in tree.flatten(gradient).items():
        assert np.isfinite(leaf).all(), path
        assert np.any(leaf), path


@pytest.mark.slow  # other networks of branches have the same test
def test_branches_are_dropped_by_the_keys_of_their_examples():
    module, values = small(LITE0, drop_path=1.0)
    x, keys = np.repeat(seeded.images(32, number=1), 6, 0), jax.random.split(jax.random.key(1), 6)

    def features(keys, rate=0.9, train=True):
        # Statistics of the batch would couple the examples.
        norms = {path.rpartition("/")[0] for path in tree.flatten(values["batch_stats"])}
        module, _ = small(LITE0, drop_path=1.0, frozen=frozenset(norms))
        y = module.apply(values, x, train=train, rate=rate, keys=keys, mutable=[])[0][0]
        return np.asarray(y)

    one, whole = features(keys), features(keys, train=False)
    assert len({row.tobytes() for row in one}) > 1
    assert len({row.tobytes() for row in whole}) == 1
    np.testing.assert_array_equal(features(keys[::-1]), one[::-1])
    np.testing.assert_array_equal(features(keys, rate=0.0), whole)
    with pytest.raises(ValueError, match="needs `keys`"):
        module.apply(values, x, train=True, rate=0.9, mutable=["batch_stats"])


def test_a_file_of_another_network_is_not_recognised():
    stored = np.load(REFERENCES / "mobilenet-v2-timm.npz")
    shapes = seeded.unpacked(stored["shapes"])
    found = {
        layout.label
        for architecture in ARCHITECTURES.values()
        for layout in architecture.layouts
        if layout.options(shapes)
    }
    assert found == {"timm's MobileNetV2"}


def test_an_unknown_maker_is_one_line():
    with pytest.raises(InputError, match=r"maker: expected one of tf, torch, .* found 'keras'"):
        LITE0.make(maker="keras")
