import dataclasses
import hashlib
import json

import jax
import jax.numpy as jnp
import ml_dtypes
import numpy as np
import pytest
from safetensors.numpy import save_file

from tljax.data.preprocess import CAFFE
from tljax.errors import InputError
from tljax.tree import json_digest, leaf_digest
from tljax.weights import Weights, digest, merge, read, write

# sha256 of `small` in a file without a top
BEFORE = "b614abb4b877218bfa43d81a166249d6d608fea2c5626ff6c01bb76099f0c169"


def small() -> Weights:
    rng = np.random.default_rng(0)
    params = {
        "block1_conv1": {
            "kernel": rng.normal(size=(3, 3, 3, 4)).astype(np.float32),
            "bias": np.arange(4, dtype=np.float32).astype(ml_dtypes.bfloat16),
        },
        "block5_conv1": {
            "kernel": rng.normal(size=(4, 3, 3, 3)).astype(np.float32).transpose(1, 2, 3, 0)
        },
        "scale": np.array(2.0, np.float32),
    }
    architecture = {"name": "vgg16", "width": 0.5, "blocks": [1, 2]}
    return Weights(params, architecture, CAFFE, ("crow", "ant"), {"epochs": 30, "accuracy": 0.875})


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "small.safetensors"
    write(path, small())
    return path


def refusal(call, *args, **kwargs) -> str:
    with pytest.raises(InputError) as caught:
        call(*args, **kwargs)
    message = str(caught.value)
    assert "\n" not in message
    assert len(message) < 500
    return message


def test_everything_comes_back(path):
    found, expected = read(path), small()
    assert jax.tree.structure(found.params) == jax.tree.structure(expected.params)
    for a, b in zip(jax.tree.leaves(found.params), jax.tree.leaves(expected.params), strict=True):
        assert (a.dtype, a.shape) == (b.dtype, b.shape)
        np.testing.assert_array_equal(
            a, b
        )  # block5_conv1 is a transposed view: safetensors would scramble it
    for field in ("architecture", "preprocess", "classes", "provenance"):
        assert getattr(found, field) == getattr(expected, field)


def test_the_file_is_plain_safetensors_with_slash_paths(path):
    content = path.read_bytes()
    header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
    assert header["block1_conv1/bias"]["dtype"] == "BF16"
    assert header["block1_conv1/kernel"]["shape"] == [3, 3, 3, 4]
    assert list(header["__metadata__"]) == ["tljax"]


def test_write_returns_the_hash_of_a_reproducible_file(tmp_path):
    first, second = (write(tmp_path / "deep" / name, small()) for name in ("a", "b"))
    assert first == second == hashlib.sha256((tmp_path / "deep" / "a").read_bytes()).hexdigest()
    assert sorted(file.name for file in (tmp_path / "deep").iterdir()) == ["a", "b"]


def test_jax_arrays_are_written_too(tmp_path):
    write(tmp_path / "w", Weights({"a": jnp.full((2,), 0.5, jnp.bfloat16)}, {}, CAFFE, (), {}))
    found = read(tmp_path / "w").params["a"]
    assert type(found) is np.ndarray
    assert found.tolist() == [0.5, 0.5]


def test_a_flipped_bit_names_the_leaf(path):
    content = bytearray(path.read_bytes())
    content[-1] ^= 1  # the last bytes are the bfloat16 bias: safetensors puts wide dtypes first
    path.write_bytes(content)
    assert f"{path}: leaf block1_conv1/bias: its bytes" in refusal(read, path)


@pytest.mark.parametrize(("old", "new"), [(b"0.875", b"0.975"), (b"crow", b"cow ")])
def test_a_change_in_the_metadata_is_found(path, old, new):
    content = path.read_bytes()
    assert content.count(old) == 1
    path.write_bytes(content.replace(old, new))
    assert f"{path}: metadata is not what was written" in refusal(read, path)


def test_a_renamed_leaf_is_found(path):
    content = path.read_bytes()
    path.write_bytes(content.replace(b'"block5_conv1/kernel":', b'"block9_conv1/kernel":'))
    assert "- block5_conv1/kernel; + block9_conv1/kernel" in refusal(read, path)


@pytest.mark.parametrize(
    "damage",
    [
        lambda content: content[:-1],
        lambda content: content[:100],
        lambda content: content + b"x",
        lambda content: (1 << 60).to_bytes(8, "little") + content[8:],
        lambda content: content.replace(b"[3,3,3,4]", b"[9,9,9,9]"),
        lambda content: content.replace(b"[3,3,3,4]", b"[99999999999999]"[:8] + b"]"),
        lambda content: content.replace(b'"data_offsets":[0,', b'"data_offsets":[9,'),
    ],
)
def test_what_is_no_whole_safetensors_file_is_refused(path, damage):
    content = path.read_bytes()
    assert damage(content) != content
    path.write_bytes(damage(content))
    assert f"{path}: expected a whole safetensors file" in refusal(read, path)


@pytest.mark.parametrize(
    "content", [b"", b"<html>404 not found</html>", b"version https://git-lfs.github.com/spec/v1"]
)
def test_what_is_no_weights_file_is_refused(tmp_path, content):
    (tmp_path / "w").write_bytes(content)
    message = "expected a weights file (Keras HDF5 or .keras, torch .pth, or safetensors), found "
    assert refusal(read, tmp_path / "w") == f"{tmp_path / 'w'}: {message}{content[:16]!r}"


def test_no_file(tmp_path):
    assert (
        refusal(read, tmp_path / "x") == f"{tmp_path / 'x'}: expected a weights file, found nothing"
    )
    assert refusal(read, tmp_path) == f"{tmp_path}: expected a weights file, found no file"


def foreign(path, tensors, metadata=None, **changes):
    """A file that others could have made, with digests that fit."""
    document = {
        "format": 1,
        "architecture": {},
        "preprocess": CAFFE.to_dict(),
        "classes": [],
        "provenance": {},
        "leaves": {name: leaf_digest(name, leaf) for name, leaf in tensors.items()},
    } | changes
    document["digest"] = json_digest(document)
    save_file(tensors, path, metadata=metadata or {"tljax": json.dumps(document)})


ONE = {"a": np.ones(3, np.float32)}


@pytest.mark.parametrize(
    ("metadata", "message"),
    [
        ({"format": "pt"}, "expected the layers of a VGG16, found a"),
        ({"tljax": "{"}, "metadata: expected JSON, found '{'"),
        ({"tljax": "[" * 100_000}, "metadata: expected JSON, found '[["),
        ({"tljax": "[]"}, "metadata: expected format 1, found '[]'"),
        ({"tljax": '{"format": 2}'}, "metadata: expected format 1, found '{\"format\": 2}'"),
        ({"tljax": '{"format": 1}'}, "metadata: architecture: expected a dict, found None"),
    ],
)
def test_metadata_that_is_not_ours(tmp_path, metadata, message):
    foreign(tmp_path / "w", ONE, metadata)
    assert refusal(read, tmp_path / "w").startswith(f"{tmp_path / 'w'}: {message}")


@pytest.mark.parametrize(
    ("tensors", "changes", "message"),
    [
        (
            {"b": np.array([1, np.nan, np.inf], np.float32)},
            {},
            "leaf b: expected finite numbers, found 2 NaN",
        ),
        (
            {"b": np.array([np.nan], ml_dtypes.bfloat16)},
            {},
            "leaf b: expected finite numbers, found 1 NaN",
        ),
        ({"b": np.ones(2, np.int32)}, {}, "leaf b: expected F32 or BF16, found I32"),
        (
            {"b": np.ones(2, ml_dtypes.float8_e5m2)},
            {},
            "leaf b: expected F32 or BF16, found F8_E5M2",
        ),
        (
            {"b": ONE["a"], "b/c": ONE["a"]},
            {},
            "leaf b: expected a leaf or a folder, found both: b/c",
        ),
        (ONE, {"preprocess": {"channels": "HSV"}}, "preprocess"),
        (ONE, {"classes": "cat"}, "metadata: classes: expected a list, found 'cat'"),
        ({}, {}, "expected parameters, found none"),
    ],
)
def test_contents_that_cannot_be_used(tmp_path, tensors, changes, message):
    foreign(tmp_path / "w", tensors, **changes)
    assert message in refusal(read, tmp_path / "w")


@pytest.mark.parametrize(
    ("params", "provenance", "message"),
    [
        ({"a": {"b": np.array([np.inf], np.float32)}}, {}, "leaf a/b: expected finite numbers"),
        ({"a": np.ones(2)}, {}, "leaf a: expected float32 or bfloat16, found float64"),
        ({"a": {}}, {}, "expected parameters, found none"),
        (ONE, {"accuracy": float("nan")}, "must be plain JSON"),
        (ONE, {"accuracy": np.float32(1)}, "must be plain JSON"),
    ],
)
def test_what_could_not_be_read_is_not_written(path, params, provenance, message):
    before = path.read_bytes()
    assert message in refusal(write, path, Weights(params, {}, CAFFE, (), provenance))
    assert path.read_bytes() == before
    assert [file.name for file in path.parent.iterdir()] == [path.name]


def test_digest_is_of_the_content():
    a, b = np.arange(6, dtype=np.float32), np.ones(2, np.float32)
    base = digest({"x": {"a": a}, "b": b})
    assert base == digest({"b": jnp.asarray(b), "x": {"a": a.astype(">f4")}})
    others = [
        {"x": {"a": a.reshape(2, 3)}, "b": b},
        {"x": {"a": a.view(np.int32)}, "b": b},
        {"y": {"a": a}, "b": b},
        {"x": {"a": np.nextafter(a, 9, dtype=np.float32)}, "b": b},
        {"x": {"a": a}},
    ]
    assert len({base, *map(digest, others)}) == 6


def test_leaf_digest_by_formula():
    content = b"a/b\0float32\0(2,)\0" + bytes.fromhex("0000803f00000040")
    assert leaf_digest("a/b", np.array([1, 2], np.float32)) == hashlib.sha256(content).hexdigest()


LOADED = {
    "base": {"kernel": np.full((2, 3), 7, np.float32), "bias": np.full(3, 7, ml_dtypes.bfloat16)},
    "top": np.full(5, 7, np.float32),
}
INIT = {
    "base": {"kernel": jax.ShapeDtypeStruct((2, 3), jnp.float32), "bias": jnp.zeros(3)},
    "top": jnp.zeros(2),
}


def test_merge_takes_every_leaf_but_those_left_out():
    merged = merge(LOADED, INIT, leave_out=["top"])
    assert merged["base"]["kernel"] is LOADED["base"]["kernel"]
    assert merged["base"]["bias"].dtype == np.float32  # bfloat16 widened
    assert merged["base"]["bias"].tolist() == [7, 7, 7]
    assert merged["top"].tolist() == [0, 0]


def test_merge_leaves_out_on_either_side():
    loaded = {
        "a": np.ones(1, np.float32),
        "old": {"x": np.ones(1, np.float32), "y": np.ones(1, np.float32)},
    }
    init = {"a": np.zeros(1, np.float32), "new": np.zeros(1, np.float32)}
    assert merge(loaded, init, leave_out=["old/.*", "new"]) == {"a": [1], "new": [0]}


def test_merge_lists_what_does_not_fit():
    message = (
        "loaded parameters do not fit the model (- missing, + extra): ! top expected float32[2], "
        "found "
    )
    assert refusal(merge, LOADED, INIT) == message + "float32[5]"
    narrow = {"a": np.zeros(1, ml_dtypes.bfloat16), "c": np.zeros(1, np.float32)}
    assert refusal(
        merge, {"a": np.zeros(1, np.float32), "b": np.zeros(1, np.float32)}, narrow
    ).endswith("- c; + b; ! a expected bfloat16[1], found float32[1]")


def test_merge_names_the_file_and_keeps_long_lists_short():
    loaded = {f"layer{i}": np.ones(1, np.float32) for i in range(300)}
    message = refusal(merge, loaded, {"a": np.zeros(1, np.float32)}, source="w.h5")
    assert message.startswith(
        "w.h5: loaded parameters do not fit the model (- missing, + extra): - a; + layer0; "
    )
    assert message.endswith("; + 292 more")


def test_a_top_comes_back_and_files_without_one_are_as_they_were(tmp_path):
    top = {"fc1": {"kernel": np.ones((2, 3), np.float32), "bias": np.zeros(3, np.float32)}}
    write(tmp_path / "top", dataclasses.replace(small(), top=top))
    found = read(tmp_path / "top")
    assert digest(found.top) == digest(top)
    assert digest(found.params) == digest(small().params)
    assert found.source == str(tmp_path / "top")
    plain = write(tmp_path / "plain", small())
    # Written before there were tops: the format has not moved by a byte.
    assert plain == BEFORE
    assert read(tmp_path / "plain").top is None
    base = {"top": small().params["scale"]}
    message = refusal(write, tmp_path / "x", dataclasses.replace(small(), params=base, top=top))
    assert "leaf top: expected the base's layers only" in message


def test_merge_patterns_match_whole_paths_and_something():
    assert "leave_out 'to' matches no leaf; leaves are base/bias, base/kernel, top" in refusal(
        merge, LOADED, INIT, leave_out=["to"]
    )
    assert "leave_out '(': expected a regular expression" in refusal(
        merge, LOADED, INIT, leave_out=["("]
    )


def test_a_failed_write_leaves_the_old_file_and_nothing_else(path, monkeypatch):
    before = path.read_bytes()

    def full(source, target):
        raise OSError("No space left on device")

    monkeypatch.setattr("os.replace", full)
    with pytest.raises(InputError, match="cannot be written: No space left on device"):
        write(path, small())
    assert path.read_bytes() == before
    assert [file.name for file in path.parent.iterdir()] == [path.name]
