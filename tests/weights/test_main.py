"""`tljax weights`: its output and its exit status."""

import subprocess
import sys

import h5py
import numpy as np
import pytest
from PIL import Image

from tljax.commands import weights as command
from tljax.data.preprocess import BY_NAME, CAFFE, TORCH, UNIT, words
from tljax.errors import InputError
from tljax.weights import Weights, digest, read, write
from tljax.weights.vgg16 import TOP


@pytest.fixture
def weights(vgg):
    layers = vgg.layers()
    top = {layer: layers.pop(layer) for layer in TOP}
    # The picture does not matter: the second class wins, then the fourth.
    top["predictions"] = {
        "kernel": np.zeros((6, 4), np.float32),
        "bias": np.array([0, 3, 1, 2], np.float32),
    }
    architecture = {"name": "vgg16", "width": vgg.width, "size": 64}
    return Weights(layers, architecture, TORCH, ("ant", "bee", "cat", "dog"), {}, top=top)


@pytest.fixture
def path(tmp_path, weights):
    write(tmp_path / "w.safetensors", weights)
    return tmp_path / "w.safetensors"


def run(capsys, *arguments):
    """(exit status, lines of stdout, stderr)."""
    status = 0
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["weights", *map(str, arguments)])
        try:
            command.main()
        except InputError as error:
            status = 2
            print(f"error: {error}", file=sys.stderr)
    captured = capsys.readouterr()
    return status, captured.out.splitlines(), captured.err


def test_verify_prints_a_row_for_each_leaf(capsys, path, weights):
    status, lines, err = run(capsys, "verify", path)
    assert (status, err) == (0, "")
    assert lines[0].split() == ["leaf", "shape", "mean", "std", "min", "max"]
    assert len(lines) == 1 + 2 * 16 + 3
    row = next(line for line in lines if line.startswith("block2_conv1/kernel")).split()
    assert row[1:9] == ["3", "x", "3", "x", "2", "x", "4", "found"]
    kernel = weights.params["block2_conv1"]["kernel"].astype(np.float64)
    expected = [kernel.mean(), kernel.std(), kernel.min(), kernel.max()]
    np.testing.assert_allclose([float(cell) for cell in row[9:]], expected, rtol=1e-3)
    assert lines[-2] == "tljax's safetensors: VGG16 of width 0.03125 with its top"
    assert lines[-1] == f"preprocessing torch: {words(TORCH)}"


def test_verify_shows_what_is_missing_and_fails(capsys, vgg, tmp_path):
    layers = vgg.layers()
    del layers["block3_conv2"]
    layers["block4_conv1"]["kernel"] = layers["block4_conv1"]["kernel"].transpose(3, 2, 0, 1)
    layers["block4_conv1"]["bias"][0] = np.nan
    with h5py.File(tmp_path / "w", "w") as file:
        for layer, leaves in layers.items():
            for leaf, array in leaves.items():
                file[f"{layer}/{leaf}"] = array
        file["dense/kernel"] = np.ones((2, 2), np.float32)
    status, lines, err = run(capsys, "verify", tmp_path / "w")
    rows = {line.split()[0]: " ".join(line.split()[1:]) for line in lines[:-3]}
    assert rows["block3_conv2/kernel"] == "3 x 3 x 8 x 8 missing"
    assert rows["block4_conv1/kernel"].startswith("16 x 8 x 3 x 3 expected 3 x 3 x 8 x 16 ")
    assert rows["block4_conv1/bias"] == "16 found nan nan nan nan"
    assert rows["dense/kernel"] == "2 x 2 extra 1 0 1 1"
    assert lines[-1].startswith(
        "preprocessing caffe: BGR, ImageNet mean (103.9, 116.8, 123.7) subtracted"
    )
    assert status == 2
    assert err.startswith(f"error: {tmp_path / 'w'}: not a whole VGG16 of width 0.03125")
    assert err.count("\n") == 1


def test_verify_asks_for_a_whole_vgg16_of_our_own_files_too(capsys, path, weights):
    del weights.params["block3_conv2"]
    write(path, weights)
    status, lines, err = run(capsys, "verify", path)
    assert any(
        line.split()[0] == "block3_conv2/bias" and line.endswith("missing") for line in lines[:-3]
    )
    assert (status, err.count("\n")) == (2, 1)
    assert err.startswith(
        f"error: {path}: not a whole VGG16 of width 0.03125 (- missing, + extra): "
        "- block3_conv2/bias"
    )


def test_verify_names_the_classes_of_a_picture(capsys, path, weights, tmp_path):
    Image.new("RGB", (90, 70), (200, 100, 50)).save(tmp_path / "a.png")
    status, lines, _ = run(capsys, "verify", path, "--image", tmp_path / "a.png")
    chances = np.exp([3, 2, 1, 0]) / np.exp([3, 2, 1, 0]).sum()
    assert status == 0
    assert lines[-5] == str(tmp_path / "a.png")
    expected = [
        f"{100 * c:.2f} % class {i} {n}"
        for c, i, n in zip(chances, (1, 3, 2, 0), ("bee", "dog", "cat", "ant"), strict=True)
    ]
    assert [" ".join(line.split()) for line in lines[-4:]] == expected
    names = tmp_path / "names.txt"
    names.write_text("tench\nshark\nray\ncock\n")
    _, lines, _ = run(capsys, "verify", path, "--image", tmp_path / "a.png", "--classes", names)
    assert [line.split()[-1] for line in lines[-4:]] == ["shark", "cock", "ray", "tench"]
    names.write_text("tench\nshark\n")
    status, _, err = run(capsys, "verify", path, "--image", tmp_path / "a.png", "--classes", names)
    assert (status, err.count("\n")) == (2, 1)
    assert "expected 4 names, one for each class, found 2" in err
    run(capsys, "convert", path, tmp_path / "w.h5", "--to", "keras-h5")
    write(path, Weights(weights.params, weights.architecture, CAFFE, (), {}))
    status, _, err = run(capsys, "verify", path, "--image", tmp_path / "a.png")
    assert (status, err) == (
        2,
        f"error: {path}: --image needs the layers after the base, found the base only\n",
    )
    for bad in (tmp_path / "none.png", path):
        status, _, err = run(capsys, "verify", tmp_path / "w.h5", "--image", bad)
        assert status == 2
        assert err.startswith(f"error: {bad}: ")


def test_verify_says_how_much_photographs_differ_with_each_preprocessing(capsys, path, tmp_path):
    folder = tmp_path / "photos"
    (folder / "deep").mkdir(parents=True)
    pixels = np.random.default_rng(0).integers(0, 256, (3, 40, 40, 3)).astype(np.uint8)
    for i, name in enumerate(("a.png", "deep/b.jpg", "deep/c.PNG")):
        Image.fromarray(pixels[i]).save(folder / name)
    (folder / "notes.txt").write_text("no photograph")
    status, lines, err = run(capsys, "verify", path, "--image-folder", folder)
    assert (status, err) == (0, "")
    at = lines.index(
        f"3 photographs of {folder} at 150 x 150: how much their features differ, with"
    )
    assert [line.split("  ")[-1] for line in lines[at + 1 : at + 4]] == [
        words(each) for each in (TORCH, UNIT, CAFFE)
    ]
    assert all(0 <= float(line.split()[0]) <= 1 for line in lines[at + 1 : at + 4])
    for empty in (tmp_path / "none", path.parent / "photos" / "notes.txt"):
        status, _, err = run(capsys, "verify", path, "--image-folder", empty)
        assert status == 2
        assert (
            err
            == f"error: {empty}: expected a folder with photographs in it or below it, found none\n"
        )
    (folder / "a.png").write_bytes(b"no picture")
    status, _, err = run(capsys, "verify", path, "--image-folder", folder)
    assert status == 2
    assert err.startswith(f"error: {folder / 'a.png'}: ")
    assert err.count("\n") == 1


@pytest.mark.parametrize("layout", command.LAYOUTS)
def test_convert_to_each_layout_and_back(capsys, path, weights, tmp_path, layout):
    status, lines, _ = run(capsys, "convert", path, tmp_path / "deep" / "out", "--to", layout)
    assert status == 0
    assert lines == [
        f"{tmp_path / 'deep' / 'out'}: {layout}, preprocessing torch: "
        + lines[0].split("torch: ")[1]
    ]
    run(capsys, "convert", tmp_path / "deep" / "out", tmp_path / "back", "--to", "safetensors")
    back = read(tmp_path / "back")
    assert digest(back.params | back.top) == digest(weights.params | weights.top)
    assert (back.classes, back.preprocess, back.architecture) == (
        weights.classes,
        weights.preprocess,
        weights.architecture,
    )


@pytest.mark.parametrize("name", BY_NAME)
def test_convert_notes_another_preprocessing(capsys, path, weights, tmp_path, name):
    status, lines, _ = run(
        capsys, "convert", path, tmp_path / "w.h5", "--to", "keras-h5", "--preprocess", name
    )
    assert status == 0
    assert lines == [f"{tmp_path / 'w.h5'}: keras-h5, preprocessing {name}: {words(BY_NAME[name])}"]
    back = read(tmp_path / "w.h5")
    assert back.preprocess == BY_NAME[name]
    assert digest(back.params) == digest(weights.params)


def test_convert_replaces_only_what_it_is_told_to(capsys, path):
    before = path.read_bytes()
    status, _, err = run(capsys, "convert", path, path, "--to", "keras-h5")
    assert (status, err) == (2, f"error: {path} exists; name another, or pass --overwrite\n")
    assert path.read_bytes() == before
    assert run(capsys, "convert", path, path, "--to", "keras-h5", "--overwrite")[0] == 0
    assert path.read_bytes().startswith(b"\x89HDF")


def test_the_command_itself(tmp_path):
    """Without a traceback."""

    def command(*arguments):
        return subprocess.run(
            [sys.executable, *arguments], capture_output=True, text=True, timeout=60
        )

    nothing = command("-m", "tljax", "weights", "verify", str(tmp_path / "w"))
    assert (nothing.returncode, nothing.stdout) == (2, "")
    assert nothing.stderr.startswith(
        f"error: {tmp_path / 'w'}: expected a weights file, hf:OWNER/REPO, or one of "
        "vgg16-imagenet-keras"
    )
    assert nothing.stderr.count("\n") == 1
    assert (
        command("-m", "tljax", "weights", "verify").stderr
        == "error: the following arguments are required: FILE\n"
    )
    assert "convert FILE OUT" in command("-m", "tljax", "weights", "--help").stdout
