import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tljax.data import from_arrays
from tljax.data.preprocess import UNIT
from tljax.errors import InputError
from tljax.files import disk
from tljax.inputs import feature_store
from tljax.inputs.prefix import Prefix
from tljax.methods.pooled import Pooled, pooled
from tljax.models import ops
from tljax.models.build import Network, base_of


def test_a_map_is_averaged_in_as_many_cells_as_fit():
    x = jnp.arange(16.0).reshape(1, 4, 4, 1)
    np.testing.assert_allclose(pooled(x, most=4), [[2.5, 4.5, 10.5, 12.5]])
    np.testing.assert_allclose(pooled(x, most=3), [[7.5]])  # not even two on a side
    np.testing.assert_allclose(pooled(x, most=1000), np.arange(16.0)[None])
    two = jnp.concatenate([x, -x], axis=-1)
    np.testing.assert_allclose(pooled(two, most=1), [[7.5, -7.5]])  # channels are never averaged
    odd = jnp.arange(5.0).reshape(1, 5, 1, 1) * jnp.ones((1, 1, 5, 1))
    np.testing.assert_allclose(pooled(odd, most=4), [[1.0, 1.0, 3.0, 3.0]])  # rows 0-2 and 2-4


def test_tokens_are_averaged_without_padding_and_vectors_stay():
    x = jnp.array([[[1.0, 2.0], [3.0, 4.0], [0.0, 0.0]]])
    np.testing.assert_allclose(pooled(x, most=1), [[2.0, 3.0]])
    np.testing.assert_allclose(pooled(x[0], most=1), x[0])
    with pytest.raises(InputError, match=r"expected maps, tokens or vectors, found \(1, 1, 1, 2\)"):
        pooled(x[None, None, :, :1], most=1)


def base(name, **options):
    network = Network(name, options)
    module = base_of(network)
    example = network.architecture.example(32)
    shapes = jax.eval_shape(module.init, jax.random.key(0), example)
    zeros = jax.tree.map(lambda leaf: np.zeros(leaf.shape, leaf.dtype), shapes)
    stop = network.architecture.names[-1]
    return Prefix(network.architecture, module, zeros, stop, UNIT, None, views=1), example


@pytest.mark.parametrize(
    ("name", "last", "layers"),
    [
        ("vgg16", ("block5_pool", 512), 18),  # ends in a map
        ("resnet18", ("layer4_1", 512), 10),
        ("mobilenet-v3-large", ("wide", 1280), 18),  # pool, the mean of top, is in between
        ("vit-small", ("pool", 384), 15),  # normalises, too
        ("minilm-l6", ("block6", 384), 7),  # texts
    ],
)
def test_every_cut_of_a_base_is_a_layer_once(name, last, layers):
    prefix, example = base(name)
    widths = Pooled(prefix, example, progress=False).widths
    assert (list(widths.items())[-1], len(widths)) == (last, layers)


def test_a_network_for_training_from_scratch_is_refused():
    prefix, example = base("cnn", padding="SAME")
    with pytest.raises(InputError, match="expected a pretrained base with layers, found cnn"):
        Pooled(prefix, example, progress=False)


@pytest.fixture
def photographs():
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (8, 32, 32, 3)).astype(np.uint8)
    labels = np.arange(8) % 2
    return from_arrays(images[:6], labels[:6], ("cat", "dog"), validation=(images[6:], labels[6:]))


def test_rows_are_means_of_the_activations_and_are_kept(
    photographs, tmp_path, monkeypatch, in_a_hurry
):
    monkeypatch.setattr(ops, "compiler_options", in_a_hurry)
    prefix, example = base("vgg16", width=0.0625)
    drawn = jax.jit(prefix.base.init)(jax.random.key(1), jnp.zeros(example.shape))
    prefix = Prefix(prefix.architecture, prefix.base, drawn, prefix.stop, UNIT, None, views=1)
    made = Pooled(prefix, example, most=8, progress=False)
    found = made.split(photographs, "train", tmp_path)
    _, out = prefix.base.apply(drawn, UNIT(photographs.train.images))
    ends = np.cumsum([0, *made.widths.values()])
    for place, name in enumerate(made.widths):
        part = found.layers[:, ends[place] : ends[place + 1]]
        x = np.asarray(out[name])
        assert x.shape[-1] > 2  # of 2 channels, 8 features would be of several cells
        np.testing.assert_allclose(part, x.mean((1, 2)), rtol=1e-3, atol=1e-5)
    last = np.asarray(out["block5_pool"]).reshape(6, -1)
    np.testing.assert_allclose(found.last, last, rtol=1e-3, atol=1e-5)
    some = found.of(np.array([4, 1]))
    np.testing.assert_array_equal(some.layers, found.layers[[4, 1]])

    plain = made.features(photographs.train.images, "again")
    np.testing.assert_array_equal(plain.layers, found.layers)
    read = Pooled(prefix, example, most=8, progress=False)
    read._compiled = lambda *_: pytest.fail("computed again")
    again = read.split(photographs, "train", tmp_path)
    np.testing.assert_array_equal(again.layers, found.layers)


def test_rows_that_no_disk_takes_are_held_in_memory(
    photographs, tmp_path, monkeypatch, capsys, in_a_hurry
):
    monkeypatch.setattr(ops, "compiler_options", in_a_hurry)
    prefix, example = base("vgg16", width=0.0625)

    def refused(path, *_, **__):
        raise disk.Unwritable(f"{path}: no space")

    monkeypatch.setattr(feature_store, "stored", refused)
    made = Pooled(prefix, example, progress=False).split(photographs, "validation", tmp_path)
    assert made.layers.shape[0] == 2
    assert "no space; features are not kept" in capsys.readouterr().out
