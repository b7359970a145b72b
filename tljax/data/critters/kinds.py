"""Kinds of animals: a table of tendencies from which every photograph draws one individual.

The traits that separate cats from dogs (how ears stand, the length of the muzzle, pupils, whiskers)
also vary among the other animals and within a kind: no single part decides, and a network trained
on the others has seen all the parts.
"""

import dataclasses
import random
from collections.abc import Callable
from typing import TypeVar

from tljax.data.critters import ears
from tljax.data.critters.parts import Coat
from tljax.data.critters.pen import Pen

T = TypeVar("T")


@dataclasses.dataclass(frozen=True)
class Kind:
    """Tendencies of one kind of animal: dicts are drawn by weight, pairs uniformly."""

    ears: dict[Callable[[Pen, Coat], None], float]
    nose: dict[str, float]
    muzzle: tuple[float, float]  # length
    ear_size: tuple[float, float] = (0.6, 0.8)
    ear_angle: tuple[float, float] = (0.5, 0.75)
    head: tuple[float, float] = (1.0, 0.92)  # half width, half height
    cheek: float = 0.98
    jaw: float = 0.62
    muzzle_width: float = 0.42
    muzzle_shape: str = "puffs"
    pupil: dict[str, float] = dataclasses.field(default_factory=lambda: {"round": 1})
    eye_size: tuple[float, float] = (0.19, 0.23)
    eye_gap: float = 0.4
    slant: float = 0.0
    whiskers: float = 0.0
    tongue: float = 0.0
    teeth: float = 0.0
    tail: str = "thin"
    extras: dict[str, float] = dataclasses.field(default_factory=dict)  # name -> how often
    patterns: dict[str, float] = dataclasses.field(
        default_factory=lambda: {"plain": 3, "blotch": 1, "stripes": 1, "spots": 1}
    )


def pick(rng: random.Random, weights: dict[T, float]) -> T:
    """Draw one of the keys, with probability in proportion to its weight."""
    return rng.choices(tuple(weights), tuple(weights.values()))[0]


# fmt: off
KINDS = {
    "cat": Kind(
        ears={ears.pointed: 17, ears.folded: 3}, ear_size=(0.72, 0.95), ear_angle=(0.55, 0.72),
        nose={"small": 1}, muzzle=(0.1, 0.28), muzzle_width=0.36, head=(1.04, 0.9), cheek=1.0,
        pupil={"slit": 3, "round": 2}, eye_size=(0.21, 0.26), slant=0.25, whiskers=0.9,
        patterns={"stripes": 4, "plain": 3, "blotch": 2, "spots": 1}),
    "dog": Kind(
        ears={ears.floppy: 11, ears.folded: 5, ears.pointed: 4}, ear_size=(0.85, 1.1),
        ear_angle=(0.6, 0.95), nose={"big": 1}, muzzle=(0.5, 1.0), muzzle_width=0.42,
        head=(0.94, 0.98), cheek=0.88, jaw=0.6, eye_size=(0.16, 0.2), eye_gap=0.38, whiskers=0.08,
        tongue=0.45, tail="bushy", extras={"blaze": 0.35, "patches": 0.12},
        patterns={"plain": 4, "blotch": 4, "stripes": 1, "spots": 1}),
    "bear": Kind(
        ears={ears.rounded: 1}, ear_size=(0.62, 0.8), ear_angle=(0.65, 0.85), nose={"big": 1},
        muzzle=(0.45, 0.8), muzzle_width=0.46, head=(1.06, 0.98), cheek=1.05, jaw=0.75,
        eye_size=(0.12, 0.15), eye_gap=0.36, tail="stub", tongue=0.1,
        patterns={"plain": 6, "blotch": 1, "stripes": 1}),
    "cow": Kind(
        ears={ears.side: 1}, ear_size=(0.75, 0.95), ear_angle=(1.05, 1.3), nose={"nostrils": 1},
        muzzle=(0.6, 1.0), muzzle_width=0.56, muzzle_shape="broad", head=(0.86, 1.05), cheek=0.8,
        jaw=0.65, eye_size=(0.15, 0.19), eye_gap=0.52, tongue=0.2, tail="tuft",
        extras={"horns": 0.7, "blaze": 0.4}, patterns={"blotch": 7, "plain": 3}),
    "fox": Kind(
        ears={ears.pointed: 1}, ear_size=(0.9, 1.15), ear_angle=(0.5, 0.7),
        nose={"ball": 1, "small": 1}, muzzle=(0.6, 1.0), muzzle_width=0.28, head=(1.06, 0.84),
        cheek=1.05, jaw=0.35, pupil={"slit": 3, "round": 2}, eye_size=(0.15, 0.19), slant=0.35,
        whiskers=0.5, tongue=0.1, tail="bushy", extras={"cheeks": 1.0},
        patterns={"plain": 5, "stripes": 1}),
    "koala": Kind(
        ears={ears.fluffy: 1}, ear_size=(0.85, 1.1), ear_angle=(0.9, 1.15), nose={"long": 1},
        muzzle=(0.1, 0.25), muzzle_width=0.34, head=(1.0, 0.94), cheek=1.0, jaw=0.7,
        eye_size=(0.12, 0.16), eye_gap=0.44, tail="stub"),
    "lion": Kind(
        ears={ears.rounded: 1}, ear_size=(0.5, 0.65), ear_angle=(0.7, 0.9),
        nose={"small": 1, "big": 1}, muzzle=(0.35, 0.65), muzzle_width=0.42, head=(0.94, 1.0),
        cheek=0.92, jaw=0.7, pupil={"slit": 1, "round": 2}, eye_size=(0.15, 0.19), slant=0.2,
        whiskers=0.7, tail="tuft", extras={"mane": 0.9}),
    "monkey": Kind(
        ears={ears.rounded: 1}, ear_size=(0.6, 0.8), ear_angle=(1.4, 1.6), nose={"nostrils": 1},
        muzzle=(0.15, 0.3), muzzle_width=0.5, muzzle_shape="broad", head=(0.95, 0.95), cheek=0.92,
        jaw=0.72, eye_size=(0.17, 0.21), eye_gap=0.32, tongue=0.1, extras={"mask": 1.0},
        patterns={"plain": 1}),
    "mouse": Kind(
        ears={ears.rounded: 1}, ear_size=(1.25, 1.6), ear_angle=(0.75, 0.95), nose={"ball": 1},
        muzzle=(0.35, 0.7), muzzle_width=0.26, head=(0.92, 0.92), cheek=0.95, jaw=0.35,
        pupil={"bead": 1}, eye_size=(0.16, 0.2), whiskers=0.95, teeth=0.3),
    "owl": Kind(
        ears={ears.tuft: 1}, ear_size=(0.6, 0.8), ear_angle=(0.6, 0.75), nose={"small": 1},
        muzzle=(0.1, 0.2), muzzle_shape="beak", head=(1.05, 0.92), cheek=1.05, jaw=0.8,
        eye_size=(0.28, 0.34), eye_gap=0.43, tail="none", pupil={"round": 4, "slit": 1},
        extras={"disc": 1.0}, patterns={"spots": 4, "stripes": 2, "plain": 1}),
    "panda": Kind(
        ears={ears.rounded: 1}, ear_size=(0.65, 0.8), ear_angle=(0.7, 0.85),
        nose={"big": 1, "ball": 1}, muzzle=(0.2, 0.45), muzzle_width=0.38, head=(1.12, 0.95),
        cheek=1.1, jaw=0.78, eye_size=(0.13, 0.16), tail="stub", extras={"patches": 1.0},
        patterns={"plain": 1}),
    "pig": Kind(
        ears={ears.folded: 3, ears.floppy: 2, ears.pointed: 1}, ear_size=(0.6, 0.85),
        ear_angle=(0.55, 0.8), nose={"disc": 1}, muzzle=(0.35, 0.7), muzzle_width=0.42,
        muzzle_shape="snout", head=(1.05, 0.95), cheek=1.05, jaw=0.75, eye_size=(0.12, 0.16),
        pupil={"round": 2, "bead": 1}, patterns={"plain": 4, "blotch": 2, "spots": 1}),
    "rabbit": Kind(
        ears={ears.long: 7, ears.lop: 3}, ear_size=(0.65, 0.85), ear_angle=(0.25, 0.45),
        nose={"small": 1}, muzzle=(0.1, 0.3), muzzle_width=0.34, head=(0.92, 0.94), cheek=0.98,
        jaw=0.6, eye_size=(0.17, 0.22), eye_gap=0.46, whiskers=0.8, teeth=0.7, tail="stub"),
    "sheep": Kind(
        ears={ears.side: 3, ears.floppy: 2}, ear_size=(0.6, 0.8), ear_angle=(0.95, 1.2),
        nose={"small": 1}, muzzle=(0.5, 0.9), muzzle_width=0.4, head=(0.82, 1.0), cheek=0.78,
        jaw=0.55, pupil={"bar": 3, "round": 1}, eye_size=(0.14, 0.18), eye_gap=0.44, tail="stub",
        extras={"wool": 1.0, "horns": 0.2}, patterns={"plain": 1}),
}
# fmt: on
