"""A whole ladder by two processes of two devices each, compared with one process of one device.

It takes a minute or two.
"""

import json
import os
import pathlib
import socket
import subprocess
import sys

import numpy as np
import pytest

from tljax import config

pytestmark = pytest.mark.slow
ROOT = pathlib.Path(__file__).resolve().parents[2]


def started(words, *, devices, cache):
    flags = f"--xla_force_host_platform_device_count={devices} --xla_backend_optimization_level=0"
    env = {
        **os.environ,
        "XLA_FLAGS": flags,
        "JAX_PLATFORMS": "cpu",
        "PYTHONPATH": str(ROOT),
        "XDG_CACHE_HOME": cache,
    }
    command = [sys.executable, str(pathlib.Path(__file__).with_name("short_ladder.py")), *words]
    return subprocess.Popen(
        command, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def ended(process):
    try:
        out, err = process.communicate(timeout=900)
    finally:
        process.kill()
    assert process.returncode == 0, err[-2000:]
    return out


def test_a_ladder_by_two_processes_is_that_of_one(photographs, base, tmp_path):
    """Same places in the data, same augmentation and dropout; process 0 alone speaks and writes."""
    cache, common = str(tmp_path / "cache"), f"--data {photographs} --size 32 --weights {base}"
    alone = started(
        [*common.split(), "--quiet", "--workdir", str(tmp_path / "alone")], devices=1, cache=cache
    )
    told = ended(alone)
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{found.getsockname()[1]}"
    words = [
        *common.split(),
        "--workdir",
        str(tmp_path / "two"),
        "--coordinator",
        address,
        "--processes",
        "2",
    ]
    both = [started([*words, "--process", str(i)], devices=2, cache=cache) for i in range(2)]
    said = [ended(process) for process in both]
    assert "differential" in told
    assert "differential" in said[0]
    assert [line for line in said[1].splitlines() if not line.startswith("[Gloo]")] == []
    for rung in config.RUNGS:
        name = pathlib.Path("predictions") / f"{rung}-seed0.npz"
        a, b = (np.load(tmp_path / run / name)["logits"] for run in ("alone", "two"))
        np.testing.assert_allclose(a, b, atol=1e-4, err_msg=rung)
    results = json.loads((tmp_path / "two" / "results.json").read_text())
    assert [rung["name"] for rung in results["rungs"]] == list(config.RUNGS)
