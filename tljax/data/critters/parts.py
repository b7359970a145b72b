"""Coats, eyes, noses and muzzles: the parts that all critters share.

Lengths are in head radii, y points down, the middle of the head is (0, 0).
"""

import dataclasses
import random

from tljax.data.critters.pen import HARD, PLAIN, Colour, Pen, tone


@dataclasses.dataclass(frozen=True)
class Coat:
    """Colours of one animal.

    All animals draw theirs from one wardrobe, so colour says nothing about the class.
    """

    fur: Colour
    light: Colour  # muzzle, chest, paws
    ear: Colour
    skin: Colour
    nose: Colour
    iris: Colour
    hair: int


# fmt: off
FURS = ((40, 38, 40), (72, 56, 48), (104, 74, 52), (140, 98, 62), (178, 118, 66), (204, 148, 92),
        (222, 188, 142), (238, 230, 216), (214, 210, 206), (156, 152, 150), (112, 114, 122),
        (90, 88, 92), (188, 160, 132))
# fmt: on
NOSES = ((48, 38, 40), (62, 44, 42), (196, 120, 122), (160, 96, 90))
IRISES = (
    (196, 160, 52),
    (142, 168, 74),
    (108, 160, 190),
    (152, 96, 44),
    (92, 60, 36),
    (206, 130, 40),
)


def coat(rng: random.Random) -> Coat:
    """Draw the colours of one animal from the wardrobe."""
    jitter = rng.uniform(0.85, 1.12)
    fur = tone(rng.choice(FURS), jitter)
    light = rng.choice(
        (tone(fur, 1.25), tone(fur, 1.45), tone(fur, 1.7), tone(fur, 0.75), (240, 234, 224))
    )
    skin = rng.choice(((226, 160, 150), (206, 140, 132), tone(fur, 0.6)))
    ear = tone(fur, rng.choice((0.6, 0.8, 1.0, 1.0)))
    return Coat(fur, light, ear, skin, rng.choice(NOSES), rng.choice(IRISES), rng.randrange(64))


def eye(
    pen: Pen,
    c: Coat,
    *,
    size: float,
    pupil: str,
    slant: float,
    gaze: tuple[float, float],
    lid: float,
) -> None:
    """Draw one eye at the origin.

    `pupil` is slit, round, bar or bead (all pupil); with `lid` above 0.7 the animal is asleep.
    """
    dark = (26, 20, 20)
    if lid > 0.7:
        return pen.stroke([(-size, 0), (0, size * 1.1), (size, 0)], dark, 0.09, HARD)
    eye = pen.at(0, 0, turn=slant, sx=size, sy=size * (1 - lid))
    eye.ellipse(0, 0, 1.18, 1.18 if pupil == "round" else 1.08, dark, HARD)
    gx, gy = gaze
    if pupil != "bead":
        eye.ellipse(0, 0, 1, 0.94, c.iris, HARD)
        rx, ry = {"slit": (0.24, 0.9), "round": (0.58, 0.6), "bar": (0.8, 0.28)}[pupil]
        eye.ellipse(gx, gy, rx, ry, dark, HARD)
    eye.ellipse(-0.3 + gx * 0.5, -0.36 + gy * 0.5, 0.26, 0.26, (255, 255, 250), HARD)


def nose(pen: Pen, c: Coat, shape: str) -> None:
    """Draw a nose around the origin, about a fifth of a head wide."""
    if shape == "small":
        pen.blob(
            [(-0.15, -0.08), (0.15, -0.08), (0.15, -0.08), (0, 0.12), (0, 0.12), (-0.15, -0.08)],
            c.nose,
            HARD,
        )
    elif shape == "big":
        pen.blob(
            [(-0.27, -0.14), (0.27, -0.14), (0.27, 0.08), (0, 0.22), (-0.27, 0.08)], c.nose, HARD
        )
        pen.ellipse(-0.06, -0.08, 0.08, 0.04, tone(c.nose, 1.5), HARD)
    elif shape == "ball":
        pen.ellipse(0, 0, 0.15, 0.13, c.nose, HARD)
        pen.ellipse(-0.05, -0.05, 0.04, 0.04, (255, 245, 240), HARD)
    elif shape == "long":
        pen.ellipse(0, -0.12, 0.21, 0.34, tone(c.nose, 0.8), HARD)
        pen.ellipse(-0.06, -0.26, 0.06, 0.1, tone(c.nose, 1.4), HARD)
    elif shape == "disc":
        pen.ellipse(0, 0.05, 0.42, 0.32, tone(c.skin, 0.82), PLAIN)
        pen.ellipse(0, 0.03, 0.38, 0.28, tone(c.skin, 1.1), HARD)
        for s in (-1, 1):
            pen.ellipse(s * 0.14, 0.03, 0.065, 0.11, tone(c.skin, 0.5), HARD)
    elif shape == "nostrils":
        for s in (-1, 1):
            pen.at(s * 0.2, 0.1, turn=s * 0.5).ellipse(0, 0, 0.09, 0.06, tone(c.nose, 0.7), HARD)


def beak(pen: Pen, c: Coat) -> None:
    """Draw a beak around the origin."""
    gold = (214, 160, 62)
    pen.blob(
        [(-0.17, -0.16), (0.17, -0.16), (0.14, 0.16), (0, 0.48), (0, 0.48), (-0.14, 0.16)],
        gold,
        HARD,
    )
    pen.blob(
        [(-0.02, -0.1), (0.14, -0.1), (0.1, 0.16), (0, 0.44), (0, 0.44)], tone(gold, 0.8), HARD
    )


def mouth(pen: Pen, c: Coat, *, tongue: bool, teeth: bool) -> None:
    """Draw a mouth below a nose at the origin: a small w.

    It may have a tongue out or two front teeth.
    """
    dark = tone(c.light, 0.35)
    if tongue:
        pen.blob(
            [(-0.17, 0.26), (0.17, 0.26), (0.16, 0.62), (0, 0.74), (-0.16, 0.62)],
            (222, 108, 116),
            HARD,
        )
        pen.stroke([(0, 0.32), (0, 0.6)], (190, 84, 94), 0.03, HARD)
    if teeth:
        pen.blob(
            [(-0.1, 0.24), (-0.1, 0.24), (0.1, 0.24), (0.1, 0.24), (0.09, 0.46), (-0.09, 0.46)],
            (250, 248, 240),
            HARD,
        )
    pen.stroke([(0, 0.08), (0, 0.26)], dark, 0.045, HARD)
    for s in (-1, 1):
        pen.stroke([(0, 0.24), (s * 0.14, 0.4), (s * 0.3, 0.22)], dark, 0.045, HARD)


def muzzle(
    pen: Pen, c: Coat, *, length: float, width: float, yaw: float, colour: Colour, shape: str
) -> Pen:
    """Draw a muzzle from between the eyes to the tip, which points towards the viewer.

    A turn of the head swings the tip aside. Returns the frame of the nose.
    """
    x, y = yaw * length * 1.1, 0.2 + 0.2 * length
    w = width
    if length > 0.3:
        right = [(0.16, -0.3), (x + w * 0.75, y + 0.1), (x + w * 0.6, y + 0.4)]
        left = [(x - w * 0.6, y + 0.4), (x - w * 0.75, y + 0.1), (-0.16, -0.3)]
        pen.blob([*right, *left], colour, PLAIN - 8)
        pen.ellipse(
            x, y + 0.34 + 0.1 * length, w * 0.86, 0.3 + 0.12 * length, tone(colour, 0.7), PLAIN - 20
        )
        pen.ellipse(x, y + 0.26 + 0.06 * length, w, 0.28 + 0.14 * length, colour, PLAIN)
    if shape == "puffs":
        pen.ellipse(x, y + 0.4, w * 0.5, 0.2, tone(colour, 0.86), PLAIN - 10)
        for s in (-1, 1):
            pen.ellipse(x + s * w * 0.46, y + 0.2, w * 0.58, 0.23, colour, PLAIN, fuzz=0.03)
    return pen.at(x, y + 0.02)


def whiskers(pen: Pen, rng: random.Random, colour: Colour) -> None:
    """Draw three whiskers on each side of a nose at the origin."""
    for s in (-1, 1):
        for k in (-1, 0, 1):
            reach, sag = rng.uniform(0.75, 1.1), rng.uniform(-0.05, 0.1)
            pen.stroke(
                [
                    (s * 0.22, 0.22 + k * 0.06),
                    (s * 0.6, 0.16 + k * 0.14),
                    (s * reach, 0.25 + k * 0.2 + sag),
                ],
                colour,
                0.022,
                HARD,
            )
