import jax
import numpy as np
import pytest

from tljax.data.preprocess import TORCH
from tljax.errors import InputError
from tljax.models import vit
from tljax.models.vit_files import AUGREG

from . import bases
from .references.seeded import filled, images, unpacked

TOY = vit.architecture("toy", width=128, blocks=4)
TIMM, DINO, TORCHVISION = TOY.layouts
VARIANTS = {
    "augreg": (TIMM, (96, 80), {"grid": 6, "placed": 1, "pool": "token"}),
    "dinov2": (DINO, (84, 112), {"patch": 14, "layer_scale": True}),
    "registers": (TIMM, (80, 96), {"registers": 4, "placed": 0}),
    "placed": (DINO, (80, 48), {"registers": 4, "placed": 5}),
    "mean": (TIMM, (64, 80), {"class_token": False, "pool": "mean"}),
    "mean_norm": (TIMM, (64, 48), {"pool": "mean_norm"}),
    "torchvision": (TORCHVISION, (96,), {"grid": 6, "patch": 16}),
}
CASES = [(variant, size) for variant, (_, sizes, _) in VARIANTS.items() for size in sizes]
PUBLISHED = {  # parameters, architecture, place of the layout, options
    "vit_small_patch16_224": (22_050_664, vit.SMALL, 0, {}),
    "vit_base_patch16_224": (86_567_656, vit.BASE, 0, {}),
    "vit_base_patch16_384": (86_859_496, vit.BASE, 0, {"grid": 24}),
    "vit_small_patch14_dinov2": (22_056_192, vit.SMALL, 1, {"patch": 14, "grid": 37}),
    "vit_base_patch14_dinov2": (86_579_712, vit.BASE, 1, {"patch": 14, "grid": 37}),
    "vit_small_patch14_reg4_dinov2": (22_057_344, vit.SMALL, 1, {"registers": 4, "placed": 0}),
    "torchvision": (86_567_656, vit.BASE, 2, {}),
}


def loaded(variant: str):
    return bases.loaded(f"vit_{variant}", TOY, VARIANTS[variant][0])


@pytest.mark.parametrize(("variant", "size"), CASES)
def test_agrees_with_its_maker_at_every_cut(variant, size):
    """At the second size the positions are resized."""
    stored, module, tree = loaded(variant)
    for name, value in VARIANTS[variant][2].items():
        assert getattr(module, name) == value
    for mode in ("eval", "train"):
        assert bases.parity(stored, module, tree, mode, size, TOY.names) == {}


@pytest.mark.parametrize(("variant", "size"), [("augreg", 80), ("placed", 48), ("mean_norm", 64)])
def test_every_cut_and_every_parameter_counts(variant, size):
    _, module, tree = loaded(variant)
    bases.starts_and_stops(TOY, module, tree, size=size)
    bases.groups_cover(TOY, tree)
    bases.gradients(module, tree, size=size)


def test_branches_are_dropped_by_keys():
    bases.dropped(TOY, {"grid": 6}, loaded("augreg")[2], size=96)


def test_attention_and_layers_drop_apart():
    """Where only the first branch of the last block is dropped, its second still counts."""
    tree = loaded("augreg")[2]
    pixels = np.repeat(images(96)[:1], 64, axis=0)
    keys = jax.random.split(jax.random.key(0), 64)
    module = vit.architecture("two", width=128, blocks=2).make(grid=6, drop_path=1.0)
    run = bases.quick(
        lambda tree, x, keys: module.apply(tree, x, train=True, rate=0.5, keys=keys)[1]
    )
    params = {**tree["params"], "blocks1_norm": tree["params"]["blocks2_norm"]}
    features = np.asarray(run({"params": params}, pixels, keys)["blocks1_1"]).reshape(64, -1)
    assert len(np.unique(features.round(2), axis=0)) == 4


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_files_are_recognised(name):
    count, architecture, place, changes = PUBLISHED[name]
    declared = unpacked(np.load(bases.REFERENCES / "vit_shapes.npz")[name])
    own = architecture.layouts[place]
    options = own.options(declared)
    assert options.items() >= changes.items()
    side = options["patch"] * options["grid"]
    assert bases.published(architecture, own, declared, size=side) == count
    assert own.preprocess == (AUGREG if place == 0 else TORCH)
    others = [x for a in vit.ARCHITECTURES for x in a.layouts if x is not own]
    assert [layout.options(declared) for layout in others] == [None] * 5
    deeper = {key.replace("11", "12"): shape for key, shape in declared.items()}
    assert own.options(declared | deeper) is None


def test_dinov2s_own_names_with_registers():
    """They place the class token and not the registers; timm's file has added its position."""
    stored = dict(np.load(bases.REFERENCES / "vit_registers.npz"))
    leaves = filled(unpacked(stored["shapes"]), seed=bases.SEED)
    leaves["register_tokens"] = leaves.pop("reg_token")
    place = np.full((1, 1, 128), 0.25, np.float32)
    leaves["cls_token"] = leaves["cls_token"] - place
    leaves["pos_embed"] = np.concatenate([place, leaves["pos_embed"]], axis=1)
    leaves["mask_token"] = np.ones((1, 128), np.float32)
    del leaves["head.weight"], leaves["head.bias"]
    shapes = {name: leaf.shape for name, leaf in leaves.items()}
    assert TIMM.options(shapes) is None
    options = DINO.options(shapes)
    assert options.items() >= {"registers": 4, "placed": 1, "grid": 5}.items()
    tree = bases.variables(TOY, DINO, leaves, options, size=80)
    bases.parity(stored, TOY.make(**options), tree, "eval", 80, TOY.names)


def test_names_that_are_none_of_ours_come_back():
    for name in ("blocks.0.attn.q_norm.weight", "blocks.4.norm1.weight", "norm_pre.weight"):
        assert TIMM.ours(name) == name
    for name in ("heads.pre_logits.weight", "encoder.ln.other", "norm.weight"):
        assert TORCHVISION.ours(name) == name


def test_images_that_patches_do_not_fill_are_named():
    with pytest.raises(InputError, match=r"images of 75 x 75 .* patches of 16 fill, such as 64"):
        TOY.make().init(jax.random.key(0), images(75))


def test_groups_are_three_blocks():
    assert vit.SMALL.groups == ("embed", "blocks1", "blocks2", "blocks3", "blocks4")
    assert vit.SMALL.cuts[-1].modules == ("blocks4_norm",)
