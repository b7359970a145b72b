"""A classifier on VGG16 as a Keras model of Keras's own layers."""

import os
from pathlib import Path
from typing import Any

import numpy as np

from tljax.data.preprocess import Preprocess, of_pixels
from tljax.errors import InputError
from tljax.models import build
from tljax.models.vgg import CONVS, LAYERS
from tljax.train.outcome.trained import Trained


def write(path: Path, trained: Trained) -> None:
    """Write a `.keras` file that `keras.models.load_model` opens, with any backend.

    InputError for another base than VGG16, and where Keras is not installed.
    """
    if trained.network.base != "vgg16":
        raise InputError(
            f"export: Keras has layers for vgg16 only, found {trained.network.base}: "
            "use --to stablehlo or onnx"
        )
    if trained.network.layers != "last":
        raise InputError("export: Keras's model reads the last layer; use --to stablehlo or onnx")
    os.environ.setdefault("KERAS_BACKEND", "jax")  # read when Keras is first imported
    try:
        import keras
    except ModuleNotFoundError as error:
        raise InputError(f"Keras wants the package {error.name}: pip install keras") from None
    model = _model(keras, trained)
    named = path.with_name(f"{path.name}.keras")  # Keras goes by the name
    try:
        model.save(named)
        os.replace(named, path)
    finally:
        named.unlink(missing_ok=True)


def _model(keras: Any, trained: Trained) -> Any:
    """Build the layers and fill them; preprocessing is a convolution of one pixel."""
    net, network, layers = trained.net, trained.network, keras.layers
    variables = {"params": net.params, **net.statistics}
    _, base = build.folded(network, build.base_variables(variables))
    head, side = net.params["head"], trained.size
    images = keras.Input((side, side, 3), dtype="uint8", name="images")
    x = layers.Rescaling(1.0, name="pixels")(images)  # to float32
    filled = {"preprocess": _preprocessing(of_pixels(trained.preprocess, where=trained.rung))}
    x = layers.Conv2D(3, 1, name="preprocess")(x)
    for name in LAYERS:
        if name in CONVS:
            kernel, bias = (np.asarray(base["params"][name][leaf]) for leaf in ("kernel", "bias"))
            filled[name] = [kernel, bias]
            conv = layers.Conv2D(len(bias), 3, padding="same", activation="relu", name=name)
            x = conv(x)
        else:
            x = layers.MaxPooling2D(name=name)(x)
    x = layers.Flatten(name="flatten")(x)
    if network.feature_norm:
        norm = layers.RMSNormalization(epsilon=1e-6, name="features_norm")
        filled["features_norm"] = [np.ones(x.shape[-1], np.float32)]
        x = norm(x)
    if network.hidden:
        x = layers.Dense(network.hidden, activation="relu", name="fc1")(x)
        filled["fc1"] = [np.asarray(head["fc1"][leaf]) for leaf in ("kernel", "bias")]
    filled["predictions"] = _two_sided(head["predictions"])
    classes = len(trained.classes)
    out = layers.Dense(classes, activation="softmax", name="predictions")(x)
    model = keras.Model(images, out, name=f"{network.base}_{trained.rung}")
    for name, arrays in filled.items():
        model.get_layer(name).set_weights(arrays)
    return model


def _preprocessing(preprocess: Preprocess) -> list[np.ndarray]:
    """Return kernel `[1, 1, 3, 3]` and bias `[3]` that turn and scale the channels."""
    std, mean = np.array(preprocess.std), np.array(preprocess.mean)
    order = (2, 1, 0) if preprocess.channels == "BGR" else (0, 1, 2)
    kernel = np.zeros((1, 1, 3, 3), np.float32)
    for place, channel in enumerate(order):
        kernel[0, 0, channel, place] = preprocess.scale / std[place]
    return [kernel, (-mean / std).astype(np.float32)]


def _two_sided(leaves: Any) -> list[np.ndarray]:
    """Return kernel and bias of the last layer; the one logit of two classes becomes (0, z)."""
    kernel, bias = np.asarray(leaves["kernel"]), np.asarray(leaves["bias"])
    if len(bias) > 1:
        return [kernel, bias]
    return [np.concatenate([np.zeros_like(part), part], axis=-1) for part in (kernel, bias)]
