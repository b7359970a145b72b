import asyncio
import gc
import json
import logging
import shutil
import sys
import threading
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import struct
from jax.sharding import AxisType, NamedSharding, PartitionSpec

from tljax.errors import InputError
from tljax.files import orbax_noise, orbax_store
from tljax.train.step import State as ModelState


class Small(struct.PyTreeNode):
    step: jax.Array
    params: dict
    model_state: dict
    opt_state: Any
    name: str = struct.field(pytree_node=False, default="not saved")


TX = optax.multi_transform(
    {
        "fast": optax.chain(optax.clip_by_global_norm(1.0), optax.adam(1e-2)),
        "none": optax.set_to_zero(),
    },
    {"base": "none", "head": "fast"},
)


def small(seed: int = 0) -> Small:
    """A state in mid-training: 16 x 512 kernels are large enough for data files of their own."""
    first, second = jax.random.split(jax.random.key(seed))
    kernel = jax.random.normal(first, (16, 512))
    params = {
        "base": {"kernel": kernel, "scale": jnp.float32(0.5)},
        "head": {
            "kernel": jax.random.normal(second, (16, 512)).astype(jnp.bfloat16),
            "bias": jnp.zeros(8),
        },
    }
    updates, opt_state = TX.update(jax.tree.map(lambda x: x * 0.1, params), TX.init(params), params)
    return Small(jnp.int32(41), optax.apply_updates(params, updates), {}, opt_state)


def save(directory, step, state=None, *, accuracy=0.5, **options):
    orbax_store.save(
        directory,
        step,
        state=state or small(),
        meta={"epoch": step},
        metrics={"score": accuracy},
        **options,
    )


def assert_same(found, expected):
    assert jax.tree.structure(found) == jax.tree.structure(expected)
    for a, b in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
        assert (a.dtype, a.shape) == (b.dtype, b.shape)
        np.testing.assert_array_equal(np.asarray(a), np.asarray(b))


@pytest.fixture(scope="module")
def saved(tmp_path_factory) -> Path:
    directory = tmp_path_factory.mktemp("saved")
    save(directory, 7)
    return directory


def refusal(call, *args, **kwargs) -> str:
    with pytest.raises(InputError) as caught:
        call(*args, **kwargs)
    message = str(caught.value)
    assert "\n" not in message
    return message


def test_a_state_comes_back_bit_for_bit(saved):
    target = jax.eval_shape(small)
    state, meta = orbax_store.restore(saved, 7, target.replace(name="mine"))
    assert_same(state, small().replace(name="mine"))
    assert state.params["head"]["kernel"].dtype == jnp.bfloat16
    assert int(state.opt_state.inner_states["fast"].inner_state[1][0].count) == 1
    assert int(state.step) == 41
    assert meta == {"epoch": 7}


def test_model_state_comes_back(tmp_path):
    state = small().replace(model_state={"batch_stats": {"mean": jnp.arange(3.0)}})
    save(tmp_path, 1, state)
    assert_same(orbax_store.restore(tmp_path, 1, state)[0], state)


def test_shardings_are_those_of_the_target(saved):
    mesh = jax.make_mesh((8,), ("data",), axis_types=(AxisType.Auto,))
    whole = NamedSharding(mesh, PartitionSpec())
    split = NamedSharding(mesh, PartitionSpec(None, "data"))
    target = jax.tree.map(
        lambda x: jax.ShapeDtypeStruct(
            x.shape, x.dtype, sharding=split if x.shape == (16, 512) else whole
        ),
        jax.eval_shape(small),
    )
    state, _ = orbax_store.restore(saved, 7, target)
    assert_same(state, small())
    assert state.params["base"]["kernel"].sharding == split
    assert state.params["base"]["kernel"].addressable_shards[0].data.shape == (16, 64)
    assert state.step.sharding == whole


def test_params_alone_are_numpy_arrays(saved):
    variables, meta = orbax_store.restore_variables(saved, 7)
    assert_same(variables, {"params": small().params})
    assert all(type(leaf) is np.ndarray for leaf in jax.tree.leaves(variables))
    assert meta == {"epoch": 7}


def test_statistics_are_read_with_the_params(tmp_path):
    statistics = {"batch_stats": {"base": {"mean": jnp.arange(3.0)}}}
    save(tmp_path, 7, replace(small(), model_state=statistics))
    variables, _ = orbax_store.restore_variables(tmp_path, 7)
    assert_same(variables, {"params": small().params, **statistics})


def largest(folder: Path) -> Path:
    return max(
        (path for path in folder.rglob("*") if path.is_file()), key=lambda path: path.stat().st_size
    )


@pytest.mark.parametrize("item", ["params", "opt_state"])
def test_a_flipped_bit_is_found_and_the_leaf_named(tmp_path, item):
    save(tmp_path, 3)
    file = largest(tmp_path / "000003" / item)
    damaged = bytearray(file.read_bytes())
    damaged[len(damaged) // 2] ^= 1
    file.write_bytes(damaged)
    message = refusal(orbax_store.restore, tmp_path, 3, jax.eval_shape(small))
    assert f"{tmp_path / '000003'}: leaf {item}/" in message
    assert "kernel" in message
    if item == "params":
        assert "leaf params/" in refusal(orbax_store.restore_variables, tmp_path, 3)
    else:
        assert_same(orbax_store.restore_variables(tmp_path, 3)[0]["params"], small().params)


def test_a_truncated_file_is_one_line_and_quiet(tmp_path, capfd):
    save(tmp_path, 3)
    truncate(tmp_path / "000003")
    mesh = jax.make_mesh((8,), ("data",), axis_types=(AxisType.Auto,))
    whole = NamedSharding(mesh, PartitionSpec())
    target = jax.tree.map(
        lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=whole), jax.eval_shape(small)
    )
    for _ in range(4):  # a race: without the wait in orphans.quiet, one in two prints
        assert f"{tmp_path / '000003'}: cannot be read" in refusal(
            orbax_store.restore, tmp_path, 3, target
        )
        gc.collect()  # where Orbax's abandoned coroutines would print
    assert capfd.readouterr().err == ""


def hooks():
    filters = [list(logging.getLogger(name).filters) for name in ("absl", "asyncio")]
    return sys.unraisablehook, threading.excepthook, filters, list(warnings.filters)


def truncate(directory: Path) -> None:
    file = largest(directory / "params")
    file.write_bytes(file.read_bytes()[:1000])


def test_hooks_and_filters_are_as_before(tmp_path):
    """After a save, a restore, a failed restore and a failed save."""
    before = hooks()
    save(tmp_path, 3)
    assert hooks() == before
    orbax_store.restore(tmp_path, 3, jax.eval_shape(small))
    assert hooks() == before
    truncate(tmp_path / "000003")
    assert "cannot be read" in refusal(orbax_store.restore, tmp_path, 3, jax.eval_shape(small))
    assert hooks() == before
    (tmp_path / "file").write_bytes(b"")
    assert "cannot be written" in refusal(save, tmp_path / "file" / "folder", 4)
    assert hooks() == before


def test_hooks_stay_until_the_last_thread_leaves():
    before, entered, leave = hooks(), threading.Event(), threading.Event()

    def other():
        with orbax_noise.quiet():
            entered.set()
            leave.wait()

    thread = threading.Thread(target=other)
    with orbax_noise.quiet():
        inside = hooks()
        thread.start()
        entered.wait()
    assert inside[:3] == hooks()[:3] != before[:3]
    leave.set()
    thread.join()
    assert hooks() == before


def abandon(reason: str) -> None:
    async def failing():
        asyncio.get_running_loop().create_future().set_exception(ValueError(reason))

    asyncio.run(failing())
    gc.collect()


def test_futures_of_orbax_are_silent_inside_alone(caplog):
    with orbax_noise.quiet():
        for reason in ("no room in 000004.orbax-checkpoint-tmp", "ours"):
            abandon(reason)
    abandon("later, in 000005.orbax-checkpoint-tmp")
    messages = [record.getMessage() for record in caplog.records if record.name == "asyncio"]
    assert [word in message for word, message in zip(("ours", "later"), messages, strict=True)] == [
        True
    ] * 2


def test_a_failure_retrieves_the_errors_of_abandoned_futures(caplog):
    async def failing():
        future = asyncio.get_running_loop().create_future()
        future.set_exception(ValueError("nobody asks"))
        return future

    held = [asyncio.run(failing())]
    with pytest.raises(RuntimeError, match="broken"), orbax_noise.quiet():
        raise RuntimeError("broken")
    held.clear()
    gc.collect()
    assert not [record for record in caplog.records if record.name == "asyncio"]


def test_a_changed_record_is_refused(tmp_path):
    save(tmp_path, 3)
    record = tmp_path / "000003" / "meta" / "metadata"
    record.write_text(record.read_text().replace('"epoch": 3', '"epoch": 9'))
    assert "meta is not what was saved" in refusal(orbax_store.restore_variables, tmp_path, 3)
    record.write_text("{")
    assert "cannot be read" in refusal(orbax_store.restore_variables, tmp_path, 3)


def test_another_dtype_is_refused(saved):
    target = jax.eval_shape(small)
    target.params["base"]["kernel"] = jax.ShapeDtypeStruct((16, 512), jnp.bfloat16)
    message = refusal(orbax_store.restore, saved, 7, target)
    assert message.endswith(
        "! params/base/kernel expected bfloat16[16, 512], found float32[16, 512]"
    )


def test_another_shape_is_refused(saved):
    target = jax.eval_shape(small)
    target.params["head"]["bias"] = jax.ShapeDtypeStruct((9,), jnp.float32)
    message = refusal(orbax_store.restore, saved, 7, target)
    assert message.endswith("! params/head/bias expected float32[9], found float32[8]")


def test_leaves_must_be_the_same_ones(saved):
    target = jax.eval_shape(small)
    target.params["head"]["gain"] = target.params["head"].pop("bias")
    message = refusal(orbax_store.restore, saved, 7, target)
    assert message.endswith("(- missing, + extra): - params/head/gain; + params/head/bias")


def kept(directory: Path) -> list[int]:
    return sorted(int(path.name) for path in directory.iterdir())


def test_latest_and_best_are_kept(tmp_path):
    for step, accuracy in enumerate([0.5, 0.9, 0.6, 0.7], start=1):
        save(tmp_path, step, accuracy=accuracy)
    assert kept(tmp_path) == [2, 4]
    assert (orbax_store.latest_step(tmp_path), orbax_store.best_step(tmp_path)) == (4, 2)
    assert orbax_store.restore_variables(tmp_path, 2)[1] == {"epoch": 2}


def test_nan_is_never_the_best(tmp_path):
    nan = float("nan")
    save(tmp_path, 1, accuracy=nan)
    assert orbax_store.best_step(tmp_path) is None
    assert orbax_store.latest_step(tmp_path) == 1
    for step, accuracy in [(2, 0.9), (3, nan), (4, 0.7), (5, float("inf"))]:
        save(tmp_path, step, accuracy=accuracy)
    assert kept(tmp_path) == [2, 5]
    assert orbax_store.best_step(tmp_path) == 2


def test_numpy_metrics_and_another_monitor(tmp_path):
    for step, loss in [(1, 0.2), (2, 0.9), (3, 0.5)]:
        metrics = {"score": np.float32(step / 10), "negative_loss": jnp.float32(-loss)}
        orbax_store.save(
            tmp_path, step, state=small(), meta={}, metrics=metrics, monitor="negative_loss"
        )
    assert kept(tmp_path) == [1, 3]
    assert orbax_store.best_step(tmp_path, monitor="negative_loss") == 1
    assert orbax_store.best_step(tmp_path) == 3
    stored = json.loads((tmp_path / "000001" / "metrics" / "metrics").read_text())
    assert stored["negative_loss"] == pytest.approx(-0.2)


def test_a_relative_directory(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    save("runs/checkpoints", 2)
    assert orbax_store.latest_step("runs/checkpoints") == 2
    assert_same(orbax_store.restore(Path("runs/checkpoints"), 2, jax.eval_shape(small))[0], small())


def test_reading_changes_nothing(tmp_path):
    missing = tmp_path / "none"
    assert orbax_store.latest_step(missing) is None
    assert orbax_store.best_step(missing) is None
    assert "found steps []" in refusal(orbax_store.restore_variables, missing, 1)
    assert not missing.exists()


def test_leavings_of_a_killed_save_are_removed_by_the_next(tmp_path):
    save(tmp_path, 1, accuracy=0.9)
    left = tmp_path / "000002.orbax-checkpoint-tmp"
    left.mkdir()
    assert orbax_store.latest_step(tmp_path) == 1
    assert left.exists()
    save(tmp_path, 3, accuracy=0.5)
    assert kept(tmp_path) == [1, 3]


def test_a_folder_that_is_no_checkpoint_is_not_counted(tmp_path):
    save(tmp_path, 1)
    (tmp_path / "000009").mkdir()
    assert orbax_store.latest_step(tmp_path) == 1
    assert "no such checkpoint; found steps [1]" in refusal(
        orbax_store.restore_variables, tmp_path, 9
    )
    assert "step 5: expected a step after 9" in refusal(save, tmp_path, 5)


def test_bad_arguments_are_refused_before_anything_is_written(tmp_path):
    arguments = {"state": small(), "meta": {}, "metrics": {"score": 0.5}}
    wrong_meta = refusal(orbax_store.save, tmp_path / "a", 1, **arguments | {"meta": {"x": small}})
    assert "meta must be plain JSON" in wrong_meta
    no_metric = refusal(orbax_store.save, tmp_path / "a", 1, **arguments, monitor="f1")
    assert "expected the metric f1, found ['score']" in no_metric
    assert not (tmp_path / "a").exists()


def test_steps_must_grow(saved):
    assert "step 7: expected a step after 7" in refusal(save, saved, 7)
    assert "step 6: expected a step after 7" in refusal(save, saved, 6)


def test_damaged_metrics_are_named(tmp_path):
    """Nothing but JSON is in that file: Orbax would open no step of the folder,
    with a traceback.
    """
    state = ModelState(jnp.int32(1), {"a": jnp.ones(2)}, {}, {})
    for step in (1, 2):
        orbax_store.save(tmp_path, step, state=state, meta={}, metrics={"score": 0.5}, latest=2)
    (tmp_path / "000002" / "metrics" / "metrics").write_text("{")
    assert list(orbax_store.damaged(tmp_path)) == [2]
    for call in (
        lambda: orbax_store.restore(tmp_path, 1, state),
        lambda: orbax_store.latest_step(tmp_path),
    ):
        with pytest.raises(
            InputError,
            match=r"000002: metrics: expected what was saved, found .*; remove this folder",
        ):
            call()
    shutil.rmtree(tmp_path / "000002")
    restored, _ = orbax_store.restore(tmp_path, 1, state)
    np.testing.assert_array_equal(restored.params["a"], [1, 1])
