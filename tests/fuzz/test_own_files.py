"""What tljax writes, changed by a stranger: feature files and their parts, checkpoints,
arrays, runs.
"""

import json
import math
import shutil
import zipfile

import jax
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tljax.data import ImageSet
from tljax.data.preprocess import UNIT
from tljax.data.text import vocabulary
from tljax.files import orbax_store
from tljax.inputs import feature_store
from tljax.models import build, ops
from tljax.models.build import Network
from tljax.report.pages import masks, photographs
from tljax.runs import predictions
from tljax.sweep.finished_calls import Found, Kept
from tljax.tasks.classification import CLASSIFICATION
from tljax.train.step import State
from tljax.tree import json_digest
from tljax.weights import Weights, write

STRICT = settings(
    deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck)
)
ROWS = np.random.default_rng(0).random((6, 2, 3)).astype(np.float32)
fraction = st.floats(0, 1, allow_nan=False)
places = fraction | fraction.map(lambda at: at**4)
flips = st.lists(st.tuples(places, st.integers(0, 7)), max_size=4)
cuts = st.none() | fraction


def damaged(data: bytes, flips: list, cut: float | None) -> bytes:
    """Bits flipped at fractions of the length, the rest after `cut` left out."""
    content = bytearray(data)
    for at, bit in flips if content else []:
        content[int(at * (len(content) - 1))] ^= 1 << bit
    return bytes(content if cut is None else content[: int(cut * len(content))])


def copied(whole, folder) -> None:
    """The folder is that one again."""
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(whole, folder)


def run(cases, *strategies):
    def decorate(each):
        settings(STRICT, max_examples=cases)(given(*strategies)(each))()

    return decorate


def feature_files(folder) -> tuple[bytes, bytes, str]:
    """A finished file, a part that holds two of its three blocks, and the part's name."""

    def stops(start, stop):
        if start == 4:
            raise KeyboardInterrupt
        return ROWS[start:stop]

    wanted, options = (
        feature_store.Rows("train", {"data": "d"}, 6, (2, 3)),
        {"block": 2},
    )
    with pytest.raises(KeyboardInterrupt):
        feature_store.stored(folder / "features.h5", wanted, compute=stops, **options)
    [part] = folder.glob("*.part")
    content = part.read_bytes()
    feature_store.stored(folder / "features.h5", wanted, compute=lambda a, b: ROWS[a:b], **options)
    return (folder / "features.h5").read_bytes(), content, part.name


def cases_of_features(reading, tmp_path, *, cases):
    whole, part, name = feature_files(tmp_path)
    read, folder = reading("features"), tmp_path / "case"

    @run(cases, st.booleans(), flips, cuts)
    def each(finished, flips, cut):
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        path = folder / ("features.h5" if finished else name)
        path.write_bytes(damaged(whole if finished else part, flips, cut))
        read(path, names=str(folder / "features.h5"))

    print("features", read.counts)
    assert min(read.counts.values()) > 0


def cases_of_checkpoints(reading, tmp_path, *, cases):
    state = State(np.int32(7), {"a": {"k": np.arange(16, dtype=np.float32).reshape(4, 4)}}, {}, {})
    orbax_store.save(
        tmp_path / "whole", 7, state=state, meta={"note": "mine"}, metrics={"score": 0.5}
    )
    files = sorted(
        p.relative_to(tmp_path / "whole") for p in (tmp_path / "whole").rglob("*") if p.is_file()
    )
    read, folder = reading("checkpoint"), tmp_path / "case"

    @run(cases, st.sampled_from(files), st.booleans(), flips, cuts)
    def each(file, deleted, flips, cut):
        copied(tmp_path / "whole", folder)
        data = (folder / file).read_bytes()
        (folder / file).unlink()
        if not deleted:
            (folder / file).write_bytes(damaged(data, flips, cut))
        read(folder / "000007")

    print("checkpoint", read.counts)
    assert min(read.counts.values()) > 0


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A run of one rung."""
    folder = tmp_path_factory.mktemp("run")
    network = Network(hidden=0, options={"width": 1 / 64})
    module = build.classifier(network, classes=2)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ops, "compiler_options", lambda: {"xla_backend_optimization_level": 0})
        params = jax.device_get(build.init(module, key=jax.random.key(0), size=32)["params"])
    meta = {
        "network": {name: getattr(network, name) for name in network.__dataclass_fields__},
        "preprocess": UNIT.to_dict(),
        "classes": ["cat", "dog"],
        "size": 32,
        "stage": {},
        "seed": 0,
        "data": "0" * 64,
    }
    state = State(np.int32(3), params, {}, {})
    orbax_store.save(
        folder / "checkpoints" / "frozen-seed0",
        3,
        state=state,
        meta=meta,
        metrics={"score": 0.5},
    )
    counts = {
        "epochs": 1,
        "trainable_params": 1,
        "total_params": 1,
        "seconds": 1.0,
        "images_per_second": 1.0,
    }
    row = {
        "name": "frozen",
        "seed": 0,
        "validation": {"accuracy": 0.5, "loss": 1.0, "n": 4},
    } | counts
    (folder / "results.json").write_text(json.dumps({"data": {}, "rungs": [row]}))
    return folder


plain = st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats() | st.text(max_size=8)
anything = st.recursive(
    plain, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner)
)
NAMES = st.sampled_from(["../../elsewhere", "a/b", "/etc", "x\0", "frozen ", "frozen"])


def changed(document, path, value):
    """The document with the value in place of what the path of choices leads to."""
    if not path or not isinstance(document, dict | list) or not document:
        return value
    keys = list(document) if isinstance(document, dict) else range(len(document))
    at = keys[path[0] % len(keys)]
    copy = document.copy()
    copy[at] = changed(document[at], path[1:], value)
    return copy


def cases_of_runs(reading, finished, tmp_path, *, cases):
    """Damaged files, and documents with other values whose digests a stranger has made to fit."""
    files = sorted(p.relative_to(finished) for p in finished.rglob("*") if p.is_file())
    [document] = finished.rglob("meta/metadata")
    read, folder = reading("run", finished), tmp_path / "case"
    path_of_choices = st.lists(st.integers(0, 40), min_size=1, max_size=4)
    edits = st.tuples(
        path_of_choices, anything | NAMES | st.sampled_from([1e9, 2**30, -1, [2**31], ["x"] * 3])
    )

    @run(cases // 2, st.sampled_from(files), flips, cuts)
    def flipped(file, flips, cut):
        copied(finished, folder)
        (folder / file).write_bytes(damaged((finished / file).read_bytes(), flips, cut))
        read(folder)

    @run(cases - cases // 2, edits, st.booleans())
    def edited(edit, result):
        copied(finished, folder)
        if result:
            told = json.loads((finished / "results.json").read_text())
            (folder / "results.json").write_text(json.dumps(changed(told, *edit)))
        else:
            told = changed(json.loads(document.read_text()), *edit)
            if isinstance(told, dict):
                told["digest"] = json_digest(told)
            (folder / document.relative_to(finished)).write_text(json.dumps(told))
        read(folder)

    print("run", read.counts)
    assert min(read.counts.values()) > 0


@pytest.fixture(scope="module")
def told(tmp_path_factory):
    """A run of two rungs, with predictions, photographs for the page, and a sweep's call."""
    folder, rng = tmp_path_factory.mktemp("told"), np.random.default_rng(0)
    split = ImageSet(
        np.zeros((6, 2, 2, 3), np.uint8), np.array([0, 1] * 3, np.int32), tuple("abcdef")
    )
    rows = []
    for name in ("scratch", "frozen"):
        logits = rng.normal(size=(6, 1)).astype(np.float32)
        path = folder / "predictions" / f"{name}-seed0.npz"
        predictions.write(path, logits, split=split, classes=("cat", "dog"), digest="d")
        scores = CLASSIFICATION.judged(logits, split.labels)
        rows.append(
            {"name": name, "seed": 0, "epochs": 1, "validation": scores, "trainable_params": 1}
            | COSTS
        )
    (folder / "results.json").write_text(json.dumps({"data": {"digest": "d"}, "rungs": rows}))
    images, likely = np.zeros((2, 4, 4, 3), np.uint8), np.full((2, 2), 0.5)
    parts = {"ids": np.array(["a", "b"]), "labels": np.array([0, 1]), "probabilities": likely}
    both = {f"{part}_{name}": array for part in ("worst", "seen") for name, array in parts.items()}
    fields = {
        "rung": "frozen",
        "seed": 0,
        "layer": "pool",
        "images": 6,
        "classes": np.array(["cat", "dog"]),
    }
    fields |= {
        "worst": images,
        "seen": images,
        "worst_losses": np.ones(2),
        "maps": np.ones((2, 2, 3, 3)),
    }
    photographs.write(photographs.Photographs(**fields, **both), workdir=folder)
    places = np.zeros((2, 4, 4), np.uint8)
    names, means = np.array(["cat", "dog"]), np.full(2, 0.5)
    shown = masks.Shown("frozen", 0, 6, names, 1, images, places, places, parts["ids"], means)
    masks.write(shown, workdir=folder)
    sums = dict.fromkeys(("loss", "correct", "count", "grad_norm"), np.ones(2))
    held = {name: np.ones(3) for name in sums}  # the start's too
    Kept(folder / "calls", about={}).write(
        {"k" * 64: Found(sums, held, np.zeros((6, 1), np.float32), 0.5)}
    )
    return folder


COSTS = {"total_params": 1, "seconds": 1.0, "images_per_second": 1.0}
KINDS = st.sampled_from(
    ["<f4", "<f8", "<i4", "<i8", "|u1", "|b1", "<U3", "<U0", "|O", "<c8", "<f2", ">f4"]
)
SHAPES = st.lists(st.sampled_from([0, 1, 2, 3, 6, 2**40]), max_size=4)


def cases_of_arrays(reading, told, tmp_path, *, cases):
    """Damaged files, and arrays of another kind and shape whose check sums
    a stranger has made to fit.
    """
    files = sorted(path.relative_to(told) for path in told.rglob("*.npz"))
    read, folder = reading("arrays", told), tmp_path / "case"

    @run(cases // 2, st.sampled_from(files), flips, cuts)
    def flipped(file, flips, cut):
        copied(told, folder)
        (folder / file).write_bytes(damaged((told / file).read_bytes(), flips, cut))
        read(folder)

    @run(
        cases - cases // 2,
        st.sampled_from(files),
        st.integers(0, 40),
        KINDS,
        SHAPES,
        st.binary(max_size=300),
    )
    def edited(file, which, kind, shape, body):
        copied(told, folder)
        with zipfile.ZipFile(told / file) as archive:
            members = {name: archive.read(name) for name in archive.namelist()}
        name = list(members)[which % len(members)]
        sides = ", ".join(f"{n}," for n in shape)
        header = f"{{'descr': '{kind}', 'fortran_order': False, 'shape': ({sides}), }}\n"
        if math.prod(shape) <= 300 and kind != "|O":
            body = (body * 5000)[: math.prod(shape) * np.dtype(kind).itemsize]
        members[name] = (
            b"\x93NUMPY\x01\0" + len(header).to_bytes(2, "little") + header.encode() + body
        )
        with zipfile.ZipFile(folder / file, "w") as archive:
            for each, data in members.items():
                archive.writestr(each, data)
        read(folder)

    print("arrays", read.counts)
    assert min(read.counts.values()) > 0


def ours() -> Weights:
    """A VGG16 of width 1/64 without its top."""
    from tljax.models.vgg import CONVS, channels

    layers, before = {}, 3
    for layer in CONVS:
        after = channels(layer, 1 / 64)
        layers[layer] = {
            "kernel": np.ones((3, 3, before, after), np.float32),
            "bias": np.zeros(after, np.float32),
        }
        before = after
    return Weights(layers, {"name": "vgg16", "width": 1 / 64}, UNIT, ("a", "b"), {"epochs": 3})


def words() -> Weights:
    """A bag of words, with its vocabulary."""
    known = vocabulary.trained(["the old dog saw one more hill"], size=280)
    base = {"embed_words": {"embedding": np.ones((known.size, 4), np.float32)}}
    options = {"name": "bag", "vocabulary": known.size, "width": 4}
    return Weights(base, options, known, ("a", "b"), {"epochs": 3})


def cases_of_weights(reading, tmp_path, *, cases):
    """Every bit of ours is under a digest, but for what safetensors itself pads its header with."""
    wholes = []
    for number, weights in enumerate((ours(), words())):
        write(tmp_path / f"whole{number}", weights)
        wholes.append((tmp_path / f"whole{number}").read_bytes())
    path, read = tmp_path / "weights", reading("weights")

    @run(cases, st.sampled_from([0, 1]).map(wholes.__getitem__), flips, cuts)
    def each(whole, flips, cut):
        path.write_bytes(damaged(whole, flips, cut))
        read(path)

    print("weights", read.counts)
    assert min(read.counts.values()) > 0


def test_features(reading, tmp_path):
    cases_of_features(reading, tmp_path, cases=200)


def test_weights(reading, tmp_path):
    cases_of_weights(reading, tmp_path, cases=200)


def test_checkpoints(reading, tmp_path):
    cases_of_checkpoints(reading, tmp_path, cases=100)


def test_arrays(reading, told, tmp_path):
    cases_of_arrays(reading, told, tmp_path, cases=200)


def test_runs(reading, finished, tmp_path):
    cases_of_runs(reading, finished, tmp_path, cases=100)


@pytest.mark.slow
def test_many(reading, finished, tmp_path_factory):
    cases_of_features(reading, tmp_path_factory.mktemp("features"), cases=2000)
    cases_of_weights(reading, tmp_path_factory.mktemp("weights"), cases=2000)
    cases_of_checkpoints(reading, tmp_path_factory.mktemp("checkpoints"), cases=2000)
    cases_of_runs(reading, finished, tmp_path_factory.mktemp("runs"), cases=2000)


@pytest.mark.slow
def test_many_arrays(reading, told, tmp_path):
    cases_of_arrays(reading, told, tmp_path, cases=2000)
