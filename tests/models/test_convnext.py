import jax
import numpy as np
import pytest

from tljax.data.preprocess import TORCH
from tljax.models import convnext

from . import bases
from .references.seeded import images, unpacked

SMALL = convnext.architecture("small", counts=(1, 2, 1, 1))
PUBLISHED = {"convnext-tiny": 28_589_128, "convnext-small": 50_223_688}
MAKERS = ("timm", "torchvision")  # in the order of the layouts


@pytest.fixture(scope="module", params=[0, 1], ids=MAKERS)
def loaded(request):
    layout = SMALL.layouts[request.param]
    return bases.loaded(f"convnext_{MAKERS[request.param]}", SMALL, layout)


@pytest.mark.parametrize("mode", ["eval", "train"])
@pytest.mark.parametrize("size", [75, 64])
def test_agrees_with_its_maker_at_every_cut(loaded, mode, size):
    assert bases.parity(*loaded, mode, size, SMALL.names) == {}


def test_every_cut_and_every_parameter_counts():
    _, module, tree = bases.loaded("convnext_timm", SMALL, SMALL.layouts[0])
    bases.starts_and_stops(SMALL, module, tree, size=64)
    bases.groups_cover(SMALL, tree)
    bases.gradients(module, tree, size=64)


def test_branches_are_dropped_by_keys():
    bases.dropped(SMALL, {}, bases.loaded("convnext_timm", SMALL, SMALL.layouts[0])[2], size=64)


@pytest.mark.parametrize("maker", MAKERS)
@pytest.mark.parametrize("architecture", convnext.ARCHITECTURES, ids=lambda a: a.name)
def test_published_files_are_recognised(architecture, maker):
    stored = np.load(bases.REFERENCES / "convnext_shapes.npz")
    declared = unpacked(stored[f"{maker}/{architecture.name.replace('-', '_')}"])
    own = architecture.layouts[MAKERS.index(maker)]
    assert bases.published(architecture, own, declared) == PUBLISHED[architecture.name]
    assert own.preprocess == TORCH
    others = [layout for a in convnext.ARCHITECTURES for layout in a.layouts if layout is not own]
    assert [layout.options(declared) for layout in others] == [None] * 3
    wider = {name: tuple(2 * side for side in shape) for name, shape in declared.items()}
    assert own.options(wider) is None
    assert own.ours("stages.0.blocks.0.mlp.grn.weight") == "stages.0.blocks.0.mlp.grn.weight"


def test_scales_of_a_fresh_network_are_small():
    tree = bases.quick(SMALL.make().init)(jax.random.key(0), images(64))
    np.testing.assert_array_equal(tree["params"]["stage2_1"]["gamma"], np.float32(1e-6))
