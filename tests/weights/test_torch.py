"""Files that torch 2.13.0 wrote, and what it computed with them.

`torch_zip.pth`, `torch_legacy.pth` and `torch_outputs.npz` come from `make_torch_reference.py`
beside this file, whose docstring has the command: torch itself is no dependency of the tests.
"""

import collections
import io
import os
import pathlib
import pickle
import struct
import tracemalloc
import zipfile

import jax
import ml_dtypes
import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from tljax.data.preprocess import TORCH
from tljax.models.classifiers import Classifier
from tljax.models.heads import Top
from tljax.models.vgg import VGG16
from tljax.weights import digest, read
from tljax.weights.torch import safetensors as torch_safe
from tljax.weights.torch.names import TORCHVISION
from tljax.weights.torch.pth import LEGACY, MAGIC

HERE = pathlib.Path(__file__).parent
CONTAINERS = [HERE / "torch_zip.pth", HERE / "torch_legacy.pth"]
# torch's module whose output is the layer's after relu; a pooling's own.
OUTPUTS = {
    f"base/{layer}": f"features.{int(name[9:]) + 1}"
    for name, layer in TORCHVISION.items()
    if "feat" in name
}
OUTPUTS |= {
    f"base/block{block}_pool": f"features.{n}"
    for block, n in enumerate((4, 9, 16, 23, 30), start=1)
}
OUTPUTS |= {
    "head/fc1": "classifier.1",
    "head/fc2": "classifier.4",
    "head/predictions": "classifier.6",
}


def test_the_containers_are_the_two_that_torch_has():
    zipped, legacy = (path.read_bytes() for path in CONTAINERS)
    assert zipped.startswith(b"PK\x03\x04")
    assert legacy.startswith(LEGACY)


@pytest.mark.parametrize("path", CONTAINERS, ids=lambda path: path.stem)
def test_every_layer_is_torch_s(path):
    """The certificate: 1e-5 of the layer's largest output;
    the top proves the order of the first dense layer.
    """
    weights, expected = read(path), np.load(HERE / "torch_outputs.npz")
    assert weights.architecture == {"name": "vgg16", "width": 1 / 32, "size": 64}
    assert weights.preprocess == TORCH
    model = Classifier(VGG16(width=1 / 32), Top(outputs=10, hidden=24))
    params = {"base": weights.params, "head": weights.top}
    _, out = jax.jit(model.apply)({"params": params}, expected["images"])
    assert out.keys() == OUTPUTS.keys()
    for layer, name in OUTPUTS.items():
        scale = np.abs(expected[name]).max()
        assert scale > 0.1
        np.testing.assert_allclose(
            out[layer], expected[name], atol=1e-5 * scale, rtol=0, err_msg=layer
        )


@pytest.fixture
def named(tmp_path):
    """{"features.0.weight": array} in torch's layouts."""
    torch_safe.write(tmp_path / "named", read(CONTAINERS[0]))
    return load_file(tmp_path / "named")


def same(found, expected=None):
    expected = expected or read(CONTAINERS[0])
    return digest(found.params) == digest(expected.params) and digest(found.top or {}) == digest(
        expected.top or {}
    )


def test_both_containers_hold_the_same_numbers():
    assert same(read(CONTAINERS[1]))


def test_torchvision_named_safetensors_by_formula(named, tmp_path):
    weights = read(CONTAINERS[0])
    assert named.keys() == {f"{name}.{kind}" for name in TORCHVISION for kind in ("weight", "bias")}
    assert (
        named["features.5.weight"][3, 1, 2, 0]
        == weights.params["block2_conv1"]["kernel"][2, 0, 1, 3]
    )
    assert named["classifier.3.weight"][3, 1] == weights.top["fc2"]["kernel"][1, 3]
    channel, row, column = 5, 1, 0  # of 16 x 2 x 2
    ours = weights.top["fc1"]["kernel"][(row * 2 + column) * 16 + channel, 7]
    assert named["classifier.0.weight"][7, (channel * 2 + row) * 2 + column] == ours
    save_file(named, tmp_path / "plain", metadata={"format": "pt"})
    found = read(tmp_path / "plain")
    assert same(found)
    assert found.preprocess == TORCH


def test_timm_s_names_and_shapes(named, tmp_path):
    """Its first two dense layers are convolutions over the image and over one pixel."""
    renamed = {name: array for name, array in named.items() if name.startswith("features")}
    for old, new, shape in [
        ("classifier.0", "pre_logits.fc1", (24, 16, 2, 2)),
        ("classifier.3", "pre_logits.fc2", (24, 24, 1, 1)),
        ("classifier.6", "head.fc", (10, 24)),
    ]:
        renamed[f"{new}.weight"] = named[f"{old}.weight"].reshape(shape)
        renamed[f"{new}.bias"] = named[f"{old}.bias"]
    save_file(renamed, tmp_path / "timm")
    assert same(read(tmp_path / "timm"))


@pytest.mark.parametrize("dtype", [np.float16, ml_dtypes.bfloat16, np.float64])
def test_other_precisions_become_float32(named, tmp_path, dtype):
    base = {
        name: array.astype(dtype) for name, array in named.items() if name.startswith("features")
    }
    save_file(base, tmp_path / "w")
    found = read(tmp_path / "w")
    assert found.top is None
    assert found.params["block1_conv1"]["kernel"].dtype == np.float32
    np.testing.assert_array_equal(
        found.params["block1_conv1"]["bias"], np.float32(base["features.0.bias"])
    )


class Evil:
    """Runs a command where a pickle is believed."""

    def __init__(self, marker):
        self.marker = marker

    def __reduce__(self):
        return os.system, (f"touch {self.marker}",)


def pickles(*objects) -> bytes:
    return b"".join(pickle.dumps(thing, protocol=2) for thing in objects)


def legacy(state) -> bytes:
    return pickles(MAGIC, 1001, {"little_endian": True}, state, [])


def zipped(state) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("archive/data.pkl", pickles(state))
    return file.getvalue()


@pytest.mark.parametrize("container", [legacy, zipped, pickles])
def test_a_pickle_that_runs_a_command_is_refused(vgg, tmp_path, container):
    marker = tmp_path / "ran"
    (tmp_path / "w.pth").write_bytes(
        container(collections.OrderedDict({"features.0.weight": Evil(marker)}))
    )
    message = vgg.refusal(read, tmp_path / "w.pth")
    assert message.startswith(f"{tmp_path / 'w.pth'}: expected ")
    if container is not pickles:
        assert "asks for 'posix.system'; refused" in message
    assert not marker.exists()
    pickle.loads(pickles(Evil(marker)))
    assert marker.exists()  # the command would have worked


@pytest.mark.parametrize(
    "code",
    [
        b"cbuiltins\neval\n(X\x01\x00\x00\x001tR.",
        b"\x80\x04\x8c\x08builtins\x8c\x04exec\x93\x8c\x01a\x85R.",
        b"(S'true'\nios\nsystem\n.",
        b"\x82\x01.",  # an extension code
        b"ctorch._utils\n_rebuild_tensor_v2\n(tR.",
        b"ctorch\nload\n.",
        b"\x80\x02\x8a\x04abcd",
        b".",
        b"\x80\x02" + b"(" * 5000 + b"l" * 4999,
        b"\x8e" + (1 << 62).to_bytes(8, "little"),  # bytes of that length
        b"\x8e" + (1 << 28).to_bytes(8, "little"),
        b"N" + b"r" + struct.pack("<I", 1 << 25) + b".",  # a memo of that many places
        b"\x80\x02N.",
    ],
)
def test_pickles_that_want_more_than_tensors(vgg, tmp_path, code):
    content = pickles(MAGIC, 1001, {"little_endian": True}) + code
    (tmp_path / "w").write_bytes(content)
    tracemalloc.start()
    message = vgg.refusal(read, tmp_path / "w")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert message.startswith(f"{tmp_path / 'w'}: expected ")
    assert peak < 10_000_000


def rewrite(name, change, target):
    """torch's archive with one member changed."""
    with zipfile.ZipFile(CONTAINERS[0]) as old, zipfile.ZipFile(target, "w") as new:
        for member in old.namelist():
            data = old.read(member)
            new.writestr(member, change(data) if member.endswith(name) else data)


# features.0.weight in pickle's opcodes: K is a small number, J one of four bytes, ( to t a tuple, q
# a memo.
SHAPE, STRIDES = b"(K\x02K\x03K\x03K\x03tq\x09", b"(K\x1bK\x01K\tK\x03t"
EXPANDED = b"(J\xff\xff\xff\x7fK\x03K\x03K\x03tq\x09(K\x00K\x00K\x00K\x00t"


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("/data/0", lambda data: data[:-4], "/data/0: expected 216 bytes, found 212"),
        ("/data/0", lambda data: data + b"1234", "/data/0: expected 216 bytes, found 220"),
        ("/byteorder", lambda data: b"big", "/byteorder: expected 6 bytes, found 3"),
        ("/data.pkl", lambda data: data[:-200], "expected torch's pickle, found damage"),
        (
            "/data.pkl",
            lambda data: data.replace(b"features.0.bias", b"features.0.bios"),
            "- block1_conv1/bias; + feat",
        ),
        (
            "/data.pkl",
            lambda data: data.replace(b"FloatStorage", b"QInt8Storage"),
            "asks for 'torch.QInt8Storage'",
        ),
        (
            "/data.pkl",
            lambda data: data.replace(STRIDES, b"(K\xffK\x01K\tK\x03t"),
            "with strides [255, 1, 9, 3] from 0",
        ),
        (
            "/data.pkl",
            lambda data: data.replace(b"QK\x00(K\x02", b"QK\x01(K\x02", 1),
            "from 1 leaves its storage of 54",
        ),
        (
            "/data.pkl",
            lambda data: data.replace(SHAPE + STRIDES, EXPANDED),
            "[2147483647, 3, 3, 3] with strides [0, 0, ",
        ),
        (
            "/data.pkl",
            lambda data: data.replace(b"K6tq", b"K5tq"),
            "leaves its storage of 53 numbers",
        ),
        (
            "/data.pkl",
            lambda data: data.replace(b"K6t", b"J\xff\xff\xff\x7ft"),
            "/data/0: expected 8589934588 bytes",
        ),
    ],
)
def test_archives_that_are_not_as_torch_wrote_them(vgg, tmp_path, name, change, message):
    rewrite(name, change, tmp_path / "w")
    assert message in vgg.refusal(read, tmp_path / "w")


@pytest.mark.parametrize("path", CONTAINERS, ids=lambda path: path.stem)
@pytest.mark.parametrize("keep", [0.02, 0.3, 0.9, 0.9999])
def test_truncated_files(vgg, tmp_path, path, keep):
    content = path.read_bytes()
    (tmp_path / "w").write_bytes(content[: int(len(content) * keep)])
    assert vgg.refusal(read, tmp_path / "w").startswith(f"{tmp_path / 'w'}: ")


def test_a_flipped_bit_in_an_archive_is_found(vgg, tmp_path):
    content = bytearray(CONTAINERS[0].read_bytes())
    at = content.index(read(CONTAINERS[0]).params["block3_conv2"]["bias"].tobytes())
    content[at] ^= 1
    (tmp_path / "w").write_bytes(content)
    assert "expected whole data: Bad CRC-32" in vgg.refusal(read, tmp_path / "w")


def test_a_network_with_batch_normalisation_is_named(vgg, named, tmp_path):
    save_file(named | {"features.1.running_mean": np.ones(2, np.float32)}, tmp_path / "w")
    message = vgg.refusal(read, tmp_path / "w")
    assert message == (
        f"{tmp_path / 'w'}: not a whole VGG16 of width 0.03125 (- missing, + extra): "
        "+ features.1.running_mean"
    )
