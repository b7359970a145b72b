"""Keras contenders, in a process of their own: KERAS_BACKEND must be set before the import."""

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras  # pyright: ignore[reportMissingImports]
import numpy as np

from tljax.benchmark import photos
from tljax.benchmark.rows import Settings
from tljax.benchmark.timing import Contender


def _scratch(settings: Settings) -> Any:
    """Build the lecture's network, compiled as in the lecture."""
    keras.config.set_dtype_policy(
        "float32" if settings.dtype == "float32" else f"mixed_{settings.dtype}"
    )
    layers: list[Any] = [keras.Input((settings.size, settings.size, 3))]
    for channels in (32, 64, 128, 128):
        layers += [
            keras.layers.Conv2D(channels, 3, activation="relu"),
            keras.layers.MaxPooling2D(2),
        ]
    layers += [
        keras.layers.Flatten(),
        keras.layers.Dropout(0.5),
        keras.layers.Dense(512, activation="relu"),
    ]
    model = keras.Sequential([*layers, keras.layers.Dense(1)])
    loss = keras.losses.BinaryCrossentropy(from_logits=True)
    accuracy = keras.metrics.BinaryAccuracy(threshold=0.0)
    model.compile(keras.optimizers.RMSprop(1e-4), loss, metrics=[accuracy])
    return model


def _examples(settings: Settings, count: int) -> tuple[np.ndarray, np.ndarray]:
    images, labels = photos.images(count, settings.size)
    return images.astype(np.float32) / 255, labels[:, None].astype(np.float32)


def _scratch_step(settings: Settings) -> Contender:
    model, (images, labels) = _scratch(settings), _examples(settings, settings.batch)
    return Contender(lambda: model.train_on_batch(images, labels), {"images": settings.batch})


def _evaluation(settings: Settings) -> Contender:
    model, (images, labels) = _scratch(settings), _examples(settings, settings.evaluated)

    def call() -> None:
        model.evaluate(images, labels, batch_size=settings.batch, verbose=0)

    return Contender(call, {"images": settings.evaluated})


def _augmentation(settings: Settings) -> Contender:
    """Time the lecture's generator.

    Its shear is in degrees in this version, so the lecture's 0.2 radians are 11.5.
    """
    from keras.src.legacy.preprocessing.image import ImageDataGenerator  # pyright: ignore[reportMissingImports]

    generator = ImageDataGenerator(
        rescale=1 / 255,
        rotation_range=40,
        width_shift_range=0.2,
        height_shift_range=0.2,
        shear_range=11.46,
        zoom_range=0.2,
        horizontal_flip=True,
        fill_mode="nearest",
    )
    batches = generator.flow(
        photos.images(settings.batch, settings.size)[0], batch_size=settings.batch
    )
    return Contender(lambda: next(batches), {"images": settings.batch})


def _decode(settings: Settings) -> Contender:
    """Time `load_img` from files, one after another: it has no threads."""
    folder = tempfile.TemporaryDirectory()
    paths = [Path(folder.name) / f"{i}.jpg" for i in range(settings.photographs)]
    for path, data in zip(paths, photos.jpegs(len(paths)), strict=True):
        path.write_bytes(data)

    def call() -> None:
        assert folder  # keeps it until the contender is dropped
        for path in paths:
            square = keras.utils.load_img(
                path, target_size=(settings.size,) * 2, interpolation="bilinear"
            )
            np.asarray(square)

    return Contender(call, {"images": len(paths)})


MAKERS: dict[str, Callable[[Settings], Contender]] = {
    "scratch step": _scratch_step,
    "evaluation": _evaluation,
    "augmentation": _augmentation,
    "decode": _decode,
}
