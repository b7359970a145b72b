"""An import of any of our modules connects to nothing, starts nothing, writes nothing,
reads only what is installed.
"""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
CHILD = """
import importlib, os, pathlib, pkgutil, sys
# What these do is not our doing.
import jax, numpy.testing, h5py, PIL.Image, tqdm, flax.linen, optax, safetensors, ml_dtypes
import concurrent.futures, urllib.request, http.client, zipfile, mmap, tempfile

HARM = ("socket.connect", "socket.bind", "socket.getaddrinfo", "subprocess.Popen")
HARM += ("os.system", "os.posix_spawn", "os.mkdir", "os.remove", "os.rename", "os.rmdir")
HARM += ("os.symlink", "os.truncate", "urllib.Request")
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
INSTALLED = tuple(os.path.join(prefix, "lib") + os.sep for prefix in (sys.prefix, sys.base_prefix))
seen = []


def hook(event, args):
    if event in HARM:
        seen.append(f"{event} {args!r:.100}")
    elif event == "open" and isinstance(args[0], (str, bytes, os.PathLike)):
        name = os.path.abspath(os.fsdecode(args[0]))
        foreign = not name.startswith(INSTALLED) and not name.endswith((".py", ".pyc"))
        if (args[2] or 0) & WRITING or foreign:
            seen.append(f"open {args!r:.100}")


import tljax, experiments
names = []
for package in (tljax, experiments):
    modules = pkgutil.walk_packages(package.__path__, f"{package.__name__}.")
    names += [module.name for module in modules]
skipped = ("tljax.data.cats_vs_dogs", "tljax.benchmark.keras_side", "tljax.benchmark.torch_side")
names = [name for name in names if not name.endswith("__main__") and name not in skipped]
sys.dont_write_bytecode = True
for name in list(sys.modules):
    if name.partition(".")[0] in ("tljax", "experiments"):
        del sys.modules[name]  # the packages themselves are to be seen as well
sys.addaudithook(hook)
for name in names:
    importlib.import_module(name)
print(len(names))
print("\\n".join(seen))
"""


def test_an_import_does_nothing():
    environment = {"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin", "JAX_PLATFORMS": "cpu"}
    words = [sys.executable, "-c", CHILD]
    done = subprocess.run(words, capture_output=True, text=True, env=environment, timeout=600)
    assert done.returncode == 0, done.stderr
    count, *seen = done.stdout.splitlines()
    assert int(count) > 100
    assert [line for line in seen if line] == []
