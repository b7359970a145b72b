"""A few tiny photographs in folders, and a base pretrained on them."""

import sys

import numpy as np
import pytest
from PIL import Image

from tljax.commands import pretrain
from tljax.models import ops

WIDTH = 0.0625


@pytest.fixture(scope="session")
def photographs(tmp_path_factory):
    """folder: of 12 training and 6 validation photographs of two classes, 32 x 32."""
    root = tmp_path_factory.mktemp("photographs")
    rng = np.random.default_rng(0)
    for split, each in (("train", 6), ("validation", 3)):
        for number, animal in enumerate(("cat", "dog")):
            (root / split / animal).mkdir(parents=True)
            for i in range(each):
                pixels = rng.integers(0, 200, (32, 32, 3)) + 50 * number
                Image.fromarray(pixels.astype(np.uint8)).save(
                    root / split / animal / f"{animal}.{i}.png"
                )
    return f"folder:{root}"


@pytest.fixture(scope="session")
def base(photographs, in_a_hurry, tmp_path_factory):
    """The file that `python -m experiments.pretrain` leaves."""
    folder = tmp_path_factory.mktemp("base")
    words = (
        f"pretrain --data {photographs} --size 32 --width {WIDTH} --batch 3 --budget 0.01 --quiet "
        "--seed 1"
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(folder / "cache"))
        patch.setattr(ops, "compiler_options", in_a_hurry)
        patch.setattr(sys, "argv", [*words.split(), "--workdir", str(folder)])
        pretrain.main()
    return folder / "base.safetensors"
