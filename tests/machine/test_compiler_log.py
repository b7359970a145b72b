"""What C++ writes goes to a file; what Python says goes where it always went."""

import os
import subprocess
import sys
from pathlib import Path

import tljax

ROOT = Path(tljax.__file__).parents[1]
SCRIPT = """
import os, sys
from pathlib import Path
import jax
from tqdm import tqdm
from tljax.machine import compiler_log
jax.default_backend = lambda: sys.argv[1]
print("before", file=sys.stderr)
for name in ("first.log", "second.log"):
    compiler_log.send_to(Path(sys.argv[2]) / name)
    os.write(2, f"W0000 cuda_timer.cc: into {name}\\n".encode())
    print(f"said after {name}", file=sys.stderr)
list(tqdm(range(3), desc="bar", delay=0))
if sys.argv[3] == "abort":
    os.abort()
raise ValueError("lost?")
"""


def run(platform, folder, end="raise"):
    """`(standard error, {log: text})` of a process that writes in every way."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "JAX_PLATFORMS": "cpu"}
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, platform, str(folder), end],
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
        timeout=60,
        check=False,
    )
    return done.stderr, {path.name: path.read_text() for path in folder.glob("*.log")}


def test_pages_of_an_accelerator_s_compiler_go_to_the_file(tmp_path):
    said, logs = run("gpu", tmp_path)
    assert logs == {
        name: f"W0000 cuda_timer.cc: into {name}\n" for name in ("first.log", "second.log")
    }
    assert "cuda_timer" not in said
    assert said.startswith("before\nsaid after first.log\nsaid after second.log\n")
    assert "bar: 100%" in said
    assert said.rstrip().endswith("ValueError: lost?")


def test_an_abort_still_shows_where(tmp_path):
    said, _ = run("gpu", tmp_path, end="abort")
    assert "Fatal Python error: Aborted" in said
    assert 'File "<string>"' in said


def test_nothing_is_sent_on_cpu(tmp_path):
    said, logs = run("cpu", tmp_path)
    assert logs == {}
    assert said.count("cuda_timer") == 2
