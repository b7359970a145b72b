from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tljax.data.augment import Augment
from tljax.data.draws import augment_keys
from tljax.data.preprocess import CAFFE, TORCH, UNIT
from tljax.data.sources import ImageSet, ImageSets
from tljax.inputs import activations as kept
from tljax.inputs.images import from_images, from_prefix
from tljax.inputs.prefix import Prefix
from tljax.models import ops, vgg
from tljax.models.vgg import VGG16

N, SIZE = 5, 8


@pytest.fixture(scope="module", autouse=True)
def compiled_in_a_hurry():
    """Compiling takes most of the time here,
    and most of that is the optimiser over random draws.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ops, "compiler_options", lambda: {"xla_backend_optimization_level": 0})
        yield


def kernels(seed=0):
    """Block 1 of a VGG16 of a sixteenth of the width, and a layer behind it."""
    rng = np.random.default_rng(seed)
    shapes = {
        "block1_conv1": (3, 3, 3, 4),
        "block1_conv2": (3, 3, 4, 4),
        "block2_conv1": (3, 3, 4, 8),
    }
    return {
        name: {
            "kernel": rng.normal(0, 0.3, shape).astype(np.float32),
            "bias": np.full(shape[-1], 0.1, np.float32),
        }
        for name, shape in shapes.items()
    }


def split(count, seed):
    images = np.random.default_rng(seed).integers(0, 256, (count, SIZE, SIZE, 3), np.uint8)
    return ImageSet(images, np.arange(count, dtype=np.int32) % 2, tuple(map(str, range(count))))


SETS = ImageSets("test", ("cat", "dog"), split(N, 0), split(3, 1), "0" * 64)
PREFIX = Prefix(
    vgg.ARCHITECTURE,
    VGG16(width=0.0625),
    {"params": kernels()},
    "block1_pool",
    CAFFE,
    Augment(),
    views=2,
    batch=4,
)
PLAIN = replace(PREFIX, augment=None, views=1)


def activations(images):
    """The prefix by Flax, on a batch."""
    apply = ops.jit(lambda x: PREFIX.base.apply(PREFIX.variables, CAFFE(x), stop=PREFIX.stop)[0])
    return apply(images)


def test_photographs_are_augmented_in_training_only():
    read = from_images(SETS, augment=Augment(), preprocess=TORCH)
    keys = augment_keys(np.zeros(N, np.int32), np.arange(N))
    batch = read.train.inputs
    assert np.abs(ops.jit(read.augmented)(batch, keys) - TORCH(batch)).max() > 0.1
    np.testing.assert_array_equal(read.plain(batch), TORCH(batch))
    without = from_images(SETS, augment=None, preprocess=TORCH)
    np.testing.assert_array_equal(without.augmented(batch, keys), TORCH(batch))
    assert read.start is None
    assert (len(read.train), len(read.validation), read.train.views) == (N, 3, 1)


def test_cached_activations_are_those_of_the_prefix(tmp_path):
    read = from_prefix(SETS, PLAIN, store=tmp_path, progress=False)
    assert read.train.inputs.shape == (N, 4, 4, 4)
    for examples, images in (
        (read.train, SETS.train.images),
        (read.validation, SETS.validation.images),
    ):
        np.testing.assert_allclose(
            examples.inputs, activations(images), rtol=1e-5, atol=1e-4
        )  # values near 100
    assert read.start == "block2_conv1"
    np.testing.assert_array_equal(
        read.plain(read.train.inputs), read.augmented(read.train.inputs, None)
    )


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return tmp_path_factory.mktemp("store")


@pytest.fixture(scope="module")
def viewed(store):
    """Two augmented views, in blocks of 4: the last of each is padded."""
    return from_prefix(SETS, PREFIX, store=store, progress=False)


@pytest.mark.parametrize("view", [0, 1])
def test_view_k_is_what_pass_k_of_fresh_augmentation_draws(viewed, view):
    passes, example = np.full(N, view, np.int32), np.array([3, 0, 4, 1, 2], np.int32)
    keys = augment_keys(passes, example)
    augmented = ops.jit(from_images(SETS, augment=Augment(), preprocess=UNIT).augmented)
    fresh = augmented(SETS.train.images[example], keys) * 255
    found = viewed.train.inputs[viewed.train.rows(passes, example)]
    np.testing.assert_allclose(found, activations(fresh), rtol=1e-4, atol=1e-2)  # values near 100
    assert viewed.train.inputs.shape[0] == 2 * N


def test_views_differ_and_validation_is_never_augmented(viewed):
    assert np.abs(viewed.train.inputs[:N] - viewed.train.inputs[N:]).max() > 1
    expected = activations(SETS.validation.images)
    np.testing.assert_allclose(viewed.validation.inputs, expected, rtol=1e-5, atol=1e-4)


def test_a_second_run_computes_nothing(monkeypatch, store, viewed):
    """Nor does one with other kernels behind the prefix."""
    monkeypatch.setattr(kept.ops, "jit", lambda program: lambda *_: pytest.fail("computed again"))
    behind = {**PREFIX.variables["params"], "block2_conv1": kernels(seed=1)["block2_conv1"]}
    again = from_prefix(
        SETS, replace(PREFIX, variables={"params": behind}), store=store, progress=False
    )
    np.testing.assert_array_equal(again.train.inputs, viewed.train.inputs)
    np.testing.assert_array_equal(again.validation.inputs, viewed.validation.inputs)


OTHERS = {
    "base": (
        SETS,
        replace(
            PREFIX,
            variables={
                "params": {
                    **PREFIX.variables["params"],
                    "block1_conv2": kernels(seed=1)["block1_conv2"],
                }
            },
        ),
    ),
    "data": (replace(SETS, digest="1" * 64), PREFIX),
    "layer": (SETS, replace(PREFIX, stop="block1_conv2")),
    "preprocess": (SETS, replace(PREFIX, preprocess=TORCH)),
    "augment": (SETS, replace(PREFIX, augment=Augment(zoom=0.1))),
    "plain": (SETS, replace(PREFIX, augment=None)),
    "batch": (SETS, replace(PREFIX, batch=5)),
    "dtype": (SETS, replace(PREFIX, base=VGG16(width=0.0625, dtype=jnp.bfloat16))),
}


@pytest.mark.parametrize("other", list(OTHERS))
def test_whatever_decides_the_activations_is_in_their_identity(other):
    """And what does not decide those of validation, which is never augmented, is not in theirs."""
    sets, prefix = OTHERS[other]
    same = {
        name: PREFIX.identity(SETS, split=name) == prefix.identity(sets, split=name)
        for name in ("train", "validation")
    }
    assert same == {"train": False, "validation": other in ("augment", "plain", "batch")}


def test_other_statistics_are_another_base():
    """Batch statistics decide activations as kernels do; those behind the prefix decide nothing."""
    base = VGG16(width=0.0625, norm=True)
    variables = jax.device_get(base.init(jax.random.key(0), np.zeros((1, 32, 32, 3), np.float32)))
    prefix = replace(PREFIX, base=base, variables=variables)

    def weights_with(layer):
        moved = {
            **variables["batch_stats"],
            layer: {"norm": {"mean": np.ones(4), "var": np.ones(4)}},
        }
        other = replace(prefix, variables=variables | {"batch_stats": moved})
        return other.identity(SETS, split="train")["weights"]

    own = prefix.identity(SETS, split="train")["weights"]
    assert weights_with("block1_conv2") != own
    assert weights_with("block2_conv1") == own
