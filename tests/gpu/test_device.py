"""Memory and compiler of an accelerator, and what is said where there is too little."""

import os
import subprocess
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import pytest

import tljax
from tljax.audit import abstract_step, hlo
from tljax.config import HEAD_ONLY, TRAIN_ALL, Stage
from tljax.errors import InputError
from tljax.machine import devices, memory
from tljax.machine.flops import flops
from tljax.models import build

pytestmark = pytest.mark.gpu

ROOT = Path(tljax.__file__).parents[1]
STAGE = Stage("large", TRAIN_ALL, lr=1e-3, epochs=1, batch_size=64)
FRACTION = "XLA_PYTHON_CLIENT_MEM_FRACTION"
HOLD = """
import sys, jax, jax.numpy as jnp
held = jnp.ones(1000).block_until_ready()
print("holding", flush=True)
sys.stdin.read()
"""
TAKE = """
import sys, jax, jax.numpy as jnp
from tljax.config import TRAIN_ALL, Stage
from tljax.errors import InputError
from tljax.machine import memory
stage = Stage("large", TRAIN_ALL, lr=1e-3, epochs=1, batch_size=64)
try:
    with memory.explained(stage):
        jnp.ones(int(sys.argv[1]), jnp.uint8).block_until_ready()
except InputError as error:
    print(error)
"""
COMPILE = """
import sys, jax, jax.numpy as jnp
from pathlib import Path
from tljax.machine import compiler_log
from tljax.models import ops
folder = Path(sys.argv[1])
jax.config.update("jax_compilation_cache_dir", str(folder / "cache"))
jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
compiler_log.send_to(folder / "compiler.log")
def loss(x, kernel):
    y = ops.max_pool(ops.conv(x, kernel, padding="VALID")).astype(jnp.float32)
    return (y ** 2).sum()
x, kernel = jnp.ones((64, 17, 17, 64), jnp.bfloat16), jnp.ones((3, 3, 64, 64), jnp.bfloat16)
jax.block_until_ready(jax.jit(jax.grad(loss, argnums=(0, 1)))(x, kernel))
print("compiled", file=sys.stderr)
"""


def python(code, *words, fraction):
    """A Python process on the same device, with so much of its memory."""
    path = f"{ROOT}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"
    return subprocess.Popen(
        [sys.executable, "-c", code, *words],
        env={**os.environ, "PYTHONPATH": path, FRACTION: str(fraction)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def limit():
    stats = jax.local_devices()[0].memory_stats()
    if not stats or "bytes_limit" not in stats:
        pytest.skip("this device does not say how much memory it has")
    return stats["bytes_limit"]


def test_a_stage_that_is_too_large_is_one_line():
    needed = int(1.5 * limit())
    program = jax.jit(lambda: jnp.ones(needed, jnp.uint8)).lower().compile()
    with pytest.raises(InputError) as caught, memory.explained(STAGE, program):
        program().block_until_ready()
    line = str(caught.value)
    assert line.startswith(
        "stage 'large': batch size 64 does not fit into the device's memory: its program takes "
        f"{needed / 1e6:.0f} MB of the {limit() / 1e6:.0f} MB that this process may use; try 32 "
    )
    assert "\n" not in line
    assert jnp.ones(8).sum() == 8  # and the device goes on


def test_room_is_half_of_what_the_device_says():
    assert memory.room() == limit() // 2


def test_the_second_process_on_a_device_is_told_that_it_is_not_alone():
    """It gets what the first has left, and a line where that is too little."""
    total = limit() / float(os.environ[FRACTION])
    first = python(HOLD, fraction=0.5)
    try:
        assert first.stdout.readline() == "holding\n", first.stderr.read()
        second = python(TAKE, str(int(0.4 * total)), fraction=0.9)
        out, err = second.communicate(timeout=60)
    finally:
        first.communicate()
    assert second.returncode == 0, err
    assert out.startswith("stage 'large': batch size 64 does not fit into the device's memory")
    assert out.endswith("; nvidia-smi shows what other processes hold\n")


def test_the_compiler_is_quiet_keeps_what_it_measured_and_finds_a_kernel(tmp_path):
    """A VALID convolution over an odd map, pooled: its input gradient needs no padding refused."""
    process = python(COMPILE, str(tmp_path), fraction=0.1)
    _, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    assert err.splitlines()[-1] == "compiled"
    assert "cuda_timer" not in err
    assert "negative padding" not in (tmp_path / "compiler.log").read_text()
    kept = {path.name for path in (tmp_path / "cache").iterdir()}
    assert any(name.endswith("-cache") for name in kept)
    if jax.devices()[0].platform == "gpu":
        assert "xla_gpu_per_fusion_autotune_cache_dir" in kept


def test_flops_are_counted_whatever_the_compiler_says():
    """The lecture's frozen step on 4 images; memory and kernels from the compiled program."""
    stage = Stage("frozen", HEAD_ONLY, lr=1e-3, epochs=1, batch_size=4, dropout=0.5)
    dry = abstract_step.planned(stage, build.Network(), classes=2, size=150)
    traced = dry.trace(devices.mesh(jax.devices()[:1]))
    assert flops(traced) == pytest.approx(50.4e9, abs=0.05e9)
    narrow = abstract_step.planned(
        stage, build.Network(options={"width": 0.125}), classes=2, size=150
    )
    compiled = narrow.trace(devices.mesh(jax.devices()[:1])).lower().compile()
    assert memory.temporary(compiled) > 1e5
    assert 13 < hlo.launches(compiled.as_text()) < 1000  # 13 convolutions at least
