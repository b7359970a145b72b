"""Weights that Keras 3 wrote, in every layout, with its outputs; and our files read by Keras."""

import h5py
import jax
import numpy as np
import pytest

from tljax.data.preprocess import CAFFE, TORCH, UNIT
from tljax.models.classifiers import Classifier
from tljax.models.heads import Top
from tljax.models.vgg import CONVS, LAYERS, VGG16
from tljax.weights import Weights, digest, read
from tljax.weights.keras import write as keras_write
from tljax.weights.torch import safetensors as torch_safe
from tljax.weights.vgg16 import TOP

# Keras 3.15 writes its variables through a NumPy protocol that NumPy 2 warns about.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")


def keras_vgg(**options):
    """Random weights with biases that are not zero, as Keras's own are at first."""
    import keras

    model = keras.applications.VGG16(weights=None, **options)
    rng = np.random.default_rng(0)
    for weight in model.weights:
        if weight.ndim == 1:
            weight.assign(rng.uniform(-0.1, 0.1, weight.shape))
    return model


def keras_outputs(model, images):
    """Every layer's, by name."""
    import keras

    names = [layer.name for layer in model.layers if layer.name in LAYERS + TOP]
    every = keras.Model(model.input, [model.get_layer(name).output for name in names])
    return dict(zip(names, map(np.asarray, every(images)), strict=True))


def tree(model):
    """Keras's variables as `Weights.params` has them."""
    return {
        layer.name: {"kernel": np.asarray(layer.kernel), "bias": np.asarray(layer.bias)}
        for layer in model.layers
        if layer.name in CONVS + TOP
    }


def assert_same_bits(found, expected):
    assert jax.tree.all(jax.tree.map(np.array_equal, found, expected))


def assert_equal_outputs(found, expected):
    """1e-5 of the layer's largest output."""
    for layer, array in expected.items():
        scale = np.abs(array).max()
        assert scale > 0
        np.testing.assert_allclose(found[layer], array, atol=1e-5 * scale, rtol=0, err_msg=layer)


def official(model, path):
    """The layout of the published files: two datasets a layer, older names, attributes of bytes."""
    with h5py.File(path, "w") as file:
        file.attrs["layer_names"] = np.array([layer.name.encode() for layer in model.layers])
        for layer in model.layers:
            group, names = file.create_group(layer.name), []
            for kind, weight in zip("Wb", layer.weights, strict=False):
                names.append(f"{layer.name}_{kind}_1:0".encode())
                group.create_dataset(names[-1].decode(), data=np.asarray(weight))
            group.attrs["weight_names"] = np.array(names)


def keras_2(model, path):
    """`save_weights` of Keras 2: groups in groups and `:0`."""
    with h5py.File(path, "w") as file:
        for layer in model.layers:
            for kind, weight in zip(("kernel", "bias"), layer.weights, strict=False):
                file.create_dataset(f"{layer.name}/{layer.name}/{kind}:0", data=np.asarray(weight))


def unnamed(model, path):
    """`.weights.h5` of the first Keras 3, which did not note the layers' names."""
    model.save_weights(path.with_name("x.weights.h5"))
    path.with_name("x.weights.h5").rename(path)
    with h5py.File(path, "r+") as file:
        for group in file["layers"].values():
            del group["vars"].attrs["name"]


def saved(name):
    def write(model, path):
        save = model.save_weights if name.endswith("weights.h5") else model.save
        save(path.with_name(name))
        path.with_name(name).rename(path)

    return write


LAYOUTS = {
    "official": official,
    "keras_2": keras_2,
    "model.save": saved("x.h5"),
    "weights.h5": saved("x.weights.h5"),
    "unnamed": unnamed,
    "keras": saved("x.keras"),
}


@pytest.fixture(scope="module")
def at_150():
    """Keras's model, images, Keras's outputs, and ours as a function of the file."""
    model = keras_vgg(include_top=False, input_shape=(150, 150, 3))
    model.compile("sgd", "mse")
    model.optimizer.build(model.trainable_variables)  # whose state `model.save` writes too
    images = np.random.default_rng(1).normal(0, 60, (1, 150, 150, 3)).astype(np.float32)
    return model, images, keras_outputs(model, images), jax.jit(VGG16().apply)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layer_at_150_is_keras_s(at_150, tmp_path, layout):
    """The certificate. The file's name says nothing about its format."""
    model, images, expected, apply = at_150
    LAYOUTS[layout](model, tmp_path / "file.dat")
    weights = read(tmp_path / "file.dat")
    assert weights.architecture == {"name": "vgg16", "width": 1.0}
    assert weights.preprocess == CAFFE
    assert weights.top is None
    assert weights.provenance["file"] == "file.dat"
    assert digest(weights.params) == digest(tree(model))
    assert sum(leaf.size for leaf in jax.tree.leaves(weights.params)) == 14_714_688
    if layout in ("official", "keras"):  # the parameters are the same bits, so their outputs are
        found = apply({"params": weights.params}, images)[1]
        assert found.keys() == expected.keys() == set(LAYERS)
        assert_equal_outputs(found, expected)


def test_every_layer_at_224_with_the_top_is_keras_s(tmp_path):
    """The certificate, to the 1000 probabilities; and Keras reads what we write of it."""
    model = keras_vgg()
    model.save_weights(tmp_path / "top.weights.h5")
    images = np.random.default_rng(1).normal(0, 60, (1, 224, 224, 3)).astype(np.float32)
    expected = keras_outputs(model, images)
    params = tree(model)
    weights = read(tmp_path / "top.weights.h5")
    assert weights.architecture == {"name": "vgg16", "width": 1.0, "size": 224}
    assert_same_bits(weights.params | weights.top, params)
    out = jax.jit(Classifier(VGG16(), Top()).apply)(
        {"params": {"base": weights.params, "head": weights.top}}, images
    )[1]
    found = {name.split("/")[1]: value for name, value in out.items()}
    found["predictions"] = jax.nn.softmax(found["predictions"])
    assert set(found) == expected.keys() == {*LAYERS, *TOP}
    assert_equal_outputs(found, expected)
    keras_write.write(tmp_path / "ours.h5", weights)
    for weight in model.weights:
        weight.assign(np.zeros(weight.shape, np.float32))
    model.load_weights(tmp_path / "ours.h5")
    assert_same_bits(tree(model), params)


def test_keras_reads_what_we_write_without_top(at_150, tmp_path):
    import keras

    model = at_150[0]
    weights = Weights(
        tree(model), {"name": "vgg16", "width": 1.0}, UNIT, ("cat", "dog"), {"epochs": 3}
    )
    keras_write.write(tmp_path / "ours.h5", weights)
    for options in ({}, {"input_shape": (64, 64, 3)}):
        again = keras.applications.VGG16(
            include_top=False, weights=str(tmp_path / "ours.h5"), **options
        )
        assert digest(tree(again)) == digest(tree(model))
    with h5py.File(tmp_path / "ours.h5") as file:
        assert file.attrs["layer_names"][0] == b"block1_conv1"
        assert file["block1_conv1"].attrs["weight_names"].tolist() == [
            b"block1_conv1/kernel:0",
            b"block1_conv1/bias:0",
        ]


@pytest.mark.parametrize("write", [keras_write.write, torch_safe.write])
def test_layouts_of_others_keep_what_tljax_knows(vgg, tmp_path, write):
    """Preprocessing, class names and provenance, where the layout's own would be wrong."""
    layers = vgg.layers()
    top = {layer: layers.pop(layer) for layer in TOP}
    architecture = {"name": "vgg16", "width": vgg.width, "size": 64}
    preprocess = UNIT if write is keras_write.write else CAFFE
    ours = Weights(
        layers, architecture, preprocess, ("cat", "dog", "owl", "é"), {"epochs": 3}, top=top
    )
    write(tmp_path / "w", ours)
    found = read(tmp_path / "w")
    assert (found.architecture, found.preprocess, found.classes, found.provenance) == (
        ours.architecture,
        ours.preprocess,
        ours.classes,
        ours.provenance,
    )
    assert digest(found.params) == digest(ours.params)
    assert digest(found.top) == digest(ours.top)
    assert found.source == str(tmp_path / "w")


@pytest.mark.parametrize("width", [1.0, 0.75, 0.5, 0.3, 0.25, 0.1, 1 / 16, 0.03, 1 / 64, 2.0])
def test_the_width_comes_from_the_shapes(width, tmp_path):
    """Also where rounding left no layer exactly that wide."""
    from tljax.models.vgg import channels
    from tljax.weights.vgg16 import width_of

    found = width_of({f"{layer}/bias": (channels(layer, width),) for layer in CONVS})
    assert [channels(layer, found) for layer in CONVS] == [
        channels(layer, width) for layer in CONVS
    ]


@pytest.mark.parametrize("write", [keras_write.write, torch_safe.write])
def test_what_is_no_vgg16_is_not_written(vgg, tmp_path, write):
    layers = vgg.layers()
    del layers["block4_conv2"]["bias"]
    weights = Weights(layers, {}, TORCH, (), {})
    assert f"{tmp_path / 'w'}: not a whole VGG16" in vgg.refusal(write, tmp_path / "w", weights)
    assert "expected the layers of a VGG16, found conv1/kernel" in vgg.refusal(
        write,
        tmp_path / "w",
        Weights({"conv1": {"kernel": np.ones((3, 3, 3, 4))}}, {}, TORCH, (), {}),
    )
    assert list(tmp_path.iterdir()) == []
