"""A ladder in processes of their own, to be killed; one of them ran undisturbed."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import jax
import numpy as np
import pytest
from PIL import Image

from tljax.data.preprocess import TORCH
from tljax.models import build
from tljax.models.build import Network
from tljax.weights import Weights, write

ROOT = Path(__file__).resolve().parents[2]
TIMES = ("images_per_second", "step_flops", "temporary_bytes")


class Ladder:
    """The command, on photographs and a base of its own."""

    def __init__(self, folder):
        self.folder = folder
        rng = np.random.default_rng(0)
        for split, each in (("train", 6), ("validation", 3)):
            for animal in ("cat", "dog"):
                (folder / "photographs" / split / animal).mkdir(parents=True)
                for i in range(each):
                    pixels = rng.integers(0, 256, (32, 32, 3)).astype(np.uint8)
                    Image.fromarray(pixels).save(
                        folder / "photographs" / split / animal / f"{i}.png"
                    )
        module = build.classifier(Network(options={"width": 0.0625}), classes=2)
        params = build.init(module, key=jax.random.key(1), size=32)["params"]["base"]
        base = Weights(
            jax.device_get(params), {"name": "vgg16", "width": 0.0625}, TORCH, ("a", "b"), {}
        )
        write(folder / "base.safetensors", base)

    def start(self, workdir, *more, home="cache"):
        words = (
            f"--data folder:{self.folder}/photographs --size 32 "
            f"--weights {self.folder}/base.safetensors --quiet"
        )
        environment = {k: v for k, v in os.environ.items() if k != "XLA_FLAGS"}
        environment |= {
            "XDG_CACHE_HOME": str(self.folder / home),
            "PYTHONPATH": str(ROOT),
            "MPLBACKEND": "Agg",
        }
        command = [sys.executable, str(Path(__file__).with_name("small_ladder.py")), *words.split()]
        return subprocess.Popen(
            [*command, "--workdir", str(workdir), *more],
            env=environment,
            cwd=self.folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, workdir, *more):
        """`(status, what it said on either stream)`."""
        process = self.start(workdir, *more)
        out, err = process.communicate(timeout=300)
        return process.returncode, out + err


@pytest.fixture(scope="session")
def ladder(tmp_path_factory):
    return Ladder(tmp_path_factory.mktemp("ladder"))


@pytest.fixture(scope="session")
def undisturbed(ladder):
    """What the run comes to when nothing happens."""
    status, said = ladder.run(ladder.folder / "undisturbed")
    assert status == 0, said
    return outcome(ladder.folder / "undisturbed")


@pytest.fixture(scope="session")
def seconds(ladder, undisturbed):
    """What the run takes once everything is compiled;
    the same seed gives the same a second time.
    """
    began = time.monotonic()
    assert ladder.run(ladder.folder / "again")[0] == 0
    assert outcome(ladder.folder / "again") == undisturbed
    return time.monotonic() - began


def outcome(workdir):
    """Metrics and results but for times, and the digest of every leaf of each checkpoint."""
    lines = [json.loads(line) for line in (workdir / "metrics.jsonl").read_text().splitlines()]
    rungs = json.loads((workdir / "results.json").read_text())["rungs"]
    leaves = {
        str(file.relative_to(workdir)): json.loads(file.read_text())["leaves"]
        for file in sorted((workdir / "checkpoints").glob("*/*/meta/metadata"))
    }
    assert len(leaves) == 3
    assert not list((workdir / "progress").glob("*"))
    return [
        {k: v for k, v in record.items() if k not in TIMES and not k.endswith("seconds")}
        for record in [*lines, *rungs]
    ], leaves
