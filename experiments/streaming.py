"""Measure how fast photographs stream from a large file that is not cached, by order and processes.

    python -m experiments.streaming --gigabytes 28

Writes a file of noise as large as asked for, removed at the end, and reads parts of it as training
does where a set fits no device: `inputs.feed`, 32 steps of 32 images at a time, ahead of the
program. The system's cache of the file is dropped before each reading. A file of 23.9 GB on a
machine with 25.3 GB of memory, two cores of an AMD EPYC: 8,300 images a second of 224 x 224 in
order, 10,400 shuffled, with two processes 13,600 and 11,300; 80 seconds. A file of 28 GB, at low
priority while others used both cores: 2,100, 2,950, 1,360 and 2,430; 150 seconds.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from tqdm import tqdm

from tljax.commands import cli, running
from tljax.data.draws import draws
from tljax.errors import InputError
from tljax.inputs.feed import feed
from tljax.machine import devices

IMAGENET = 1_281_167  # training photographs of ILSVRC 2012
_CALL = 32 * 32  # images that one call of a program reads


def main() -> None:
    """Run the command."""
    parser = cli.bare_parser(__doc__, experiment="streaming")
    parser.add_argument("--gigabytes", type=float, default=28.0, help="size of the file (28)")
    parser.add_argument("--size", type=int, default=224, help="side of the images (224)")
    parser.add_argument("--images", type=int, default=16 * _CALL, help="to read (16,384)")
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()))
    parser.add_argument("--read", help=argparse.SUPPRESS)  # a child: FILE,ORDER,PART,PARTS
    args = parser.parse_args()
    if args.read:
        file, order, part, parts = args.read.split(",")
        print(_rate(Path(file), args, order, int(part), int(parts)))
        return
    total = int(args.gigabytes * 1e9) // (args.size**2 * 3)
    if total < args.images:
        raise InputError(f"--images: expected at most the {total} of the file, found {args.images}")
    with tempfile.TemporaryDirectory(dir=args.folder) as folder:
        file = _written(Path(folder) / "images.uint8", total, args.size)
        for order in ("in order", "shuffled"):
            for parts in (1, 2):
                rate = sum(_in_processes(file, args, order, parts))
                print(
                    f"{order}, {parts} process{'es' * (parts > 1)}: {rate:,.0f} images/s, "
                    f"{rate * args.size**2 * 3 / 1e9:.2f} GB/s; an epoch of ImageNet "
                    f"{IMAGENET / rate / 60:.1f} min",
                    flush=True,
                )


def _written(path: Path, images: int, size: int) -> Path:
    """Write images of noise; what is read depends on places, not on pixels."""
    block = np.random.default_rng(0).integers(0, 256, (_CALL, size, size, 3), np.uint8)
    with open(path, "wb") as file:
        for first in tqdm(range(0, images, _CALL), desc="writing", unit_scale=_CALL):
            file.write(block[: images - first].data)
        os.fsync(file.fileno())
    return path


def _in_processes(file: Path, args: argparse.Namespace, order: str, parts: int) -> list[float]:
    """Read with several processes, each a part of the file; the images a second of each."""
    with open(file, "rb") as opened:
        os.posix_fadvise(opened.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    module = [sys.executable, "-m", __spec__.name]
    options = ["--size", str(args.size), "--images", str(args.images // parts)]
    children = [
        subprocess.Popen(
            [*module, *options, "--read", f"{file},{order},{part},{parts}"],
            stdout=subprocess.PIPE,
            text=True,
        )
        for part in range(parts)
    ]
    return [float(child.communicate()[0]) for child in children]


def _rate(file: Path, args: argparse.Namespace, order: str, part: int, parts: int) -> float:
    """Read images of one part of the file to the device; images a second."""
    images = np.memmap(file, np.uint8, "r").reshape(-1, args.size, args.size, 3)
    share = len(images) // parts
    own = images[part * share : (part + 1) * share]
    example = np.arange(args.images)
    if order == "shuffled":
        _, example = draws(0, args.images, examples=share, seed=0)
    rows = example[: len(example) // _CALL * _CALL].reshape(-1, _CALL)
    over, began = devices.mesh_for(1), time.perf_counter()
    for pool, _ in feed(own, rows, over=over, place="streamed"):
        pool.block_until_ready()
    return rows.size / (time.perf_counter() - began)


if __name__ == "__main__":
    running.run(main)
