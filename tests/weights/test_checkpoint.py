"""torch files as training scripts save them: `torch_checkpoint.pth` is torch's own, see
make_torch_reference.py; the names and shapes of each base's files are those of its reference.
"""

import json
import pathlib
import pickle
import zipfile
import zlib

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from tljax.commands.weights import verify
from tljax.weights import digest, read
from tljax.weights.contents import Leaf
from tljax.weights.torch import safetensors as torch_safe
from tljax.weights.torch.checkpoint import chosen, prefix_of

HERE = pathlib.Path(__file__).parent
CHECKPOINT, PLAIN = HERE / "torch_checkpoint.pth", HERE / "torch_zip.pth"
REFERENCES = HERE.parent / "models" / "references"
BASES = {  # the base's reference, and the field in it that has names and shapes of its file
    "resnet18": ("resnet_shapes", "resnet18"),
    "resnet50": ("resnet_shapes", "resnet50"),
    "convnext-tiny": ("convnext_shapes", "timm/convnext_tiny"),
    "vit-small": ("vit_shapes", "vit_small_patch16_224"),
    "efficientnet-lite0": ("efficientnet-lite0-tf", "shapes"),
    "mobilenet-v2": ("mobilenet-v2-torchvision", "shapes"),
    "mobilenet-v3-large": ("mobilenet-v3-large-timm", "shapes"),
}


def of_base(name: str) -> dict[str, Leaf]:
    reference, field = BASES[name]
    packed = np.load(REFERENCES / f"{reference}.npz")[field]
    shapes = json.loads(zlib.decompress(packed.tobytes()))
    return {
        leaf: Leaf(leaf, tuple(shape), "float32", lambda shape=shape: np.zeros(shape, np.float32))
        for leaf, shape in shapes.items()
    }


def test_a_checkpoint_of_a_training_script():
    """In half precision below "net", each name after "module."; the optimizer and more beside."""
    found, expected = read(CHECKPOINT), read(PLAIN)
    for name, kernel in (("block1_conv1", found), ("block5_conv3", found)):
        half = expected.params[name]["kernel"].astype(np.float16).astype(np.float32)
        np.testing.assert_array_equal(kernel.params[name]["kernel"], half)
    assert found.top is not None
    assert found.top.keys() == {"fc1", "fc2", "predictions"}
    assert found.provenance["layout"] == "torch state dict under net, names after module."
    assert found.provenance["left_out"] == ["criterion.weight"]


def test_the_command_says_what_it_took_and_left_out(capsys):
    verify(str(CHECKPOINT), None, None)
    lines = capsys.readouterr().out.splitlines()
    assert (
        "torch state dict under net, names after module.: VGG16 of width 0.03125 with its top"
        in (lines)
    )
    assert "left out: criterion.weight" in lines


@pytest.mark.parametrize("prefix", ["module.", "_orig_mod.", "model.backbone.", "net.0.encoder."])
def test_prefixes_in_safetensors(tmp_path, prefix):
    torch_safe.write(tmp_path / "plain", read(PLAIN))
    named = {f"{prefix}{name}": leaf for name, leaf in load_file(tmp_path / "plain").items()}
    save_file(named | {"head.weight": np.ones((2, 3), np.float32)}, tmp_path / "w")
    assert digest(read(tmp_path / "w").params) == digest(read(PLAIN).params)
    assert read(tmp_path / "w").provenance["left_out"] == ["head.weight"]


@pytest.mark.parametrize("base", BASES)
def test_prefixes_of_every_base(base):
    plain = of_base(base)
    assert prefix_of(plain) == ""
    expected = chosen(pathlib.Path("f"), {"": plain}, kind="file")
    assert expected.base == base
    named = {f"model.backbone.{name}": leaf for name, leaf in plain.items()}
    named["model.head.weight"] = Leaf("model.head.weight", (2, 3), "float32", lambda: np.ones(1))
    found = chosen(pathlib.Path("f"), {"": {}, "state_dict": named}, kind="file")
    assert found.base == base
    assert found.options == expected.options
    assert {name: leaf.shape for name, leaf in found.leaves.items()} == {
        name: leaf.shape for name, leaf in expected.leaves.items()
    }
    assert found.left_out == ("model.head.weight",)
    assert found.layout.startswith("file under state_dict, names after model.backbone.")


@pytest.mark.parametrize("base", BASES)
def test_another_head_in_the_place_of_the_top(base):
    """As after `model.fc = Sequential(Dropout(), Linear(512, 2))`."""
    plain = of_base(base)
    whole = chosen(pathlib.Path("f"), {"": plain}, kind="file").leaves
    top = next(leaf.name for path, leaf in whole.items() if path == "predictions/kernel")
    place = top.removesuffix(".weight")
    kept = {name: leaf for name, leaf in plain.items() if not name.startswith(f"{place}.")}
    other = Leaf(f"{place}.1.weight", (2, 512), "float32", lambda: np.ones((2, 512)))
    found = chosen(pathlib.Path("f"), {"": kept | {other.name: other}}, kind="file")
    assert found.leaves.keys() == whole.keys() - {"predictions/kernel", "predictions/bias"}
    assert found.left_out == (other.name,)


def test_averaged_parameters_are_taken_only_alone():
    plain, other = of_base("resnet18"), of_base("resnet50")
    for mean in ("ema", "model_ema", "state_dict_ema", "swa"):
        found = chosen(pathlib.Path("f"), {"model": plain, mean: other}, kind="file")
        assert (found.base, found.layout.partition(",")[0]) == ("resnet18", "file under model")
        assert chosen(pathlib.Path("f"), {mean: other}, kind="file").base == "resnet50"


def test_several_to_choose_from_are_named(vgg):
    plain = of_base("resnet18")
    message = vgg.refusal(
        chosen, pathlib.Path("f"), {"generator": plain, "student": plain}, kind="file"
    )
    assert message == (
        "f: expected the state dict of one base, found 2: under generator, student; "
        "save one of them alone"
    )


def archived(path: pathlib.Path, code: bytes) -> pathlib.Path:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("x/data.pkl", code)
    return path


@pytest.mark.parametrize(
    ("code", "message"),
    [
        (b"ctorch.nn.modules.container\nSequential\n)\x81}b.", "save its state_dict() instead"),
        (b"}(V\x65poch\nK\x03V\x61rgs\ncargparse\nNamespace\n)\x81u.", "args: argparse.Namesp"),
        (b"}.", "expected a state dict, found nothing"),
        (b"K\x03.", "expected a state dict, found int"),
    ],
)
def test_files_without_a_state_dict_say_what_they_have(vgg, tmp_path, code, message):
    assert message in vgg.refusal(read, archived(tmp_path / "w", code))


def test_what_an_unknown_class_is_given_is_lost_and_never_called(tmp_path, vgg):
    """Its state, items and calls; a class is made anew each time, so none of them lasts."""
    calls = (
        b"cmine\nThing\nK\x01\x85R}V\x61\nK\x01sbK\x01K\x02s",  # called, its state, an item
        b"cmine\nThing\n)\x81(K\x01e",  # extended
        b"(K\x01imine\nThing\n",  # made as in protocol 0
        b"cmine\nThing\n",  # the class itself
    )
    for call in calls:
        message = vgg.refusal(read, archived(tmp_path / "w", b"}V\x61\n" + call + b"s."))
        assert "expected a state dict, found a: " in message


def test_not_a_module_of_ours_is_imported_by_a_pickle(tmp_path, vgg, monkeypatch):
    (tmp_path / "trap.py").write_text("raise SystemExit('imported')")
    monkeypatch.syspath_prepend(tmp_path)
    assert "a: trap.Thing" in vgg.refusal(
        read, archived(tmp_path / "w", b"}V\x61\nctrap\nThing\n)\x81s.")
    )
    with pytest.raises(SystemExit):
        pickle.loads(b"ctrap\nThing\n.")
