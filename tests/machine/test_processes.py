import os
import pathlib
import runpy
import socket
import subprocess
import sys

import jax
import numpy as np
import pytest

from tljax.audit import hlo
from tljax.errors import InputError
from tljax.files import orbax_store
from tljax.inputs.feed import feed
from tljax.machine import devices, processes
from tljax.models import ops
from tljax.tree import flatten

SCRIPT = pathlib.Path(__file__).with_name("trained_together.py")
ROOT = SCRIPT.parents[2]
DIGEST = "00" * 32


def free_port():
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


def together(out, *, digests):
    """Two processes of two devices each: `(exit status, stderr)` of both."""
    quick = "--xla_force_host_platform_device_count=2 --xla_backend_optimization_level=0"
    flags = {"XLA_FLAGS": quick, "JAX_PLATFORMS": "cpu", "PYTHONPATH": str(ROOT)}
    for _ in range(3):  # another program may have taken the port in between
        address = f"127.0.0.1:{free_port()}"
        running = [
            subprocess.Popen(
                [sys.executable, str(SCRIPT), address, "2", str(i), str(out), digest],
                env={**os.environ, **flags},
                stderr=subprocess.PIPE,
                text=True,
            )
            for i, digest in enumerate(digests)
        ]
        try:
            ended = [process.communicate(timeout=240)[1] for process in running]
        finally:
            for process in running:
                process.kill()
                process.wait()
        if not any("already in use" in text for text in ended):
            break
    return [(process.returncode, text) for process, text in zip(running, ended, strict=True)]


@pytest.fixture(scope="module", autouse=True)
def compiled_in_a_hurry():
    """Compiling takes most of the time here,
    and most of that is the optimiser over random draws.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ops, "compiler_options", lambda: {"xla_backend_optimization_level": 0})
        yield


@pytest.fixture(scope="module")
def alone():
    return runpy.run_path(str(SCRIPT))["trained"](devices.mesh(jax.devices()[:1]))


def close(found, state):
    for path, leaf in flatten(jax.device_get(state.params)).items():
        np.testing.assert_allclose(found[path], leaf, rtol=0, atol=1e-6, err_msg=path)


def test_two_processes_train_what_one_device_does_and_save_it_together(tmp_path, alone):
    """Augmentation and dropout on, momentum, six steps;
    the checkpoint is read back by this one process.
    """
    ended = together(tmp_path, digests=[DIGEST, DIGEST])
    assert [status for status, _ in ended] == [0, 0], ended
    state, metrics = alone
    for i in range(2):
        found = np.load(tmp_path / f"process{i}.npz")
        close(found, state)
        assert found["loss"].item() == pytest.approx(metrics["loss"], abs=1e-5)
        assert found["accuracy"].item() == pytest.approx(metrics["accuracy"])
    restored, _ = orbax_store.restore(tmp_path / "checkpoints", 6, state)
    close(flatten(restored.params), state)


def test_other_data_on_one_process_is_refused_by_both(tmp_path):
    ended = together(tmp_path, digests=[DIGEST, "11" * 32])
    assert [status for status, _ in ended] == [2, 2], ended
    assert all("data: process 1 has another than process 0" in text for _, text in ended)


@pytest.mark.parametrize("place", ["replicated", "sharded", "streamed"])
def test_eight_devices_train_what_one_does_wherever_the_set_lives(monkeypatch, alone, place):
    monkeypatch.setattr("tljax.train.segments.place", lambda array, over: place)
    monkeypatch.setattr("tljax.train.evaluate.place", lambda array, over: place)
    state, metrics = runpy.run_path(str(SCRIPT))["trained"](devices.mesh())
    close(flatten(jax.device_get(state.params)), alone[0])
    assert metrics["loss"] == pytest.approx(alone[1]["loss"], abs=1e-5)


def test_a_batch_from_a_divided_set_moves_no_more_than_the_batch():
    """Not the set: each device gives what it has of the rows asked for."""
    over = devices.mesh()
    images = np.zeros((4096, 16), np.uint8)
    pool, rows = next(feed(images, [np.arange(32, dtype=np.int32)], over=over, place="sharded"))
    split = devices.split_batch(over)
    gather = jax.jit(lambda pool, rows: pool[rows], out_shardings=split)
    text = gather.lower(pool, devices.put(rows, split)).compile().as_text()
    assert 32 * 16 // 8 <= sum(hlo.collective_bytes(text).values()) <= 32 * 16 + 32 * 4


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({}, None),
        ({"SLURM_STEP_NUM_TASKS": "1"}, None),
        ({"SLURM_STEP_NUM_TASKS": "4"}, "SLURM"),
        ({"OMPI_COMM_WORLD_SIZE": "2"}, "Open MPI"),
        ({"TPU_WORKER_HOSTNAMES": "localhost"}, None),
        ({"TPU_WORKER_HOSTNAMES": "a,b"}, "TPU pod"),
    ],
)
def test_a_cluster_is_one_where_it_started_more_than_one_process(environment, expected):
    assert processes.detected(environment) == expected


def test_a_cluster_that_does_not_count_is_named():
    with pytest.raises(
        InputError,
        match="SLURM_STEP_NUM_TASKS: expected a number of processes from SLURM, found '2x'",
    ):
        processes.detected({"SLURM_STEP_NUM_TASKS": "2x"})


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"coordinator": "a:1", "processes": 2, "process": None}, "expected all three or none"),
        ({"coordinator": None, "processes": None, "process": 0}, "expected all three or none"),
        (
            {"coordinator": "a:1", "processes": 2, "process": 2},
            "--process must be from 0 to 1, found 2",
        ),
    ],
)
def test_half_an_address_is_refused(given, message):
    with pytest.raises(InputError, match=message):
        processes.start(**given)


def test_one_process_alone_is_the_first_and_waits_for_nobody():
    assert processes.first()
    processes.wait("nobody")
    processes.agree("data", DIGEST)
