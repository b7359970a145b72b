import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax.traverse_util import flatten_dict

from tljax.data.preprocess import TORCH
from tljax.models import resnet
from tljax.models.resnet import RESNET18, RESNET34, RESNET50

from . import bases
from .references.seeded import error, images, unpacked

BASIC = resnet.architecture("basic", counts=(1, 2, 1, 1), bottleneck=False)
BOTTLENECK = resnet.architecture("bottleneck", counts=(1, 2, 1, 1), bottleneck=True)
SMALL = {"basic": BASIC, "bottleneck": BOTTLENECK}
PUBLISHED = {"resnet18": 11_689_512, "resnet34": 21_797_672, "resnet50": 25_557_032}


@pytest.fixture(scope="module", params=["basic", "bottleneck"])
def loaded(request):
    architecture = SMALL[request.param]
    return architecture, *bases.loaded(
        f"resnet_{request.param}", architecture, architecture.layouts[0]
    )


@pytest.mark.parametrize("size", [75, 64])
def test_evaluation_agrees_with_torchvision_at_every_cut(loaded, size):
    architecture, stored, module, tree = loaded
    still = bases.parity(stored, module, tree, "eval", size, architecture.names)
    jax.tree.map(np.testing.assert_array_equal, still, tree["batch_stats"])


@pytest.mark.parametrize("size", [75, 64])
def test_training_agrees_with_torchvision_at_every_cut(loaded, size):
    """Batch statistics amplify a rounding error from cut to cut, so it is small in float64 only."""
    architecture, stored, module, tree = loaded
    bases.parity(stored, module, tree, "train", size, architecture.names, tolerance=5e-5)
    with jax.enable_x64(True):
        exact = architecture.make(dtype=jnp.float64)
        tree = jax.tree.map(lambda leaf: jnp.asarray(leaf, jnp.float64), tree)
        moved = bases.parity(stored, exact, tree, "train", size, architecture.names, tolerance=1e-6)
    if size != 75:
        return  # statistics are stored for the first size
    moved, old = flatten_dict(moved, sep="/"), flatten_dict(tree["batch_stats"], sep="/")
    ours = architecture.layouts[0].ours
    names = [name.removeprefix("moved/") for name in stored if name.startswith("moved/")]
    assert {ours(name) for name in names} == set(moved)
    for name in names:
        path, wanted = ours(name), stored[f"moved/{name}"]
        value, before = np.asarray(moved[path]), np.asarray(old[path])
        if path.endswith("/var"):  # torch's moves to n / (n - 1) times the batch's variance
            n = int(stored[f"values/{name.rpartition('.')[0]}"])
            value = 0.9 * before + (value - 0.9 * before) * n / (n - 1)
        assert error(value, wanted) < 1e-6, name


def test_frozen_statistics_stay_and_are_used(loaded):
    architecture, _, module, tree = loaded
    paths = flatten_dict(tree["batch_stats"], sep="/")
    frozen = {"stem_norm", "layer1_0/norm1", "layer2_0/down_norm", "layer4_0/norm2"}
    partly = architecture.make(frozen=frozenset(frozen))
    _, moved = bases.quick(
        lambda tree, x: partly.apply(tree, x, train=True, mutable=["batch_stats"])
    )(tree, images(64))
    moved = flatten_dict(moved["batch_stats"], sep="/")
    for path, before in paths.items():
        still = path.rpartition("/")[0] in frozen
        assert np.array_equal(moved[path], before) == still, path
    every = architecture.make(frozen=frozenset(path.rpartition("/")[0] for path in paths))
    trained, evaluated = (
        bases.quick(lambda tree, x, m=m, t=t: m.apply(tree, x, train=t)[0])(tree, images(64))
        for m, t in ((every, True), (module, False))
    )
    np.testing.assert_array_equal(trained, evaluated)


def test_starts_and_stops_at_every_cut(loaded):
    architecture, _, module, tree = loaded
    bases.starts_and_stops(architecture, module, tree, size=64)


def test_groups_cover_what_trains(loaded):
    architecture, _, module, tree = loaded
    bases.groups_cover(architecture, tree)
    bases.gradients(module, tree, size=64)


def test_branches_are_dropped_by_keys(loaded):
    architecture, _, _, tree = loaded
    bases.dropped(architecture, {}, tree, size=64)


@pytest.mark.parametrize("architecture", resnet.ARCHITECTURES, ids=lambda a: a.name)
def test_published_files_are_recognised(architecture):
    """Names and shapes are timm's, which are torchvision's."""
    stored = np.load(bases.REFERENCES / "resnet_shapes.npz")
    declared = unpacked(stored[architecture.name])
    layout = architecture.layouts[0]
    assert bases.published(architecture, layout, declared) == PUBLISHED[architecture.name]
    assert layout.preprocess == TORCH
    others = [other for other in resnet.ARCHITECTURES if other is not architecture]
    assert [other.layouts[0].options(declared) for other in others] == [None, None]
    wide = declared | {"layer1.0.conv2.weight": (128, 128, 3, 3)}  # wide_resnet50_2's
    assert layout.options(wide) is None
    assert layout.ours("layer1.0.se.fc1.weight") == "layer1.0.se.fc1.weight"


def test_groups_are_the_stages():
    assert RESNET50.groups == ("stem", "layer1", "layer2", "layer3", "layer4")
    assert RESNET18.frozen_prefix({"stem_conv", "stem_norm", "layer1_0"}) == "layer1_0"
    assert [len(a.names) for a in (RESNET18, RESNET34, RESNET50)] == [11, 19, 19]
