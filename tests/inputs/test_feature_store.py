import contextlib
import os
import signal
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import h5py
import jax
import ml_dtypes
import numpy as np
import pytest

from tljax.data.preprocess import CAFFE
from tljax.errors import InputError
from tljax.inputs import feature_rows, feature_store
from tljax.models import ops, vgg
from tljax.weights import safe

IDENTITY = {
    "data": "d" * 64,
    "weights": "w" * 64,
    "layer": "block5_pool",
    "preprocess": CAFFE.to_dict(),
    "views": 1,
}
COUNT, SHAPE = 10, (2, 3)


def rows(start: int, stop: int) -> np.ndarray:
    """Row i holds i + 0, i + 1/8, ...: exact in every dtype."""
    return (np.arange(start, stop)[:, None, None] + np.arange(6).reshape(SHAPE) / 8).astype(
        np.float32
    )


def never(start, stop):
    raise AssertionError(f"compute({start}, {stop}) of rows that are stored")


def get(
    path,
    *,
    compute=never,
    name="train",
    identity=IDENTITY,
    count=COUNT,
    shape=SHAPE,
    dtype="float32",
    block=4,
):
    wanted = feature_store.Rows(name, identity, count, shape, dtype)
    return feature_store.stored(path, wanted, compute=compute, block=block)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "features.h5"


def only_group(path):
    with h5py.File(path) as file:
        (group,) = file
    return group


def test_blocks_are_computed_once_in_order_and_read_back(path):
    calls = []
    found = get(path, compute=lambda *block: calls.append(block) or rows(*block))
    assert calls == [(0, 4), (4, 8), (8, 10)]
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, rows(0, COUNT))
    np.testing.assert_array_equal(get(path), rows(0, COUNT))
    assert os.listdir(path.parent) == ["features.h5"]


def test_the_file_says_what_it_holds_and_is_chunked_by_rows(path):
    row = np.arange(50_000, dtype=np.float32)  # 200 kB: five in a chunk of about 1 MiB
    identity = {
        "note": "caffe, \u00fc",
        "seed": 7,
        "strength": 0.5,
        "augment": {"zoom": [0.2]},
        "huge": 2**64,
        "no": None,
    }
    get(path, compute=lambda a, b: np.stack([row] * (b - a)), identity=identity, shape=row.shape)
    with h5py.File(path) as file:
        (group,) = file.values()
        assert group.name.startswith("/train-")
        assert dict(group.attrs) == {
            "note": b'"caffe, \\u00fc"',
            "seed": 7,
            "strength": 0.5,
            "augment": b'{"zoom": [0.2]}',
            "huge": b"18446744073709551616",
            "no": b"null",
        }
        data = group["activations"]
        assert data.chunks == (5, 50_000)
        assert data.attrs["dtype"] == b"float32"
        np.testing.assert_array_equal(data[9], row)  # with nothing but h5py


@pytest.mark.parametrize(
    "change",
    [
        {"name": "validation"},
        {"count": COUNT - 1},
        {"shape": (3, 2)},
        {"dtype": "float16"},
        *({"identity": IDENTITY | {key: "other"}} for key in IDENTITY),
        {"identity": IDENTITY | {"seed": 0}},
        {"identity": IDENTITY | {"preprocess": IDENTITY["preprocess"] | {"scale": 2.0}}},
    ],
    ids=str,
)
def test_any_other_set_is_computed_beside_the_first(path, change):
    kind = {"shape": SHAPE, "dtype": np.float32} | change
    other = lambda a, b: np.full((b - a, *kind["shape"]), 7, kind["dtype"])  # noqa: E731
    get(path, compute=rows)
    assert (get(path, compute=other, **change) == 7).all()
    np.testing.assert_array_equal(get(path), rows(0, COUNT))
    assert (get(path, **change) == 7).all()


def test_the_order_of_the_identity_and_tuples_do_not_matter(path):
    get(path, compute=rows, identity={"a": 1, "b": {"c": (1, 2), "d": 3}})
    get(path, identity={"b": {"d": 3, "c": [1, 2]}, "a": 1})


@pytest.mark.parametrize(
    "dtype", ["float32", "float16", "bfloat16", np.float32, jax.numpy.bfloat16]
)
def test_dtypes_come_back_with_their_bits(path, dtype):
    kind = np.dtype(ml_dtypes.bfloat16) if dtype == "bfloat16" else np.dtype(dtype)
    expected = rows(0, COUNT).astype(kind)
    for compute in (lambda a, b: expected[a:b], never):
        found = get(path, compute=compute, dtype=dtype)
        assert found.dtype == kind
        np.testing.assert_array_equal(found.view(np.uint8), expected.view(np.uint8))


def test_a_stopped_pass_continues_after_its_last_block_also_in_other_blocks(path):
    def stops(start, stop):
        if start == 8:
            raise KeyboardInterrupt
        return rows(start, stop)

    with pytest.raises(KeyboardInterrupt):
        get(path, compute=stops)
    assert not path.exists()
    calls = []
    found = get(path, compute=lambda *block: calls.append(block) or rows(*block), block=1)
    assert calls == [(8, 9), (9, 10)]
    np.testing.assert_array_equal(found, rows(0, COUNT))


def unfinished(path, *, until):
    """The part that a pass leaves which stops before row `until`."""

    def stops(start, stop):
        if start >= until:
            raise KeyboardInterrupt
        return rows(start, stop)

    with pytest.raises(KeyboardInterrupt):
        get(path, compute=stops)
    (part,) = path.parent.glob("*.part")
    return part


def continued_at(path):
    starts = []
    found = get(path, compute=lambda *block: starts.append(block[0]) or rows(*block))
    np.testing.assert_array_equal(found, rows(0, COUNT))
    path.unlink()
    return starts[0]


def test_a_part_torn_anywhere_gives_its_whole_blocks(path):
    content = (part := unfinished(path, until=8)).read_bytes()
    block = 40 + 4 * 6 * 4  # seal, then four rows of six float32
    assert len(content) == 2 * block
    for size in range(0, len(content) + 1, 3):
        part.write_bytes(content[:size])
        assert continued_at(path) == 4 * (size // block)


def test_what_follows_a_torn_block_is_kept(path):
    part = unfinished(path, until=8)
    part.write_bytes(part.read_bytes()[:-1])
    unfinished(path, until=8)
    assert continued_at(path) == 8


def test_a_part_damaged_anywhere_gives_the_blocks_before_the_damage(path):
    content = (part := unfinished(path, until=8)).read_bytes()
    for place in range(0, len(content), 5):
        part.write_bytes(content[:place] + bytes([content[place] ^ 4]) + content[place + 1 :])
        assert continued_at(path) == 4 * (place // (len(content) // 2))


def test_blocks_of_another_place_or_set_are_not_taken(path):
    content = (part := unfinished(path, until=8)).read_bytes()
    half = len(content) // 2
    part.write_bytes(content[half:] + content[:half])
    assert continued_at(path) == 0
    seeded = []
    part.write_bytes(content)
    with pytest.raises(KeyboardInterrupt):
        get(
            path,
            compute=lambda a, b: (_ for _ in ()).throw(KeyboardInterrupt),
            identity=IDENTITY | {"seed": 1},
        )
    (other,) = set(path.parent.glob("*.part")) - {part}
    other.write_bytes(content)
    get(
        path,
        compute=lambda *block: seeded.append(block[0]) or rows(*block),
        identity=IDENTITY | {"seed": 1},
    )
    assert seeded[0] == 0


KILLED = """
import os, pathlib, signal, sys
import numpy as np
from tljax.inputs import feature_rows as staging
from tljax.inputs import feature_store as features

when, path = sys.argv[1], pathlib.Path(sys.argv[2])

def die(*_):
    os.kill(os.getpid(), signal.SIGKILL)

def compute(start, stop):
    with open(path.with_name("log"), "a") as log:
        log.write(f"{start} ")
    if when == f"row {start}":
        die()
    rows = np.arange(start, stop)[:, None, None] + np.arange(6).reshape(2, 3) / 8
    return rows.astype(np.float32)

replace = os.replace
if when == "written":
    os.fsync = die
if when == "replaced":
    os.replace = lambda *names: die(replace(*names))
features.stored(path, features.Rows("train", {"data": "d"}, 10, (2, 3)), compute=compute, block=2)
"""


def test_a_pass_killed_again_and_again_gives_what_an_uninterrupted_one_gives(path):
    get(path, compute=rows, name="validation")
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    for when in ("row 0", "row 4", "row 8", "written", "replaced", "never"):
        command = [sys.executable, "-c", KILLED, when, str(path)]
        run = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)
        assert run.returncode == (0 if when == "never" else -signal.SIGKILL), run.stderr
        assert bool(list(path.parent.glob("*.part"))) == (when != "never")
        np.testing.assert_array_equal(get(path, name="validation"), rows(0, COUNT))
    # Blocks that it was killed in are computed again, all others once.
    assert path.with_name("log").read_text().split() == ["0", "0", "2", "4", "4", "6", "8", "8"]
    np.testing.assert_array_equal(get(path, identity={"data": "d"}), rows(0, COUNT))


def test_a_second_writer_waits_says_so_and_reads_what_the_first_has_made(path, capsys):
    """Locks are of open files: another thread is kept out as another process is."""
    began, go_on = threading.Event(), threading.Event()

    def compute(start, stop):
        began.set()
        assert go_on.wait(30)
        return rows(start, stop)

    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(get, path, compute=compute)
        assert began.wait(30)
        second = pool.submit(get, path)
        while not (said := capsys.readouterr().out):
            assert not second.done()
        assert said == f"{path}: waiting for another process that writes there\n"
        go_on.set()
        np.testing.assert_array_equal(first.result(30), rows(0, COUNT))
        np.testing.assert_array_equal(second.result(30), rows(0, COUNT))


def test_what_another_process_finished_meanwhile_is_read(path, monkeypatch):
    alone = feature_rows.alone

    def late(path):
        monkeypatch.undo()
        get(path, compute=rows)
        return alone(path)

    monkeypatch.setattr(feature_rows, "alone", late)
    np.testing.assert_array_equal(get(path), rows(0, COUNT))


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_activations_that_are_not_finite_are_refused_by_row_and_not_kept(path, value, dtype):
    bad = rows(0, COUNT).astype(feature_rows.DTYPES[dtype])
    bad[6, 1, 2] = bad[7, 0, 0] = value
    with pytest.raises(InputError, match=r"features.h5: train: row 6: expected finite activations"):
        get(path, compute=lambda a, b: bad[a:b], dtype=dtype)
    assert not path.exists()
    starts = []
    good = rows(0, COUNT).astype(feature_rows.DTYPES[dtype])
    get(path, compute=lambda a, b: starts.append(a) or good[a:b], dtype=dtype)
    assert starts == [4, 8]


@pytest.mark.parametrize(
    "wrong",
    [
        lambda a, b: rows(a, b)[1:],
        lambda a, b: rows(a, b).astype(np.float64),
        lambda a, b: rows(a, b)[..., 0],
    ],
)
def test_a_compute_of_another_shape_or_dtype_is_a_bug(path, wrong):
    with pytest.raises(
        ValueError, match=r"compute\(0, 4\): expected float32\[4, 2, 3\], found float"
    ):
        get(path, compute=wrong)


def refused(path, *, found: str, name="train"):
    """Says in one line which file, which group, what is wrong and what to do;
    leaves the file alone.
    """
    before = path.read_bytes()
    with pytest.raises(InputError, match=found) as caught:
        get(path, compute=rows, name=name)
    assert str(caught.value).startswith(f"{path}: group {name}-")
    assert str(caught.value).endswith("; delete the file to compute it again")
    assert "\n" not in str(caught.value)
    assert path.read_bytes() == before
    assert set(os.listdir(path.parent)) <= {"features.h5", "elsewhere.h5"}


def test_what_is_not_hdf5_or_cut_short_is_refused(path):
    get(path, compute=rows)
    content = path.read_bytes()
    for size in [*range(0, len(content), 499), len(content) - 1]:
        path.write_bytes(content[:size])
        refused(path, found="expected whole HDF5, found OSError")
        refused(path, found="expected whole HDF5, found OSError", name="validation")
    path.write_bytes(b"these are no activations" * 100)
    refused(path, found="expected whole HDF5, found OSError")


def test_a_flipped_bit_is_noticed_or_harmless_wherever_it_is(path):
    expected = get(path, compute=rows)
    content = path.read_bytes()
    at = content.index(expected.tobytes())
    for place in [*range(at, at + expected.nbytes, 7), *range(0, len(content), 31)]:
        path.write_bytes(content[:place] + bytes([content[place] ^ 16]) + content[place + 1 :])
        if at <= place < at + expected.nbytes:
            refused(path, found=r"found other attributes or activations \(sha256\)")
            continue
        with contextlib.suppress(InputError):
            np.testing.assert_array_equal(get(path), expected)


def test_attributes_are_those_that_were_written(path):
    get(path, compute=rows)
    with h5py.File(path, "r+") as file:
        file[only_group(path)].attrs["layer"] = np.bytes_("block4_pool")
    refused(path, found="found other attributes")


@pytest.mark.parametrize(
    "other", [{"name": "validation"}, {"identity": IDENTITY | {"views": 2}}], ids=str
)
def test_another_sets_rows_under_this_sets_name_are_noticed(path, other):
    get(path, compute=rows)
    ours = only_group(path)
    path.unlink()
    get(path, compute=rows, **other)
    with h5py.File(path, "r+") as file:
        file.move(only_group(path), ours)
        file[ours].attrs["views"] = 1
    refused(path, found="found other attributes or activations")


@pytest.mark.parametrize("level", ["group", "activations"])
@pytest.mark.parametrize("kind", ["soft", "external", "dangling"])
def test_links_are_not_followed(path, level, kind):
    get(path, compute=rows)
    group = only_group(path)
    place = group if level == "group" else f"{group}/activations"
    elsewhere = path.with_name("elsewhere.h5")
    elsewhere.write_bytes(path.read_bytes())
    with h5py.File(path, "r+") as file:
        file.move(place, "moved")
        links = {
            "soft": h5py.SoftLink("/moved"),
            "external": h5py.ExternalLink(elsewhere.name, place),
            "dangling": h5py.SoftLink("/nowhere"),
        }
        file[place] = links[kind]
    refused(path, found="expected the data itself, found a soft or external link")


def test_rows_in_another_file_are_not_read(path):
    get(path, compute=rows)
    group, raw = only_group(path), path.with_name("elsewhere.h5")
    rows(0, COUNT).tofile(raw)
    for kind in ("external", "virtual"):
        with h5py.File(path, "r+") as file:
            attributes = dict(file[group]["activations"].attrs)
            del file[group]["activations"]
            if kind == "external":
                external = [(str(raw), 0, h5py.h5f.UNLIMITED)]
                data = file[group].create_dataset(
                    "activations", (COUNT, *SHAPE), "f4", external=external
                )
            else:
                layout = h5py.VirtualLayout((COUNT, *SHAPE), "f4")
                layout[:] = h5py.VirtualSource(str(raw), "rows", (COUNT, *SHAPE))
                data = file[group].create_virtual_dataset("activations", layout)
            data.attrs.update(attributes)
        refused(path, found="rows that lie in another file")


def test_a_dataset_in_the_place_of_a_group_and_another_shape_are_refused(path):
    get(path, compute=rows)
    group = only_group(path)
    with h5py.File(path, "r+") as file:
        del file[group]["activations"]
        file[group]["activations"] = rows(0, COUNT - 1)
    refused(path, found=r"expected float32\[10, 2, 3\], found float32\[9, 2, 3\]")
    with h5py.File(path, "r+") as file:
        del file[group]
        file[group] = rows(0, COUNT)
    refused(path, found="expected a Group, found a Dataset")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"dtype": "float64"}, "train: dtype: expected float32, float16, bfloat16, found float64"),
        ({"identity": {"data": np.ones(2)}}, "train: identity: expected plain JSON"),
        ({"identity": {"data": float("nan")}}, "train: identity: expected plain JSON"),
        ({"identity": {"a/b": 1}}, "expected letters, digits and _, found 'a/b'"),
        ({"identity": {1: 1}}, "expected letters, digits and _, found 1"),
        ({"name": "../train"}, "expected letters, digits and _, found '../train'"),
        ({"count": 0}, "train: expected at least 1 for count and block, found 0 and 4"),
        ({"block": 0}, "train: expected at least 1 for count and block, found 10 and 0"),
    ],
)
def test_options_are_checked_before_anything_is_computed_or_written(path, options, message):
    with pytest.raises(InputError) as caught:
        get(path, **options)
    assert message in str(caught.value)
    assert os.listdir(path.parent) == []


def test_the_longest_frozen_prefix():
    blocks = [{layer for layer in vgg.CONVS if layer.startswith(f"block{b}")} for b in range(1, 6)]

    def prefix(*frozen):
        return vgg.ARCHITECTURE.frozen_prefix(set().union(*frozen))

    assert prefix() is None
    assert prefix(*blocks) == "block5_pool"
    assert (
        prefix(*blocks[:4]) == "block4_pool"
    )  # the lecture's fine-tuning trains block5_conv1 onward
    assert prefix({"block1_conv1"}) == "block1_conv1"
    assert prefix(*blocks[:2], {"block3_conv1", "block3_conv3"}) == "block3_conv1"
    assert prefix(*blocks[1:]) is None


def test_vgg16_run_once(path):
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (20, 150, 150, 3), np.uint8)
    network = vgg.VGG16(width=0.125)
    tree = jax.eval_shape(network.init, jax.random.key(0), np.zeros((1, 32, 32, 3), np.float32))

    def he(leaf):
        return np.float32(rng.standard_normal(leaf.shape) * (2 / np.prod(leaf.shape[:-1])) ** 0.5)

    first = jax.tree.map(he, tree)
    run = ops.jit(lambda variables, images: network.apply(variables, CAFFE(images))[0])

    def through(variables):
        """The set, and the blocks that were computed for it."""
        starts = []
        found = get(
            path,
            identity=IDENTITY | {"weights": safe.digest(variables["params"])},
            count=20,
            shape=(4, 4, 64),
            compute=lambda a, b: starts.append(a) or run(variables, images[a:b]),
            block=10,
        )
        return found, starts

    found, starts = through(first)
    assert (found.shape, found.dtype, starts) == ((20, 4, 4, 64), np.float32, [0, 10])
    direct = np.concatenate([run(first, images[:10]), run(first, images[10:])])
    assert direct.std(0).max() > 1
    np.testing.assert_array_equal(found, direct)
    again, starts = through(first)
    assert starts == []
    np.testing.assert_array_equal(again, direct)
    second = jax.tree.map(lambda leaf: leaf * np.float32(1.01), first)
    found, starts = through(second)
    assert starts == [0, 10]
    np.testing.assert_array_equal(found[:10], run(second, images[:10]))
    assert np.abs(found - direct).max() > 1e-3
