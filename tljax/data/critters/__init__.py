"""Critters: simulated photographs of animals, the data set that tljax carries within.

Cats and dogs are the target task, twelve other animals the source task. All are built from one kit
of ears, muzzles and eyes, wear coats from one wardrobe and sit in the same places, so that only
their shape sets them apart. `draw` is a pure function: the same picture for the same arguments (and
the same Pillow), no matter what was drawn before.
"""

from pathlib import Path

from tljax.data.critters.draw import PIXELS, Traits, draw, draw_parts, traits
from tljax.data.critters.kinds import KINDS
from tljax.data.critters.make import (
    FIRST_INDEX,
    SOURCE_CLASSES,
    SOURCE_SIZES,
    TARGET_CLASSES,
    TARGET_SIZES,
    make,
)
from tljax.data.critters.pen import PARTS

# A VGG16 of a quarter of the width, in bfloat16, by `tljax pretrain --data critters:source`.
BASE = Path(__file__).with_name("base.safetensors")

__all__ = [
    "BASE",
    "FIRST_INDEX",
    "KINDS",
    "PARTS",
    "PIXELS",
    "SOURCE_CLASSES",
    "SOURCE_SIZES",
    "TARGET_CLASSES",
    "TARGET_SIZES",
    "Traits",
    "draw",
    "draw_parts",
    "make",
    "traits",
]
