"""Files of other libraries for any base: recognised, renamed, turned, checked and read."""

import sys

import jax
import numpy as np
import pytest
from safetensors.numpy import save_file

from tljax.commands.weights import main
from tljax.data.preprocess import TORCH
from tljax.errors import InputError
from tljax.models import build
from tljax.models.build import Network
from tljax.tree import flatten
from tljax.weights import read, write

KINDS = {"kernel": "weight", "scale": "weight", "mean": "running_mean", "var": "running_var"}


def torch_name(path):
    """Name a leaf of our ResNet as torchvision does."""
    module, _, leaf = path.rpartition("/")
    names = {"stem_conv": "conv1", "stem_norm": "bn1", "predictions": "fc"}
    if module in names:
        return f"{names[module]}.{KINDS.get(leaf, leaf)}"
    block, layer = module.split("/")
    layer = layer.replace("down_conv", "downsample.0").replace("down_norm", "downsample.1")
    return f"{block.replace('_', '.')}.{layer.replace('norm', 'bn')}.{KINDS.get(leaf, leaf)}"


@pytest.fixture(scope="module")
def leaves():
    """A ResNet-18 with its top: torch's names and layouts, of values that a transposition moves."""
    shapes = jax.eval_shape(
        build.base_of(Network("resnet18")).init,
        jax.random.key(0),
        jax.ShapeDtypeStruct((1, 64, 64, 3), np.float32),
    )
    ours = {**flatten(shapes["params"]), **flatten(shapes["batch_stats"])}
    ours |= {
        "predictions/kernel": jax.ShapeDtypeStruct((512, 7), np.float32),
        "predictions/bias": jax.ShapeDtypeStruct((7,), np.float32),
    }
    rng = np.random.default_rng(0)
    arrays = {path: rng.normal(size=leaf.shape).astype(np.float32) for path, leaf in ours.items()}
    return arrays


def as_torch(arrays):
    axes = {4: (3, 2, 0, 1), 2: (1, 0)}
    turned = {
        torch_name(path): np.ascontiguousarray(
            leaf.transpose(axes[leaf.ndim]) if path.endswith("/kernel") else leaf
        )
        for path, leaf in arrays.items()
    }
    return turned | {"bn1.num_batches_tracked": np.array(3, np.int64)}


def test_every_leaf_finds_its_place(leaves, tmp_path):
    save_file(as_torch(leaves), tmp_path / "resnet.safetensors")
    weights = read(tmp_path / "resnet.safetensors")
    found = flatten(weights.params) | flatten(weights.statistics) | flatten(weights.top)
    assert found.keys() == leaves.keys()
    for path, leaf in leaves.items():
        np.testing.assert_array_equal(found[path], leaf)
    assert weights.architecture == {"name": "resnet18", "size": 224}
    assert weights.preprocess == TORCH
    assert weights.provenance["size"] == 224


def test_our_own_file_keeps_statistics_and_top(leaves, tmp_path):
    save_file(as_torch(leaves), tmp_path / "resnet.safetensors")
    weights = read(tmp_path / "resnet.safetensors")
    write(tmp_path / "own.safetensors", weights)
    again = read(tmp_path / "own.safetensors")
    for part in ("params", "statistics", "top"):
        before, after = flatten(getattr(weights, part)), flatten(getattr(again, part))
        assert before.keys() == after.keys()
        assert all(np.array_equal(before[path], after[path]) for path in before)
    assert again.digest == weights.digest != read_without_statistics(weights).digest


def read_without_statistics(weights):
    from dataclasses import replace

    return replace(weights, statistics={})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t.pop("layer3.1.bn2.running_var"), "- layer3_1/norm2/var"),
        (lambda t: t.update({"fc.extra": np.zeros(3, np.float32)}), "+ fc.extra"),
        (
            lambda t: t.update({"layer2.0.bn1.bias": np.zeros(5, np.float32)}),
            "! layer2_0/norm1/bias expected [128], found [5] (layer2.0.bn1.bias)",
        ),
        (
            lambda t: t["layer1.0.bn1.running_mean"].fill(np.nan),
            "leaf layer1_0/norm1/mean (layer1.0.bn1.running_mean): expected finite numbers",
        ),
    ],
)
def test_what_is_not_whole_is_refused_in_one_line(leaves, tmp_path, change, message):
    tensors = as_torch({path: leaf.copy() for path, leaf in leaves.items()})
    change(tensors)
    save_file(tensors, tmp_path / "bad.safetensors")
    with pytest.raises(InputError) as refused:
        read(tmp_path / "bad.safetensors")
    assert message in str(refused.value)
    assert "\n" not in str(refused.value)


def test_verify_has_a_row_for_each_leaf_and_names_the_class_of_a_picture(
    leaves, tmp_path, capsys, monkeypatch
):
    from PIL import Image

    sure = leaves | {
        "predictions/kernel": np.zeros((512, 7), np.float32),
        "predictions/bias": np.float32([0, 0, 9, 0, 0, 0, 0]),
    }
    positive = {
        path: np.abs(leaf) if path.endswith("/var") else leaf for path, leaf in sure.items()
    }
    save_file(as_torch(positive), tmp_path / "resnet.safetensors")
    Image.new("RGB", (90, 70), (200, 100, 50)).save(tmp_path / "a.png")
    words = ["verify", str(tmp_path / "resnet.safetensors"), "--image", str(tmp_path / "a.png")]
    monkeypatch.setattr(sys, "argv", ["tljax weights", *words])
    main()
    out = capsys.readouterr().out
    assert "layer4_1/norm2/var" in out
    assert "missing" not in out
    assert "torchvision's or timm's resnet18: resnet18 with its top" in out
    assert out.splitlines()[-5].split()[-2:] == ["class", "2"]
