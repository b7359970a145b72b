"""A stage with a rule of low rank, by the ordinary way: trained, saved, resumed, audited."""

import json
from dataclasses import asdict, replace

import jax
import numpy as np
import pytest

import tljax
from tljax.audit import abstract_step, cost
from tljax.audit.forecast import outlook
from tljax.climb import ladder
from tljax.config import Plan, Stage
from tljax.data.preprocess import UNIT
from tljax.data.sources import ImageSet, ImageSets
from tljax.errors import InputError
from tljax.machine import devices
from tljax.models import build, ops
from tljax.models.build import Network
from tljax.optim.rules import LowRank
from tljax.optim.transform import Optimizer
from tljax.report.tables import costs
from tljax.runs.workdir import Workdir
from tljax.train import Source, frozen, setup, train_plan
from tljax.tree import flatten, nest
from tljax.weights import Weights

RULES = (("head/.*", 1.0), ("base/block5_.*", LowRank(2)), ("base/.*", None))
ADAM = Optimizer("adam")
NETWORK = Network(hidden=4, options={"width": 0.0625})
STAGE = Stage("thin", RULES, lr=1e-2, epochs=1, batch_size=5, views=1, keep_going=True)
STAGE = replace(STAGE, optimizer=ADAM)
KERNELS = [f"base/block5_conv{i}/kernel" for i in (1, 2, 3)]  # [3, 3, 32, 32]
FACTORS = 3 * 2 * (9 * 32 + 32)
HEAD = 32 * 4 + 4 + 4 + 1


@pytest.fixture(scope="module", autouse=True)
def in_a_hurry():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ops, "compiler_options", lambda: {"xla_backend_optimization_level": 0})
        yield


def split(count, seed):
    images = np.random.default_rng(seed).integers(0, 256, (count, 32, 32, 3), np.uint8)
    return ImageSet(images, np.arange(count, dtype=np.int32) % 2, tuple(map(str, range(count))))


SETS = ImageSets("test", ("cat", "dog"), split(10, 0), split(4, 1), "0" * 64)


@pytest.fixture(scope="module")
def weights():
    params = build.init(build.classifier(NETWORK, classes=2), key=jax.random.key(5), size=32)
    base = jax.tree.map(
        lambda leaf: np.asarray(leaf * 1.4 if leaf.ndim == 4 else leaf), params["params"]["base"]
    )
    return Weights(base, {"name": "vgg16", "width": 0.0625}, UNIT, ("a", "b"), {}, source="mine")


@pytest.fixture(scope="module")
def source(weights, tmp_path_factory):
    store = tmp_path_factory.mktemp("store") / "features.h5"
    return Source(SETS, weights, store=store, progress=False)


def climbed(source, folder, *, resume=False):
    stages = {"thin": (NETWORK, STAGE)}
    workdir = Workdir(folder, resume=resume)
    workdir.begin(arguments={}, stages=stages, sets=SETS, base=source.weights.digest)
    return ladder(stages, source, seeds=[3], workdir=workdir)[3]["thin"]


@pytest.fixture(scope="module")
def run(source, tmp_path_factory):
    folder = tmp_path_factory.mktemp("run") / "run"
    return folder, climbed(source, folder)


def test_the_result_is_a_plain_classifier_whose_kernels_moved_by_the_rank(run, weights):
    trained = run[1]
    assert trained.trainable_params == FACTORS + HEAD
    plain = sum(leaf.size for leaf in jax.tree.leaves(weights.params)) + HEAD
    assert trained.total_params == plain
    before, after = flatten({"base": weights.params}), flatten(trained.state.params)
    for path, leaf in before.items():
        if path not in KERNELS:
            assert frozen.same_bits(leaf, after[path]), path
            continue
        change = (np.asarray(after[path]) - leaf).reshape(-1, 32)
        scale = np.linalg.norm(change, 2)
        assert scale > 0
        assert np.linalg.matrix_rank(change, tol=1e-2 * scale) in (1, 2)
    assert set(after) - set(before) == {
        f"head/{layer}/{leaf}" for layer in ("fc1", "predictions") for leaf in ("kernel", "bias")
    }


def test_what_was_saved_is_loaded_restored_and_written_as_a_difference(
    run, source, weights, tmp_path
):
    folder, trained = run
    loaded = tljax.load_run(folder)
    again = climbed(source, folder, resume=True)
    assert again.restored
    assert again.trainable_params == trained.trainable_params
    file = tljax.save_difference(loaded, tmp_path / "thin.safetensors", weights)
    from_file = tljax.load_difference(file, weights)
    elsewhere = tljax.load_run(from_file.save(tmp_path / "saved"))
    for other in (loaded, again, from_file, elsewhere):
        for kind in ("params", "factors"):
            leaves, found = (flatten(getattr(each.state, kind)) for each in (trained, other))
            assert leaves.keys() == found.keys()
            assert all(frozen.same_bits(leaves[path], found[path]) for path in leaves)
    images = SETS.validation.images
    assert from_file(images).tobytes() == loaded(images).tobytes()
    assert from_file.classes == ("cat", "dog")
    assert 4 * (FACTORS + HEAD) < file.stat().st_size < 4 * (FACTORS + HEAD) + 8000


def test_a_difference_has_whole_what_no_update_explains(run, weights, tmp_path):
    """A bias that moved by hand, and a kernel that is more than its update."""
    trained = run[1]
    flat = flatten(jax.device_get(trained.state.params))
    flat["base/block5_conv1/bias"] = flat["base/block5_conv1/bias"] + 1
    flat[KERNELS[1]] = flat[KERNELS[1]] * 2
    changed = replace(trained, state=trained.state.replace(params=nest("test", flat)))
    file = tljax.save_difference(changed, tmp_path / "file", weights)
    found = flatten(tljax.load_difference(file, weights).state.params)
    assert all(frozen.same_bits(flat[path], found[path]) for path in flat)
    whole = 4 * (FACTORS // 3 * 2 + HEAD + 32 + 9 * 32 * 32)
    assert whole < file.stat().st_size < whole + 8000


def test_a_difference_with_another_base_or_a_damaged_file_is_refused(run, weights, tmp_path):
    file = tljax.save_difference(run[1], tmp_path / "file", weights)
    other = replace(weights, params=jax.tree.map(lambda leaf: leaf + 1, weights.params))
    message = f"file: made from the base {weights.digest[:12]}, found {other.digest[:12]} .mine."
    with pytest.raises(InputError, match=message):
        tljax.load_difference(file, other)
    narrow = Network(hidden=4, options={"width": 0.125})
    wide = build.init(build.classifier(narrow, classes=2), key=jax.random.key(5), size=32)
    with pytest.raises(InputError, match="expected the base that thin began with"):
        tljax.save_difference(
            run[1], tmp_path / "none", replace(weights, params=wide["params"]["base"])
        )
    assert not (tmp_path / "none").exists()
    content = file.read_bytes()
    changed = bytearray(content)
    changed[-1] ^= 1
    for damaged in (content[:-9], content[:40], b"", b"x" * 99, bytes(changed)):
        file.write_bytes(damaged)
        with pytest.raises(InputError) as caught:
            tljax.load_difference(file, weights)
        assert str(file) in str(caught.value)
        assert "\n" not in str(caught.value)
    tljax.save_weights(file, weights)
    with pytest.raises(InputError, match="expected format difference 1, found"):
        tljax.load_difference(file, weights)
    file.write_bytes(content)
    with pytest.raises(InputError, match="expected format 1, found"):
        tljax.load_weights(str(file))


def test_outline_audit_and_report_know_the_rule(source):
    forecast = outlook({"thin": (STAGE, setup.outline(STAGE, NETWORK, source))}, {})[0]
    assert forecast.trainable_params == FACTORS + HEAD
    assert forecast.rates == {"head/.*": 1e-2, "base/block5_.*": 1e-2}
    planned = {"stage": json.loads(json.dumps(asdict(STAGE)))}  # as config.json has it
    assert costs.trained(planned) == ["head", "block5 at rank 2"]
    dry = abstract_step.planned(STAGE, NETWORK, classes=2, size=32)
    assert dry.start == "block5_conv1"
    found = cost.audit(dry, devices.mesh(jax.devices()[:1]))
    assert (found.moved, found.idle) == ((), ())
    assert {f"params/{path}" for path in KERNELS} <= set(found.held)
    assert len(found.trainable) == 2 * len(KERNELS) + 4


def test_a_later_stage_goes_on_from_a_plain_classifier(source, weights):
    after = replace(STAGE, name="later", lr=1e-3)
    first, second = train_plan(Plan("two", (STAGE, after)), NETWORK, source, seed=1)
    assert set(second.state.params) == {"base", "head"}
    leaf = "base/block5_conv1/kernel"
    one, two = (np.asarray(flatten(each.state.params)[leaf]) for each in (first, second))
    start = weights.params["block5_conv1"]["kernel"]
    assert 0 < np.abs(two - one).max() < np.abs(one - start).max()


def test_stages_that_cannot_take_the_rule_are_refused(source):
    scratch = replace(STAGE, views=None, rules=(("base/.*", LowRank(2)), ("head/.*", 1.0)))
    with pytest.raises(InputError, match="'thin': low-rank updates need a pretrained base; cnn is"):
        setup.outline(scratch, Network(base="cnn", options={"padding": "SAME"}), source)
    with pytest.raises(InputError, match="rules must be the head's alone"):
        replace(STAGE, solver="lbfgs")
    everything = replace(STAGE, views=None, rules=((".*", LowRank(2)),))
    with pytest.raises(InputError, match="expected kernels of the base, found 'head/fc1/kernel'"):
        setup.outline(everything, NETWORK, source)
