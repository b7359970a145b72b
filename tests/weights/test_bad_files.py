"""Bad files: one line names file and leaf, nothing is executed, no claimed size takes memory."""

import struct
import tracemalloc
import warnings
import zipfile

import h5py
import numpy as np
import pytest
from safetensors.numpy import save_file

from tljax.weights import read
from tljax.weights.keras import heap as hdf5_heap
from tljax.weights.torch.names import from_keras

PLACES = ("h5", "safetensors")


def put(path, layers, place):
    """The layers in Keras's or torch's layout."""
    if place == "safetensors":
        save_file(from_keras(layers), path)
        return
    with h5py.File(path, "w") as file:
        for layer, leaves in layers.items():
            for leaf, array in leaves.items():
                file[f"{layer}/{layer}/{leaf}:0"] = array


def refused(vgg, path):
    """The message without the file's name, which it begins with;
    under 8 MB were in use at any time.
    """
    tracemalloc.start()
    message = vgg.refusal(read, path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 8_000_000
    assert message.startswith(f"{path}: ")
    return message.removeprefix(f"{path}: ")


@pytest.fixture
def path(tmp_path):
    return tmp_path / "w"


NOT_WHOLE = "not a whole VGG16 of width 0.03125 (- missing, + extra): "


@pytest.mark.parametrize("place", PLACES)
def test_a_missing_layer(vgg, path, place):
    layers = vgg.layers()
    tensors = from_keras(layers)
    if place == "h5":
        put(
            path,
            {layer: leaves for layer, leaves in layers.items() if layer != "block3_conv2"},
            place,
        )
    else:
        save_file(
            {name: array for name, array in tensors.items() if not name.startswith("features.12.")},
            path,
        )
    assert refused(vgg, path) == NOT_WHOLE + "- block3_conv2/bias; - block3_conv2/kernel"


def test_a_part_of_a_top(vgg, path):
    layers = vgg.layers()
    del layers["fc2"]
    put(path, layers, "h5")
    assert refused(vgg, path) == NOT_WHOLE + "- fc2/bias; - fc2/kernel"


def test_an_extra_layer(vgg, path):
    """Of another network that begins like this one."""
    layers = vgg.layers()
    put(path, layers | {"block5_conv4": layers["block5_conv3"]}, "h5")
    assert refused(vgg, path) == (
        NOT_WHOLE + "+ block5_conv4/block5_conv4/bias:0; + block5_conv4/block5_conv4/kernel:0"
    )


@pytest.mark.parametrize("place", PLACES)
def test_a_transposed_kernel(vgg, path, place):
    layers = vgg.layers()
    if place == "h5":
        layers["block2_conv1"]["kernel"] = layers["block2_conv1"]["kernel"].transpose(3, 2, 0, 1)
        put(path, layers, place)
        expected, own = "[4, 2, 3, 3]", "block2_conv1/block2_conv1/kernel:0"
    else:
        tensors = from_keras(layers)
        tensors["features.5.weight"] = np.ascontiguousarray(
            tensors["features.5.weight"].transpose(2, 3, 1, 0)
        )
        save_file(tensors, path)
        expected, own = "[2, 4, 3, 3]", "features.5.weight"
    assert (
        refused(vgg, path)
        == f"{NOT_WHOLE}! block2_conv1/kernel expected [3, 3, 2, 4], found {expected} ({own})"
    )


def test_a_transposed_dense_kernel(vgg, path):
    layers = vgg.layers()
    layers["fc1"]["kernel"] = layers["fc1"]["kernel"].T
    put(path, layers, "h5")
    assert "! fc1/kernel expected [784, 6], found [6, 64]" in refused(vgg, path)


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize(("value", "layer"), [(np.nan, "block4_conv3"), (np.inf, "predictions")])
def test_numbers_that_are_none(vgg, path, place, value, layer):
    layers = vgg.layers()
    layers[layer]["bias"][1] = value
    put(path, layers, place)
    assert f"leaf {layer}/bias (" in (message := refused(vgg, path))
    assert message.endswith("): expected finite numbers, found 1 NaN or infinite")


def test_a_float64_too_large_for_float32(vgg, path):
    layers = vgg.layers()
    layers["block1_conv1"]["bias"] = np.array([0.0, 1e300])
    put(path, layers, "h5")
    assert "leaf block1_conv1/bias" in refused(vgg, path)


def test_integers(vgg, path):
    layers = vgg.layers()
    layers["block1_conv1"]["bias"] = np.array([0, 1])
    put(path, layers, "h5")
    message = (
        "leaf block1_conv1/bias: expected one of float16, bfloat16, float32, float64, found int64"
    )
    assert refused(vgg, path) == message


def test_another_network(vgg, path):
    put(
        path,
        {f"conv{i}_block": {"kernel": np.ones((3, 3, 3, 4), np.float32)} for i in range(200)},
        "h5",
    )
    name = "conv0_block/conv0_block/kernel:0"
    assert refused(vgg, path).startswith(f"expected the layers of a VGG16, found {name}, ")


@pytest.mark.parametrize("keep", [8, 100, 2000, -1000, -1])
def test_a_truncated_file(vgg, path, keep):
    put(path, vgg.layers(), "h5")
    path.write_bytes(path.read_bytes()[:keep])
    assert refused(vgg, path).startswith("expected a whole HDF5 file: ")


@pytest.mark.parametrize(
    "leaf", ["block5_conv3/block5_conv3/kernel:0", "block5_conv3/block5_conv3", "block5_conv3"]
)
@pytest.mark.parametrize("kind", ["soft", "external"])
def test_links(vgg, path, leaf, kind):
    """Wherever on the way to a leaf, and whether or not they lead somewhere."""
    put(path, vgg.layers(), "h5")
    put(path.with_name("other"), vgg.layers(), "h5")
    with h5py.File(path, "r+") as file:
        file.move(leaf, "elsewhere")
        target = (
            h5py.SoftLink("/elsewhere")
            if kind == "soft"
            else h5py.ExternalLink("other", f"/{leaf}")
        )
        file[leaf] = target
    assert refused(vgg, path) == f"{leaf}: expected data, found a link to elsewhere"


def replaced(vgg, path, make):
    """A whole file, but for one kernel, which `make` writes."""
    put(path, vgg.layers(), "h5")
    with h5py.File(path, "r+") as file:
        del file["block1_conv1/block1_conv1/kernel:0"]
        make(file["block1_conv1/block1_conv1"])


HUGE = (1 << 20, 1 << 20, 3, 2)


@pytest.mark.parametrize("chunks", [None, (1 << 10, 1 << 10, 3, 2)])
def test_a_huge_declared_shape(vgg, path, chunks):
    replaced(
        vgg, path, lambda group: group.create_dataset("kernel:0", HUGE, np.float32, chunks=chunks)
    )
    message = refused(vgg, path)
    assert (
        message == "block1_conv1/block1_conv1/kernel:0: declares [1048576, 1048576, 3, 2] float32, "
        "holds 0 bytes"
    )


def test_a_kernel_that_was_never_written_is_no_kernel_of_zeros(vgg, path):
    replaced(vgg, path, lambda group: group.create_dataset("kernel:0", (3, 3, 3, 2), np.float32))
    assert "kernel:0: declares [3, 3, 3, 2] float32, holds 0 bytes" in refused(vgg, path)


def test_a_compression_bomb(vgg, path):
    zeros = np.zeros((1 << 10, 1 << 12), np.float32)
    replaced(
        vgg, path, lambda group: group.create_dataset("kernel:0", data=zeros, compression="gzip")
    )
    assert "kernel:0: declares [1024, 4096] float32, holds " in refused(vgg, path)


def test_plain_gzip_is_read(vgg, path):
    kernel = vgg.layers()["block1_conv1"]["kernel"]
    options = {"compression": "gzip", "shuffle": True, "fletcher32": True}
    replaced(vgg, path, lambda group: group.create_dataset("kernel:0", data=kernel, **options))
    np.testing.assert_array_equal(read(path).params["block1_conv1"]["kernel"], kernel)


def test_a_filter_that_needs_a_plugin(vgg, path):
    def lzf(group):
        group.create_dataset("kernel:0", data=np.ones((3, 3, 3, 2), np.float32), compression="lzf")

    replaced(vgg, path, lzf)
    assert "kernel:0: expected plain or gzip" in refused(vgg, path)


def test_numbers_in_another_file(vgg, path):
    (path.parent / "secret").write_bytes(bytes(216))
    replaced(
        vgg,
        path,
        lambda group: group.create_dataset(
            "kernel:0", (3, 3, 3, 2), np.float32, external=[("secret", 0, 216)]
        ),
    )
    assert "kernel:0: expected data, found a reference to another file" in refused(vgg, path)
    layout = h5py.VirtualLayout((3, 3, 3, 2), np.float32)
    layout[:] = h5py.VirtualSource("other", "x", (3, 3, 3, 2))
    replaced(vgg, path, lambda group: group.create_virtual_dataset("kernel:0", layout))
    assert "kernel:0: expected data, found a reference to another file" in refused(vgg, path)


def test_groups_that_contain_themselves(vgg, path):
    put(path, vgg.layers(), "h5")
    with h5py.File(path, "r+") as file:
        file["block1_conv1/again"] = file["block1_conv1"]
    assert "too many groups, or groups that contain themselves" in refused(vgg, path)


def test_names_that_are_no_text(vgg, path):
    put(path, vgg.layers(), "h5")
    with h5py.File(path, "r+") as file:
        file[b"\xe6lock"] = h5py.SoftLink("/")
    assert refused(vgg, path).startswith(
        "expected a whole HDF5 file: 'utf-8' codec can't decode byte 0xe6"
    )


@pytest.mark.parametrize("size", [0, 2**64 - 16, 1 << 20])
def test_a_heap_of_text_whose_objects_lead_nowhere(vgg, path, size):
    """The HDF5 library walks on the spot for ever, or out of the heap."""
    put(path, vgg.layers(), "h5")
    with h5py.File(path, "r+") as file:
        file["layers/conv2d/vars/0"] = np.zeros(2, np.float32)
        file["layers/conv2d/vars"].attrs["name"] = "block1_conv1"
    whole = bytearray(path.read_bytes())
    number = whole.index(b"GCOL") + 16
    assert struct.unpack_from("<HH4xQ", whole, number)[2] == len("block1_conv1")
    struct.pack_into("<HH4xQ", whole, number, 0 if size == 0 else 1, 0, size)
    path.write_bytes(whole)
    with h5py.File(path, "r") as file:  # not `read`: without the check it would never end
        message = vgg.refusal(lambda: hdf5_heap.check(path, file))
    assert message == f"{path}: expected a whole HDF5 file, found a heap of text that leads nowhere"


def test_two_leaves_for_one(vgg, path):
    put(path, vgg.layers(), "h5")
    with h5py.File(path, "r+") as file:
        file["other/block1_conv1/bias"] = np.ones(2, np.float32)
    assert refused(vgg, path).startswith("leaf block1_conv1/bias: expected one, found ")


def test_huge_shapes_that_agree_with_each_other(vgg, path):
    """A VGG16 of width 1000 in a file of some kilobytes: no mistake in any one shape."""
    from tljax.weights.vgg16 import expected

    with h5py.File(path, "w") as file:
        for name, shape in expected({"block1_conv1/bias": (64_000,)}).items():
            file.create_dataset(name, shape, np.float32, chunks=True, compression="gzip")
    assert (
        refused(vgg, path)
        == "block1_conv1/kernel: declares [3, 3, 3, 64000] float32, holds 0 bytes"
    )


@pytest.mark.parametrize("layer", ["block1_conv1/bias", "optimizer/x"])
def test_weird_names_and_kinds(vgg, path, layer):
    put(path, vgg.layers(), "h5")
    with h5py.File(path, "r+") as file:
        if layer in file:
            del file[layer]
        file[layer] = h5py.Empty("f4")
    if layer == "optimizer/x":
        assert read(path).top
    else:
        assert "block1_conv1/bias: expected an array, found an empty dataset" in refused(vgg, path)


def archive(path, members, compression=zipfile.ZIP_STORED):
    with zipfile.ZipFile(path, "w", compression) as file:
        for name, data in members.items():
            file.writestr(name, data)


def test_archives(vgg, path):
    archive(path, {"a.txt": b"", "b.txt": b""})
    assert (
        refused(vgg, path)
        == "expected model.weights.h5 or data.pkl in the archive, found a.txt, b.txt"
    )
    archive(path, {"model.weights.h5": b"no HDF5"})
    assert refused(vgg, path).startswith("expected a whole HDF5 file: ")
    archive(path, {"model.weights.h5": bytes(5_000_000)}, zipfile.ZIP_DEFLATED)
    assert (
        refused(vgg, path)
        == "model.weights.h5: declares 5000000 bytes, more than the file can hold"
    )
    archive(path, {"x/data.pkl": bytes(5_000_000)}, zipfile.ZIP_DEFLATED)
    assert refused(vgg, path) == "x/data.pkl: expected 5000000 bytes, found 5000000"
    path.write_bytes(b"PK\x03\x04 and no more")
    assert refused(vgg, path).startswith("expected a whole archive")


def test_a_keras_archive_with_a_flipped_bit(vgg, path):
    put(path.with_name("h5"), vgg.layers(), "h5")
    archive(path, {"config.json": b"{}", "model.weights.h5": path.with_name("h5").read_bytes()})
    assert read(path).top
    content = bytearray(path.read_bytes())
    content[content.index(vgg.layers()["block5_conv3"]["kernel"].tobytes())] ^= 1
    path.write_bytes(content)
    assert refused(vgg, path).startswith("model.weights.h5: expected a whole archive: Bad CRC-32")


def test_metadata_of_ours_in_layouts_of_others(vgg, path):
    tensors = from_keras(vgg.layers())
    for text, message in [
        ("{", "metadata: expected JSON"),
        ("[]", "metadata: preprocess: expected a dict, found None"),
        ('{"preprocess": {}, "classes": [], "provenance": {}}', "preprocess.channels: missing"),
    ]:
        save_file(tensors, path, metadata={"tljax.about": text})
        assert refused(vgg, path).startswith(message)
    put(path, vgg.layers(), "h5")
    with h5py.File(path, "r+") as file:
        file.create_dataset("tljax", (1 << 40,), np.uint8)
    assert refused(vgg, path).startswith("tljax: declares [1099511627776] uint8")


def test_nothing_warns(vgg, path):
    put(path, vgg.layers(), "h5")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert read(path).architecture["width"] == vgg.width
