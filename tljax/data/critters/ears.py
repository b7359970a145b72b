"""Ears, one function per shape, and the place of a pair.

Each function draws a right ear about its root, pointing up (-y), or down if it hangs; the left ear
is mirrored.
"""

import math
from collections.abc import Callable

from tljax.data.critters.parts import Coat
from tljax.data.critters.pen import EAR, Pen, tone


def pointed(pen: Pen, c: Coat) -> None:
    """Draw a pointed ear, open to the front."""
    pen.blob(
        [(-0.5, 0.3), (-0.42, -0.4), (0, -1), (0, -1), (0.42, -0.4), (0.5, 0.3)],
        c.ear,
        EAR,
        fuzz=0.04,
        hair=c.hair,
    )
    pen.blob(
        [(-0.3, 0.3), (-0.24, -0.25), (0.02, -0.76), (0.02, -0.76), (0.26, -0.25), (0.32, 0.3)],
        c.skin,
        EAR + 40,
    )


def folded(pen: Pen, c: Coat) -> None:
    """Draw an ear whose tip is folded over."""
    pen.blob([(-0.5, 0.3), (-0.4, -0.4), (-0.1, -0.62), (0.3, -0.62), (0.45, 0.3)], c.ear, EAR)
    pen.blob(
        [(-0.32, -0.5), (-0.05, -0.72), (0.36, -0.62), (0.42, 0.02), (0.42, 0.02), (0.05, -0.2)],
        tone(c.ear, 0.78),
        EAR + 25,
    )


def floppy(pen: Pen, c: Coat) -> None:
    """Draw an ear that hangs beside the head."""
    points = [
        (-0.35, -0.05),
        (0.1, -0.32),
        (0.66, 0.02),
        (0.82, 0.75),
        (0.56, 1.35),
        (0.14, 1.25),
        (-0.06, 0.55),
    ]
    pen.blob(points, tone(c.ear, 0.7), EAR + 30, fuzz=0.04, hair=c.hair)


def rounded(pen: Pen, c: Coat) -> None:
    """Draw a round ear with a round inside."""
    pen.ellipse(0, -0.22, 0.52, 0.52, c.ear, EAR, fuzz=0.03, hair=c.hair)
    pen.ellipse(0, -0.2, 0.32, 0.32, c.skin, EAR + 40)


def long(pen: Pen, c: Coat) -> None:
    """Draw a rabbit's ear, upright."""
    pen.blob(
        [(-0.22, 0.3), (-0.36, -0.9), (-0.14, -1.9), (0.16, -1.9), (0.36, -0.9), (0.22, 0.3)],
        c.ear,
        EAR,
    )
    pen.blob(
        [(-0.1, 0.2), (-0.2, -0.9), (-0.06, -1.6), (0.08, -1.6), (0.2, -0.9), (0.1, 0.2)],
        c.skin,
        EAR + 40,
    )


def lop(pen: Pen, c: Coat) -> None:
    """Draw a rabbit's ear that hangs."""
    points = [
        (-0.25, -0.2),
        (0.3, -0.35),
        (0.62, 0.2),
        (0.66, 1.3),
        (0.4, 1.75),
        (0.1, 1.4),
        (0.06, 0.4),
    ]
    pen.blob(points, tone(c.ear, 0.72), EAR + 30, fuzz=0.04, hair=c.hair)


def side(pen: Pen, c: Coat) -> None:
    """Draw an ear that points sideways."""
    pen.blob(
        [(-0.2, -0.2), (0.4, -0.36), (1.05, 0.1), (1.05, 0.1), (0.5, 0.36), (-0.2, 0.2)],
        c.ear,
        EAR,
        fuzz=0.04,
    )
    pen.blob(
        [(0, -0.06), (0.4, -0.18), (0.84, 0.1), (0.84, 0.1), (0.45, 0.2), (0, 0.12)],
        c.skin,
        EAR + 40,
    )


def fluffy(pen: Pen, c: Coat) -> None:
    """Draw a round ear with long hair."""
    pen.ellipse(0, -0.15, 0.62, 0.62, c.ear, EAR, fuzz=0.14, hair=c.hair)
    pen.ellipse(0, -0.08, 0.38, 0.36, c.light, EAR + 40, fuzz=0.2, hair=c.hair + 5)


def tuft(pen: Pen, c: Coat) -> None:
    """Draw a tuft of feathers in the place of an ear."""
    pen.blob(
        [(-0.5, 0.4), (-0.2, -0.2), (0.25, -1), (0.25, -1), (0.34, -0.2), (0.4, 0.4)],
        c.ear,
        EAR,
        fuzz=0.06,
    )


HANGING = (floppy, lop)  # these lie over the head and point down, at any angle


def pair(
    pen: Pen,
    c: Coat,
    shape: Callable[[Pen, Coat], None],
    *,
    size: float,
    angle: float,
    width: float,
    height: float,
    droop: float,
) -> None:
    """Draw a pair at `angle` radians from the top of a head `width` by `height`.

    `droop` makes the two ears differ.
    """
    for s in (-1, 1):
        x, y = s * width * math.sin(angle) * 0.92, -height * math.cos(angle) * 0.88
        turn = (
            s * 0.12
            if shape in HANGING
            else 0.0
            if shape is side
            else s * (angle * 0.75 + droop * s)
        )
        shape(pen.at(x, y, turn=turn, sx=s * size, sy=size), c)
