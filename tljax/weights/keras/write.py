"""A VGG16 as Keras's legacy HDF5.

`keras.applications.VGG16(weights=PATH)` of Keras 2 and 3 reads it.
"""

from pathlib import Path

import numpy as np

from tljax.files import disk
from tljax.files.hdf5_draft import Draft
from tljax.weights.contents import Weights, about
from tljax.weights.keras.h5 import NOTE
from tljax.weights.vgg16 import in_order


def write(path: str | Path, weights: Weights) -> None:
    """Write the file whole or not at all; InputError unless it is a VGG16.

    Preprocessing and class names are in a dataset that Keras ignores: Keras itself preprocesses as
    its caller says.
    """
    import h5py

    path = Path(path)
    layers = in_order(path, weights)
    note = np.frombuffer(about(path, weights).encode(), np.uint8)
    with disk.replacing(path) as part, Draft(part) as content, h5py.File(content, "w") as file:
        # Bytes, as Keras 2 wrote them: its oldest readers do not take HDF5's text.
        file.attrs["layer_names"] = np.array([layer.encode() for layer in layers])
        # Keras 2 takes a file without a version for one of Keras 1, whose kernels it may flip.
        file.attrs["keras_version"], file.attrs["backend"] = b"2.0.0", b"tensorflow"
        for layer, leaves in layers.items():
            group = file.create_group(layer)
            group.attrs["weight_names"] = np.array(
                [f"{layer}/{leaf}:0".encode() for leaf in leaves]
            )
            for leaf, array in leaves.items():
                group.create_dataset(f"{layer}/{leaf}:0", data=array)
        file.create_dataset(NOTE, data=note)
